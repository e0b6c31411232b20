"""Environments: the walking task, its batched simulation, and Gymnasium's interface."""
