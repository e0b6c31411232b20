"""Inference of a task config for a model that comes without a TOML."""
