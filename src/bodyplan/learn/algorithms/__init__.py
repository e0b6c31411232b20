"""What to learn from the data: one file for each offline algorithm."""
