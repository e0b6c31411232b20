"""The training loop as a user meets it: it learns, resumes bit for bit, and says what is wrong."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import jax
import mujoco
import numpy as np
import pytest
from synthetic import best_action, write_dataset

from bodyplan.envs.walking_task import Observation
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.trained_policy import load_policy
from bodyplan.experiments.pretraining import train
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.nan_guard import TrainingDiverged
from bodyplan.learn.policy import Policy
from bodyplan.learn.run import Run
from bodyplan.learn.training_setup import TrainingSetup
from bodyplan.locking import writer_lock
from bodyplan.storage import (
    read_array,
    read_json,
    read_tensors,
    sha256,
    write_array,
    write_json,
)

ROBOTS = {"dog": (3, 2), "crab": (4, 2)}


def small_run(place: Path, name: str) -> TrainConfig:
    """A small grouped run with checkpoints and evaluations on the way."""
    return TrainConfig(
        data=place / "data",
        out=place / name,
        combine="grouped",
        groups=place / "groups.json",
        network="tiny",
        batch_size=64,
        updates=300,
        log_every=50,
        checkpoint_every=100,
        evaluate_every=150,
        algorithm=IQL(learning_rate=3e-3),
    )


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """The undisturbed run's settings, with its data in place."""
    place = tmp_path_factory.mktemp("training")
    write_dataset(place / "data", ROBOTS, steps=2000)
    (place / "groups.json").write_text('[["crab"], ["dog"]]')
    return small_run(place, "undisturbed")


def evaluation(update, policy):
    """Something to see in metrics.jsonl."""
    assert isinstance(policy, Policy)
    return {"dog": {"return_mean": float(update)}}


@pytest.fixture(scope="module")
def run(config):
    """The undisturbed run, with what it told its log."""
    told = []
    run = train(
        config, log=lambda update, line: told.append((update, line)), on_interval=evaluation
    )
    return run, told


def test_it_learns_better_than_the_data(config, run):
    dataset = write_dataset(config.data.parent / "unseen", ROBOTS, steps=400, seed=1)
    for episodes in dataset.episodes.values():
        rows = episodes.frame_indices()
        frames = (episodes.joints, episodes.feet, episodes.general)
        seen = Observation(*(np.asarray(frame)[rows] for frame in frames))
        best = best_action(seen)
        actions = run[0].policy.act(seen, episodes.descriptor)
        behaviour = np.sqrt(np.mean((episodes.actions - best) ** 2))
        learned = np.sqrt(np.mean((actions - best) ** 2))
        assert learned < 0.5 * behaviour


def test_run_folder_tells_all(config, run):
    finished, told = run
    stored = read_json(config.out / "config.json")
    assert stored["robots"] == ["crab", "dog"]  # in build order, and in it group by group
    assert stored["groups"] == [["crab"], ["dog"]]
    assert stored["iql"]["learning_rate"] == 3e-3
    lines = [json.loads(line) for line in (config.out / "metrics.jsonl").read_text().splitlines()]
    assert [line["update"] for line in lines] == [50, 100, 150, 150, 200, 250, 300, 300]
    assert [line["evaluation"] for line in lines if "evaluation" in line] == [
        {"dog": {"return_mean": 150.0}},
        {"dog": {"return_mean": 300.0}},
    ]
    assert told == [(line["update"], line) for line in lines if "evaluation" not in line]
    assert finished.metrics == lines
    last = told[-1][1]
    for name in ("critic/v_loss", "critic/q_loss", "critic/q_mean", "actor/loss"):
        assert last[name] == pytest.approx((last[f"{name}/dog"] + last[f"{name}/crab"]) / 2)
    assert {"actor/weight_mean/dog", "actor/weight_std/dog", "actor/weight_clipped/dog"} <= set(
        last
    )
    assert last["wall_s"] >= lines[0]["wall_s"] > 0
    assert last["cpu_s"] >= lines[0]["cpu_s"] > 0
    assert sorted(path.name for path in (config.out / "checkpoints").iterdir()) == [
        "200.safetensors",
        "300.safetensors",
    ]


def test_an_interrupted_run_continues_to_the_same_bytes(config, run):
    """As a run killed after update 250 leaves its folder; test_resume.py really kills."""
    killed = small_run(config.out.parent, "killed")
    shutil.copytree(config.out, killed.out)
    (killed.out / "checkpoints" / "300.safetensors").unlink()
    shutil.rmtree(killed.out / "policy")
    lines = (config.out / "metrics.jsonl").read_text().splitlines(keepends=True)
    (killed.out / "metrics.jsonl").write_text("".join(lines[:-2]) + '{"update": 275, "wall')
    logged = []
    continued = train(
        killed, log=lambda update, line: logged.append(update), on_interval=evaluation
    )
    assert logged == [250, 300]  # from the checkpoint at 200
    for name in ("policy/policy.safetensors", "checkpoints/300.safetensors"):
        assert (killed.out / name).read_bytes() == (config.out / name).read_bytes()
    clock = {"wall_s": None, "cpu_s": None, "updates_per_s": None}
    assert [line | clock for line in continued.metrics] == [line | clock for line in run[0].metrics]


def test_a_run_says_with_what_and_how_long_it_was_made(config, run):
    began = read_json(config.out / "config.json")["provenance"]
    assert began["mujoco"] == mujoco.__version__
    last = run[0].metrics[-2]
    for folder in ("policy", "best"):
        card = read_json(config.out / folder / "card.json")["provenance"]
        assert card.keys() - began.keys() == {"wall_s", "cpu_s"}
        assert all(card[name] == began[name] for name in began.keys() - {"date"})
        assert (card["wall_s"], card["cpu_s"]) == (last["wall_s"], last["cpu_s"])
        assert card["date"] >= began["date"]


def test_a_run_says_by_what_it_was_continued(config, run):
    """Config.json keeps what began the run; what differs is added once."""
    stopped = small_run(config.out.parent, "continued elsewhere")
    shutil.copytree(config.out, stopped.out)
    shutil.rmtree(stopped.out / "policy")
    older = read_json(stopped.out / "config.json")
    write_json(
        stopped.out / "config.json", older | {"provenance": older["provenance"] | {"jax": "0.1"}}
    )
    for _ in range(2):
        train(stopped, on_interval=evaluation)
        shutil.rmtree(stopped.out / "policy")
    now = read_json(stopped.out / "config.json")
    assert now["provenance"]["jax"] == "0.1"
    (resumed,) = now["resumed"]
    assert (resumed["update"], resumed["jax"]) == (300, jax.__version__)


def test_the_best_on_the_way_is_kept(config, run):
    assert Policy.load(config.out / "best").card["update"] == 300
    falling = replace(
        config, out=config.out.parent / "falling", algorithm="bc", combine="pooled"
    )  # whatever is quickest to compile

    def worse(update, policy):
        return {"dog": {"return_mean": -float(update)}}

    def stop(update, line):
        if update == 250:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(falling, log=stop, on_interval=worse)
    train(falling, on_interval=worse)  # knows what was best before it was stopped
    assert Policy.load(falling.out / "best").card["update"] == 150


def test_data_on_the_host_teach_the_same_to_the_bit(config, run):
    host = train(replace(config, out=config.out.parent / "host", data_on="host", evaluate_every=0))
    for name in ("policy/policy.safetensors", "checkpoints/300.safetensors"):
        assert (host.path / name).read_bytes() == (config.out / name).read_bytes()
    assert host.metrics[-1]["critic/q_loss"] == run[0].metrics[-2]["critic/q_loss"]


def test_finished_run_is_returned_as_it_is(config, run):
    before = {path: path.stat().st_mtime_ns for path in config.out.rglob("*")}
    moved = replace(config, data=config.data.parent / "elsewhere")
    config.data.rename(moved.data)
    try:
        again = train(moved, log=lambda *_: pytest.fail("trained again"))
    finally:
        moved.data.rename(config.data)
    assert again.metrics == run[0].metrics
    assert {path: path.stat().st_mtime_ns for path in config.out.rglob("*")} == before


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"batch_size": 32}, "batch_size"),
        ({"algorithm": IQL(beta=1.0, learning_rate=3e-3)}, r"iql\.beta"),
        ({"combine": "pooled"}, "combine grouped"),
        ({"weights": {"crab": 2.0}}, r"weights\.crab"),
    ],
)
def test_other_settings_in_the_same_folder_are_refused(config, run, change, word):
    with pytest.raises(BodyplanError, match=word) as error:
        train(replace(config, **change))
    assert "--out" in str(error.value)


def copied_run(config, name):
    """The undisturbed run in another folder, and its settings there."""
    own = replace(config, out=config.out.parent / name)
    shutil.copytree(config.out, own.out)
    return own


def test_two_cannot_train_in_one_folder(config, run):
    own = copied_run(config, "shared")
    with writer_lock(own.out), pytest.raises(BodyplanError, match=f"process {os.getpid()} on"):
        train(replace(own, updates=400))
    assert Run(own.out).metrics == run[0].metrics


@pytest.mark.parametrize("name", ["card.json", "policy.safetensors"])
def test_a_finished_run_that_lost_its_policy_saves_it_again(config, run, name):
    own = copied_run(config, f"without_{name}")
    (own.out / "policy" / name).unlink()
    assert not Run(own.out).has_policy
    train(own, log=lambda *_: pytest.fail("trained again"))
    kept = config.out / "policy" / "policy.safetensors"
    assert (own.out / "policy" / "policy.safetensors").read_bytes() == kept.read_bytes()
    assert Run(own.out).policy.card["update"] == own.updates


@pytest.mark.parametrize("name", ["card.json", "policy.safetensors"])
def test_a_finished_run_whose_policy_is_damaged_saves_it_again(config, run, name):
    own = copied_run(config, f"damaged_{name}")
    damaged = own.out / "policy" / name
    os.truncate(damaged, damaged.stat().st_size // 2)
    with pytest.raises(BodyplanError, match=f"{name} .*`bodyplan train` again"):
        load_policy(own.out)
    train(own, log=lambda *_: pytest.fail("trained again"))
    kept = config.out / "policy" / "policy.safetensors"
    assert (own.out / "policy" / "policy.safetensors").read_bytes() == kept.read_bytes()
    assert Run(own.out).policy.card["update"] == own.updates


def test_a_finished_run_whose_checkpoint_is_damaged_is_not_called_whole(config, run):
    own = copied_run(config, "damaged_checkpoint")
    last = max((own.out / "checkpoints").iterdir(), key=lambda path: int(path.stem))
    os.truncate(last, 1000)
    with pytest.raises(BodyplanError, match=f"{last.name} .*remove that file"):
        train(own)


def test_checkpoints_of_nobody_knows_what_are_not_gone_on_with(config, run):
    own = copied_run(config, "nameless")
    (own.out / "config.json").unlink()
    with pytest.raises(BodyplanError, match="no config.json"):
        train(replace(own, batch_size=32))
    assert not (own.out / "config.json").exists()


def test_an_attempt_that_failed_at_once_does_not_block_its_folder(config, tmp_path):
    data, own = tmp_path / "data", replace(config, out=tmp_path / "run", data=tmp_path / "data")
    write_dataset(data, ROBOTS, steps=200)
    content = bytearray((data / "dog" / "joints.npy").read_bytes())
    content[-3] ^= 1
    (data / "dog" / "joints.npy").write_bytes(content)
    with pytest.raises(BodyplanError, match=r"joints.npy differs from its checksum"):
        train(own)
    short = {"updates": 2, "log_every": 2, "checkpoint_every": 2, "evaluate_every": 0}
    quick = {"algorithm": "bc", "combine": "pooled", "batch_size": 4}
    assert train(replace(own, verify=False, **quick, **short)).has_policy


def test_other_data_in_the_same_folder_are_refused(config, run):
    write_dataset(config.data.parent / "other", ROBOTS, steps=2000, seed=5)
    with pytest.raises(BodyplanError, match="data"):
        train(replace(config, data=config.data.parent / "other"))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"robots": ("dog", "cat")}, "cat"),
        ({"algorithm": "alchemy"}, "alchemy"),
        ({"network": "huge"}, "huge"),
        ({"checkpoint_every": 75}, "checkpoint_every is 75"),
        ({"updates": 0}, "updates is 0"),
        ({"robots_per_update": 1}, "robots_per_update is 1"),
        ({"weights": {"cat": 2.0}}, "cat"),
        ({"weights": {"crab": 0.0}}, "crab 0.0"),
        ({"group_critic": True, "combine": "pooled"}, "group_critic"),
        ({"actor_steps_per_iteration": 3}, "batch_size is 64"),
        ({"network": "flat"}, "flat is for one robot"),
        (
            {"network": "flat", "robots": ("dog",), "combine": "pooled", "q_actions": "joints"},
            "q_actions",
        ),
        ({"data": Path("nowhere")}, "nowhere"),
        ({"groups": Path("nowhere.json")}, "nowhere.json"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_written(config, change, word):
    out = config.out.parent / "refused"
    with pytest.raises(BodyplanError, match=word):
        train(replace(config, out=out, **change))
    assert not out.exists()


def test_damaged_checkpoint_is_named(config, run):
    out = config.out.parent / "damaged"
    (out / "checkpoints").mkdir(parents=True)
    shutil.copy(config.out / "config.json", out)
    latest = out / "checkpoints" / "100.safetensors"
    latest.write_bytes((config.out / "checkpoints" / "200.safetensors").read_bytes()[:-64])
    with pytest.raises(BodyplanError, match="100.safetensors"):
        train(replace(config, out=out))


def test_divergence_names_robot_and_update_and_keeps_the_checkpoint(config, run):
    # Squares of these rewards overflow; the file itself is finite, as a dataset's must be.
    data, out = config.data.parent / "wild", config.out.parent / "diverged"
    write_dataset(data, ROBOTS, steps=2000)
    rewards = np.array(read_array(data / "crab" / "rewards.npy"))
    write_array(data / "crab" / "rewards.npy", np.full_like(rewards, 1e30))
    (out / "checkpoints").mkdir(parents=True)
    good = (config.out / "checkpoints" / "200.safetensors").read_bytes()
    (out / "checkpoints" / "200.safetensors").write_bytes(good)
    settings = read_json(config.out / "config.json")
    write_json(out / "config.json", settings | {"dataset_card_sha256": sha256(data / "card.json")})
    with pytest.raises(BodyplanError, match=r"rewards.npy differs from its checksum"):
        train(replace(config, data=data, out=out))
    config = replace(config, verify=False)
    with pytest.raises(TrainingDiverged, match="crab .* update 201"):
        train(replace(config, data=data, out=out))
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["200.safetensors"]
    batch, _ = read_tensors(out / "diverged_201.safetensors")
    assert {name.partition(".")[0] for name in batch} == {"crab"}
    assert (batch["crab.reward"] == np.float32(1e30)).all()
    actions = read_array(data / "crab" / "actions.npy")
    np.testing.assert_array_equal(batch["crab.action"], actions[batch["crab.step"]])
    assert not (out / "policy").exists()


def test_updates_of_some_robots_resume_to_the_same_bytes(tmp_path):
    alike = {"dog": (3, 2), "cat": (3, 2), "ant": (3, 2)}
    write_dataset(tmp_path / "data", {**alike, "crab": (8, 4)}, steps=60)
    whole = TrainConfig(
        data=tmp_path / "data",
        out=tmp_path / "whole",
        algorithm="bc",
        combine="grouped",
        groups=[list(alike), ["crab"]],
        robots_per_update=3,
        network="tiny",
        batch_size=8,
        updates=8,
        log_every=1,
        checkpoint_every=4,
    )
    run = train(whole)
    for line in run.metrics:
        told = {robot for robot in (*alike, "crab") if f"actor/loss/{robot}" in line}
        assert "crab" in told
        assert len(told) == 3
    left_out = {
        robot for robot in alike for line in run.metrics if f"actor/loss/{robot}" not in line
    }
    assert left_out == set(alike)

    def stop(update, line):
        if update == 6:
            raise KeyboardInterrupt

    halves = replace(whole, out=tmp_path / "halves")
    with pytest.raises(KeyboardInterrupt):
        train(halves, log=stop)
    train(halves)
    for name in ("policy/policy.safetensors", "checkpoints/8.safetensors"):
        assert (halves.out / name).read_bytes() == (whole.out / name).read_bytes()


def test_the_seed_decides_weights_batches_and_order(config):
    setups = [TrainingSetup.of(replace(config, seed=seed)) for seed in (0, 1)]
    states = [setup.initial_state(setup.seed().number) for setup in setups]
    assert (states[0].key != states[1].key).any()
    assert setups[0].learner.order_seed != setups[1].learner.order_seed
    weights = [state.actor.policy.torso.first.weight for state in states]
    assert not np.allclose(*weights)
