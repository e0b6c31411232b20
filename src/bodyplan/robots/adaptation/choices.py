"""Choices: what a user decides about an adaptation, where the model alone does not tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Choices:
    """Choices for `convert_model`."""

    root: str | None = None
    """Name of the robot's root body, where there are several; by default that with motors."""
    lock_wheels: bool = False
    """Whether wheels are fixed, so that the robot walks on them."""
    visual_collisions: bool = False
    """Whether visual shapes touch things on a URDF's links that have no collision shape."""
    allow_paths: Sequence[Path] = ()
    """Folders besides its own whose files the model may name."""
