"""The examples of methods: IQL+EG in plain lines, and an algorithm of an installed package."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import literal_urma
import numpy as np
import pytest
from synthetic import drawn_batch, write_dataset

from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.combiners.grouped import Grouped
from bodyplan.learn.learner import Learner
from bodyplan.learn.networks.urma import PRESETS

EXAMPLES = Path(__file__).parents[1] / "examples"
GROUPS = ((0, 2), (1,))


@pytest.fixture(scope="module")
def plain():
    spec = importlib.util.spec_from_file_location("eg_iql", EXAMPLES / "eg_iql.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def double(tree):
    return jax.tree.map(
        lambda leaf: leaf.astype(float) if eqx.is_inexact_array(leaf) else leaf, tree
    )


@pytest.mark.slow
def test_the_plain_update_is_the_librarys(plain, tmp_path):
    """In double precision: Adam's first steps hardly depend on how large a gradient is."""
    shapes = {"dog": (3, 2), "crab": (4, 2), "ant": (3, 2)}
    batch = drawn_batch(write_dataset(tmp_path, shapes, 60, 20), 6)
    learner = Learner(IQL(), Grouped(), GROUPS, batch_size=6)
    with jax.enable_x64(True):
        batch = double(batch)
        start = double(learner.init(0, PRESETS["tiny"]))
        networks = (start.actor.policy, start.critic.value, start.critic.q, start.critic.target)
        networks = double(literal_urma.randomised(networks))
        start = eqx.tree_at(
            lambda s: (s.actor.policy, s.critic.value, s.critic.q, s.critic.target),
            start,
            networks,
        )
        end, _ = jax.jit(learner.update)(start, [batch])

        # The order of the groups, as the learner documents its use of keys.
        turn_key, _ = jax.random.split(jax.random.fold_in(jax.random.PRNGKey(0), 0))
        order = jax.random.permutation(jax.random.split(turn_key)[0], len(GROUPS)).tolist()
        state = plain.State(*networks, *map(plain.OPTIMISER.init, networks[:3]))
        robots = [batch.robot(place) for place in range(3)]
        state = plain.update(state, robots, GROUPS, order)
    found = (state.policy, state.value, state.q, state.target_q)
    expected = (end.actor.policy, end.critic.value, end.critic.q, end.critic.target)
    moved = 0.0
    for one, other, before in zip(*map(jax.tree.leaves, (found, expected, networks)), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
        moved = max(moved, float(np.abs(np.asarray(other) - np.asarray(before)).max()))
    assert moved > 1e-4  # the update did something


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The example as pip installs it: a module, and a record of its entry point."""
    place = tmp_path_factory.mktemp("site")
    shutil.copy(EXAMPLES / "my_algorithm.py", place)
    info = place / "my_algorithm-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-algorithm\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(
        "[bodyplan.algorithms]\npositive_td = my_algorithm:PositiveTD\nbroken = nowhere:Nothing\n"
    )

    def run(*arguments):
        paths = [str(place), *filter(None, sys.path)]
        return subprocess.run(
            [sys.executable, "-m", "bodyplan", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
        )

    return run


def test_the_example_is_short():
    assert len((EXAMPLES / "my_algorithm.py").read_text().splitlines()) < 80


def test_an_installed_algorithm_trains_and_its_runs_are_evaluated_and_reported(installed, tmp_path):
    write_dataset(tmp_path / "data", {"unitree_go1": (12, 4)}, 60, 20)
    out, method = tmp_path / "run", ("--algorithm", "positive_td", "--positive-td.gamma", "0.5")
    sizes = ("--network", "tiny", "--batch-size", "8", "--updates", "2", "--log-every", "2")
    command = ("train", "--data", tmp_path / "data", "--out", out, *sizes, "--checkpoint-every", 2)
    trained = installed(*command, *method)
    assert trained.returncode == 0, trained.stderr
    config = json.loads((out / "config.json").read_text())
    assert (config["algorithm"], config["positive_td"]["gamma"]) == ("positive_td", 0.5)
    other = installed(*command, *method[:-1], "0.6")
    assert other.returncode == 2
    assert "positive_td.gamma" in other.stderr  # part of the run's identity
    for after in (("evaluate", out, "--episodes", 1), ("report", out, "--no-films")):
        done = installed(*after)
        assert done.returncode == 0, done.stderr


def test_its_hyperparameters_have_help_and_a_broken_package_is_named(installed, tmp_path):
    shown = installed("train", "--help")
    assert "--positive-td.gamma" in shown.stdout
    assert "--broken" not in shown.stdout
    asked = installed(
        "train", "--data", tmp_path, "--out", tmp_path / "run", "--algorithm", "broken"
    )
    assert asked.returncode == 2
    assert "my-algorithm" in asked.stderr
