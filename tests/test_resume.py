"""A run that was killed ends with the bytes of one that was not, whatever it trains.

Every algorithm and every combiner is killed at a random update, in a process of its own; with
BODYPLAN_KILL=all every algorithm with every combiner, which takes a few minutes more.
"""

import os
import signal
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from synthetic import write_dataset

from bodyplan.experiments.pretraining import train
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.registry import ALGORITHMS, COMBINERS

ROBOTS = {"dog": (3, 2), "crab": (4, 2)}
UPDATES, INTERVAL = 24, 4
PAIRS = list(product(ALGORITHMS.names(), COMBINERS.names()))
SOME = [
    ("bc", "pooled"),
    ("bc", "cagrad"),
    ("bc", "aligned_mtl"),
    ("td3_bc", "grouped"),
    ("awac", "pcgrad"),
    ("iql", "selective"),
]
CHOSEN = PAIRS if os.environ.get("BODYPLAN_KILL") == "all" else SOME


def small_run(place: Path, algorithm: str, combine: str, name: str) -> TrainConfig:
    """A few updates, with checkpoints more seldom than intervals."""
    return TrainConfig(
        data=place / "data",
        out=place / f"{algorithm}_{combine}_{name}",
        algorithm=algorithm,
        combine=combine,
        groups=place / "groups.json",
        network="tiny",
        batch_size=8,
        updates=UPDATES,
        log_every=INTERVAL,
        checkpoint_every=2 * INTERVAL,
    )


def run_and_die(place: Path, algorithm: str, combine: str, at: int) -> None:
    """What another process does: train, and be killed at an update."""

    def die(update, line):
        if update == at:
            os.kill(os.getpid(), signal.SIGKILL)

    train(small_run(place, algorithm, combine, "killed"), log=die)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("resume")
    write_dataset(place / "data", ROBOTS, steps=300)
    (place / "groups.json").write_text('[["crab"], ["dog"]]')
    return place


def test_nothing_is_left_out():
    assert {algorithm for algorithm, _ in SOME} == set(ALGORITHMS.names())
    assert {combine for _, combine in SOME} == set(COMBINERS.names())


@pytest.mark.parametrize(("algorithm", "combine"), CHOSEN)
def test_a_killed_run_ends_as_an_undisturbed_one(place, fork, algorithm, combine):
    undisturbed = train(small_run(place, algorithm, combine, "undisturbed"))
    seed = PAIRS.index((algorithm, combine))
    at = INTERVAL * int(np.random.default_rng(seed).integers(1, UPDATES // INTERVAL))
    stopped = small_run(place, algorithm, combine, "killed")
    process = fork(target=run_and_die, args=(place, algorithm, combine, at))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not (stopped.out / "policy").exists()
    logged = []
    continued = train(stopped, log=lambda update, line: logged.append(update))
    # What was logged at the very update of a checkpoint was logged before it.
    assert logged[0] == (at - 1) // (2 * INTERVAL) * 2 * INTERVAL + INTERVAL
    for name in ("policy/policy.safetensors", f"checkpoints/{UPDATES}.safetensors"):
        ended = (continued.path / name).read_bytes()
        assert ended == (undisturbed.path / name).read_bytes(), name
