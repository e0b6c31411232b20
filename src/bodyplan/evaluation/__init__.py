"""How well it went: whole episodes in the reference physics, and their scores."""
