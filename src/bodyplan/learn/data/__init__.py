"""Logged data as the learner reads them: checked, normalised, and drawn in batches."""
