"""Who acts: robots as data, and what is computed from their compiled models."""
