"""What is wrong with a robot, all of it, each with its fix."""
