"""Robots that no one drew: variations of the packaged ones, and new body plans, by seed."""

from bodyplan.robots.generated.designs import Design
from bodyplan.robots.generated.series import design, generate

__all__ = ["Design", "design", "generate"]
