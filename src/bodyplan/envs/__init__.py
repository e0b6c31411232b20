"""Where they act: the walking task and its batched simulation."""
