"""The training loop as a user meets it: it learns, resumes to the same bytes, and says what is wrong."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache
from synthetic import best_action, write_dataset

from bodyplan.envs.walking import Observation
from bodyplan.errors import BodyplanError
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.compilation import enable_compilation_cache
from bodyplan.learn.policy import ReleasedPolicy
from bodyplan.learn.train import TrainConfig, TrainingDiverged, train
from bodyplan.storage import read_array, read_json, read_tensors, write_array

ROBOTS = {"dog": (3, 2), "crab": (4, 2)}
KILLED = """
import os, pickletools, signal, sys
"""


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """One compilation for all runs here, in this process and in others."""
    yield enable_compilation_cache(tmp_path_factory.mktemp("xla"))
    jax.config.update("jax_compilation_cache_dir", None)
    compilation_cache.reset_cache()


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A small grouped run with checkpoints and evaluations on the way."""
    place = tmp_path_factory.mktemp("training")
    write_dataset(place / "data", ROBOTS, steps=2000)
    (place / "groups.json").write_text('[["crab"], ["dog"]]')
    return TrainConfig(
        data=place / "data",
        out=place / "undisturbed",
        combine="grouped",
        groups=place / "groups.json",
        network="tiny",
        batch_size=64,
        updates=300,
        log_every=50,
        checkpoint_every=100,
        evaluate_every=150,
        iql=IQL(learning_rate=3e-3),
    )


def evaluation(update, policy):
    """Something to see in metrics.jsonl."""
    assert isinstance(policy, ReleasedPolicy)
    return {"dog": {"return_mean": float(update)}}


@pytest.fixture(scope="module")
def run(config):
    """The undisturbed run, with what it told its log."""
    told = []
    run = train(config, log=lambda update, line: told.append((update, line)), on_interval=evaluation)
    return run, told


def test_it_learns_better_than_the_data(config, run):
    dataset = write_dataset(config.data.parent / "unseen", ROBOTS, steps=400, seed=1)
    for name, episodes in dataset.episodes.items():
        rows = episodes.frame_indices()
        seen = Observation(*(np.asarray(part)[rows] for part in (episodes.joints, episodes.feet, episodes.general)))
        best = best_action(seen)
        actions = run[0].policy.act(seen, episodes.descriptor)
        behaviour = np.sqrt(np.mean((episodes.actions - best) ** 2))
        learned = np.sqrt(np.mean((actions - best) ** 2))
        print(name, learned, behaviour)
        assert learned < 0.5 * behaviour
