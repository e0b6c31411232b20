"""Robots and recorded transitions, each read once for all test files."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bodyplan.robots.robot import Robot

GOLDEN = Path(__file__).parent / "data" / "golden"


@pytest.fixture(scope="session")
def load():
    """`Robot.load`, remembering what it has read."""
    return cache(Robot.load)


@pytest.fixture(scope="session")
def recorded():
    """Transitions of the original environment by robot (their own `metadata` says which)."""

    @cache
    def read(robot):
        with np.load(GOLDEN / f"{robot}.npz") as file:
            return {name: file[name] for name in file.files}

    return read
