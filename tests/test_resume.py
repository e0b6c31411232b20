"""A run that was killed ends with the bytes of one that was not, whatever it trains.

Every algorithm and every combiner is killed at a random update, in a process of its own; with
BODYPLAN_KILL=all every algorithm with every combiner, which takes a few minutes more.
"""

import os
import signal
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from synthetic import write_dataset

from bodyplan.cli.stopping import Stopped, quick_stop
from bodyplan.errors import BodyplanError
from bodyplan.experiments.pretraining import train, train_seeds, train_together
from bodyplan.learn.algorithms.bc import BC
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.registry import ALGORITHMS, COMBINERS
from bodyplan.storage import read_json, write_json

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
LONG = SOME[-3:]  # to compile
CHOSEN = [
    pytest.param(*pair, marks=[pytest.mark.slow] if pair in LONG else [])
    for pair in (PAIRS if os.environ.get("BODYPLAN_KILL") == "all" else SOME)
]


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_asked_to_stop_saves_itself_first(place, number):
    """At an update without a regular checkpoint, before its evaluation."""
    undisturbed = train(small_run(place, "bc", "pooled", "undisturbed"))
    config = replace(small_run(place, "bc", "pooled", f"stopped_{number}"), evaluate_every=INTERVAL)
    evaluated = []

    def ask(update, line):
        if update == INTERVAL:
            os.kill(os.getpid(), number)

    def evaluate(update, policy):
        evaluated.append(update)
        return {"dog": {"return_mean": float(update)}}

    with pytest.raises(Stopped), quick_stop():
        train(config, log=ask, on_interval=evaluate)
    (stopped_at,) = [int(path.stem) for path in config.out.glob("checkpoints/*")]
    assert stopped_at in (INTERVAL, 2 * INTERVAL)
    continued = train(config, on_interval=evaluate)
    assert evaluated == list(range(INTERVAL, UPDATES + 1, INTERVAL))
    for name in ("policy/policy.safetensors", f"checkpoints/{UPDATES}.safetensors"):
        ended = (continued.path / name).read_bytes()
        assert ended == (undisturbed.path / name).read_bytes(), name


def test_a_run_that_is_stopped_in_an_evaluation_saves_itself_first(place):
    config = replace(
        small_run(place, "bc", "pooled", "evaluating"), evaluate_every=INTERVAL, seed=1
    )

    def evaluate(update, policy):
        evaluated.append(update)
        if len(evaluated) == 1:
            raise KeyboardInterrupt
        return {"dog": {"return_mean": float(update)}}

    evaluated: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        train(config, on_interval=evaluate)
    run = train(config, on_interval=evaluate)
    assert evaluated == [INTERVAL, *range(INTERVAL, UPDATES + 1, INTERVAL)]
    told = [line["update"] for line in run.metrics if "evaluation" in line]
    assert told == list(range(INTERVAL, UPDATES + 1, INTERVAL))


def longer(config: TrainConfig, updates: int, name: str | None = None) -> TrainConfig:
    """The same of another number of updates, in a folder of its own if it is named."""
    out = config.out if name is None else config.out.parent / name
    return replace(config, updates=updates, out=out)


@pytest.mark.parametrize("first", [UPDATES // 3, 6])
def test_a_finished_run_goes_on_to_more_updates_and_the_same_bytes(place, first):
    """Also where the shorter run ended between two intervals."""
    whole = train(small_run(place, "bc", "pooled", "undisturbed"))
    config = longer(small_run(place, "bc", "pooled", ""), first, f"raised_{first}")
    shorter = train(config)
    assert shorter.has_policy

    def stop(update, line):
        if update == 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(longer(config, UPDATES), log=stop)
    assert not shorter.has_policy  # what is there is of no finished training
    with pytest.raises(BodyplanError, match=f"{UPDATES} updates"):
        train(config)  # the run is of more updates now
    run = train(longer(config, UPDATES))
    assert run.config["updates"] == UPDATES
    ends = {*range(INTERVAL, UPDATES + 1, INTERVAL), first}
    assert [line["update"] for line in run.metrics] == sorted(ends)
    for name in ("policy/policy.safetensors", f"checkpoints/{UPDATES}.safetensors"):
        assert (run.path / name).read_bytes() == (whole.path / name).read_bytes(), name


def test_seeds_go_on_to_more_updates(place):
    config = small_run(place, "bc", "pooled", "seeds")
    train_seeds(longer(config, 8), 2)
    raised = train_seeds(config, 2)
    whole = train_seeds(longer(config, UPDATES, "whole_seeds"), 2)
    for one, other in zip(raised, whole, strict=True):
        name = "policy/policy.safetensors"
        assert (one.path / name).read_bytes() == (other.path / name).read_bytes()


def test_what_an_older_version_counted_otherwise_is_not_continued(place):
    """Runs from before there was provenance; finished ones are read as they are."""
    config = replace(
        small_run(place, "bc", "pooled", "older"), algorithm=BC(actor_decay=UPDATES), updates=8
    )
    train(config)
    path = config.out / "config.json"
    older = {name: own for name, own in read_json(path).items() if name != "provenance"}
    write_json(path, older)
    train(config, log=lambda *_: pytest.fail("trained again"))
    with pytest.raises(BodyplanError, match="actor_decay"):
        train(longer(config, UPDATES))
    assert read_json(path) == older


QUADRUPEDS = {"unitree_go1": (12, 4), "anymal_c": (12, 4), "badger": (13, 4), "bittle": (9, 4)}


def test_every_seed_draws_random_groups_of_its_own(place, tmp_path):
    write_dataset(tmp_path / "data", QUADRUPEDS, steps=60)
    config = replace(
        small_run(place, "bc", "grouped", ""),
        data=tmp_path / "data",
        out=tmp_path / "together",
        groups=2,
        group_by="random",
        updates=4,
    )
    runs = train_seeds(config, 3)
    partitions = [frozenset(map(frozenset, run.config["groups"])) for run in runs]
    assert len(set(partitions)) > 1
    assert len({tuple(sorted(map(len, partition))) for partition in partitions}) == 1
    assert [run.path.name for run in runs] == ["seed0", "seed1", "seed2"]
    assert {run.config["groups_from"] for run in runs} == {2}
    alone = train(replace(config, out=tmp_path / "alone", seed=1))
    name = "policy/policy.safetensors"
    assert (alone.path / name).read_bytes() == (runs[1].path / name).read_bytes()
    sides = [replace(config, out=tmp_path / f"side{seed}", seed=seed) for seed in range(2)]
    with pytest.raises(BodyplanError, match="seed"):
        train_together(sides)
