"""Models as others write them, brought into the form that the task asks for."""
