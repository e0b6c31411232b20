"""A starting TOML for a body that comes without one."""
