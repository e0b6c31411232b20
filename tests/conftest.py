"""Robots and recorded transitions, each read once for all test files."""

import atexit
import copy
import os
import pickle
import shutil
import sys
import tempfile
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
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    # Of this session, so that nothing compiled before can hide what no longer compiles; processes
    # that are killed and started again find what they had.
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="bodyplan-tests-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.3"
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # for `literal`


@pytest.fixture(scope="session")
def load():
    """`Robot.load`, remembering what it has read."""
    return cache(Robot.load)


@pytest.fixture(params=["deepcopy", "pickle"])
def copied(request):
    """Two ways to copy an object: by `copy.deepcopy`, and by pickling as other processes do."""
    if request.param == "deepcopy":
        return copy.deepcopy
    return lambda thing: pickle.loads(pickle.dumps(thing))  # noqa: S301 (bytes of our own)


@pytest.fixture(scope="session")
def recorded():
    """Transitions of the original environment by robot (their own `metadata` says which)."""

    @cache
    def read(robot):
        with np.load(GOLDEN / f"{robot}.npz") as file:
            return {name: file[name] for name in file.files}

    return read
