"""Validation of a robot's files: every problem, each with its fix."""
