"""Robots and recorded transitions, each read once for all test files."""

import atexit
import copy
import multiprocessing
import os
import pickle
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

import jax
import numpy as np
import pytest

from bodyplan.robots.robot import Robot

GOLDEN = Path(__file__).parent / "data" / "golden"

# Tests compile far more than they compute, so compile in the quickest way: no optimisation, and
# XLA's older way of making kernels. Read when JAX is first asked for devices, here and in the
# processes that tests start.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=0"
)
# POT looks for other array libraries when it is imported; PyTorch, which is here for other tests,
# takes seconds.
os.environ.setdefault("POT_BACKEND_DISABLE_PYTORCH", "1")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    # One cache for all processes of this session. It starts empty, so that nothing compiled before
    # can hide what no longer compiles.
    folder = tempfile.mkdtemp(prefix="bodyplan-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    settings = {
        "jax_compilation_cache_dir": folder,
        "jax_persistent_cache_min_compile_time_secs": 0,
    }
    for name, value in settings.items():
        os.environ[name.upper()] = str(value)  # for processes that tests start
        jax.config.update(name, value)  # JAX may have read the environment already
sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # for `literal`


@pytest.fixture(scope="session")
def load():
    """`Robot.load`, remembering what it has read."""
    return cache(Robot.load)


@pytest.fixture(scope="session")
def fork():
    """Makes processes that have imported the training loop, but have not used JAX yet."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bodyplan.experiments.pretraining"])
    return context.Process


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


SLOW = {
    *("distributed", "example_methods", "parallel_seeds", "resume", "demo", "tour", "readme"),
    *("transfer", "train", "soak", "gradient_conflict", "literal", "distance_matrix", "build"),
}
"""Files with long tests; they come first, so that no worker is left with one at the end."""


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.stem.removeprefix("test_") not in SLOW)
