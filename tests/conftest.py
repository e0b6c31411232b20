"""Robots and recorded transitions, each read once for all test files."""

import os
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bodyplan.robots.robot import Robot

GOLDEN = Path(__file__).parent / "data" / "golden"

# Tests compile far more than they compute, and XLA's older way of making kernels is quicker to
# compile. Set before JAX is asked for devices, and for the processes that tests start.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=1"
)
sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # for `literal`


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
