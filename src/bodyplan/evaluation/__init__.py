"""Evaluation: whole episodes in the reference physics, their scores, videos and statistics."""
