"""Robots as data: an MJCF and a TOML each, and what is computed from the compiled model."""
