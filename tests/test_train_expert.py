"""Training an expert: what a run yields, and that a killed one ends with the same bits."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bodyplan
from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.policy_snapshots import Snapshots, policy_input
from bodyplan.envs.environment import Environment
from bodyplan.errors import BodyplanError
from bodyplan.experts.expert_config import ExpertConfig
from bodyplan.experts.ppo import PPOConfig
from bodyplan.experts.train_expert import train_expert
from bodyplan.storage import read_tensors

ITERATION = 16 * 16
CONFIG = ExpertConfig(
    robot="unitree_go1",
    steps=12 * ITERATION,
    snapshots=4,
    ramp_steps=6 * ITERATION,
    checkpoint_every=3,
    threads=1,
    log_replay=3,
    ppo=PPOConfig(num_envs=16, rollout_steps=16, epochs=2, minibatches=2, hidden_size=8),
)
ASSISTED = replace(CONFIG, robot="unitree_h1", command="both", log_replay=0)
"""A run with assistance, several commands and an action prior."""
LAST_CHECKPOINT, KILLED_AT = 6 * ITERATION, 8 * ITERATION
FILE = "checkpoint.safetensors"

KILLED_RUN = f"""
import os, signal, sys
from pathlib import Path
from test_train_expert import CONFIG
from bodyplan.experts.train_expert import train_expert

def log(steps, metrics):
    if steps == {KILLED_AT}:
        os.kill(os.getpid(), signal.SIGKILL)

train_expert(CONFIG, Path(sys.argv[1]), log)
"""


class InterruptedRunError(Exception):
    """Ends a run from its callback."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Folder, snapshots and metrics of an uninterrupted run."""
    folder, logged = tmp_path_factory.mktemp("whole"), {}
    replay = folder.with_name("whole.replay")
    snapshots = train_expert(CONFIG, folder, logged.__setitem__, replay)
    return folder, snapshots, logged


@pytest.fixture(scope="module")
def killed(whole, tmp_path_factory):
    """Folder of a run that SIGKILL ended two iterations after its second checkpoint."""
    folder = tmp_path_factory.mktemp("killed")
    homes = [Path(__file__).parent, Path(bodyplan.__file__).parents[1]]
    path = os.pathsep.join(map(str, [*homes, os.environ.get("PYTHONPATH", "")]))
    ended = subprocess.run(
        [sys.executable, "-c", KILLED_RUN, str(folder)],
        env=os.environ | {"PYTHONPATH": path},
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    chunks = [f"replay-{start:012d}.npz" for start in (0, 3 * ITERATION)]
    assert sorted(file.name for file in folder.iterdir()) == [FILE, *chunks]
    return folder


def assert_same_tensors(path, other):
    tensors, others = read_tensors(path)[0], read_tensors(other)[0]
    assert tensors.keys() == others.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(others[name], tensor, err_msg=name)


def assert_same_snapshots(snapshots, others):
    assert snapshots.card == others.card
    for name, tensor in others.tensors.items():
        np.testing.assert_array_equal(snapshots.tensors[name], tensor, err_msg=name)


def test_a_run_yields_snapshots_at_equal_distances(whole, tmp_path):
    folder, snapshots, logged = whole
    assert snapshots.steps == tuple(n * ITERATION for n in (3, 6, 9, 12))
    assert list(logged) == [n * ITERATION for n in range(1, 13)]
    assert all(np.isfinite(list(metrics.values())).all() for metrics in logged.values())
    assert [file.name for file in folder.iterdir()] == [FILE]
    assert snapshots.card["settings"]["episode_steps"] == 250  # the robot's, as none was asked for
    graded = replace(snapshots, card=snapshots.card | {"expert": {"return_mean": 1.0}})
    graded.save(tmp_path / "run.safetensors")
    assert Snapshots.read(tmp_path / "run.safetensors").card["curve"][-1][0] == CONFIG.steps


def test_the_last_snapshot_acts_as_the_learner_does(whole):
    folder, snapshots, _ = whole
    saved, _ = read_tensors(folder / FILE)
    environment = Environment("unitree_go1", num_envs=5, initial_state="random", seed=3)
    hidden = policy_input(environment.observation)
    variance = saved["learner.actor_normaliser.variance"]
    hidden = (hidden - saved["learner.actor_normaliser.mean"]) / (np.sqrt(variance) + 1e-3)
    for layer in range(3):
        name = f"learner.actor.mlp.layers.{layer}"
        hidden = hidden @ saved[f"{name}.weight"].T + saved[f"{name}.bias"]
        if layer < 2:
            hidden = np.where(hidden > 0.0, hidden, np.expm1(hidden))
    policy = snapshots.policy(-1)
    assert np.abs(hidden).max() > 0.01
    np.testing.assert_allclose(policy.mean(environment.observation), hidden, atol=5e-3)
    np.testing.assert_allclose(policy.std, np.exp(saved["learner.actor.log_std"]), rtol=1e-3)


def test_the_log_is_what_the_learner_learned_from(whole):
    folder, snapshots, _ = whole
    log = Dataset.open(folder.with_name("whole.replay"))
    episodes = log.episodes["unitree_go1"]
    assert episodes.num_steps == CONFIG.log_replay * CONFIG.steps // CONFIG.ppo.num_envs
    ends = log.card["robots"]["unitree_go1"]["training_steps"]
    assert max(ends) == CONFIG.steps
    assert ends.count(CONFIG.steps) == CONFIG.log_replay  # each robot's last episode is cut
    # The normaliser of the last snapshot has seen the observations of all robots, logged or not.
    flat = episodes.joints[episodes.frame_indices()].reshape(episodes.num_steps, -1)
    mean = snapshots.tensors["observation_mean"][-1][: flat.shape[1]]
    assert np.corrcoef(flat.mean(axis=0), mean)[0, 1] > 0.9
    after = episodes.joints[episodes.frame_indices() + 1]
    np.testing.assert_allclose(after[:, :, 2], episodes.actions / 10.0, atol=1e-6)


def test_a_killed_run_continues_and_ends_with_the_same_bits(whole, killed):
    folder, expected, logged = whole
    continued = {}
    replay = killed.with_name("killed.replay")
    snapshots = train_expert(replace(CONFIG, threads=2), killed, continued.__setitem__, replay)
    assert min(continued) == LAST_CHECKPOINT + ITERATION  # from the checkpoint, not from nothing
    assert continued == {steps: logged[steps] for steps in continued}
    assert any(metrics["length"] > 0.0 for metrics in continued.values())  # robots were reset
    assert_same_snapshots(snapshots, expected)
    assert_same_tensors(folder / FILE, killed / FILE)
    dataset = Dataset.open(folder.with_name("whole.replay"))
    assert dataset.verify() == []
    assert Dataset.open(replay).card == dataset.card  # checksums of all arrays are in it


def test_an_interrupted_run_with_assistance_ends_with_the_same_bits(tmp_path):
    logged, continued = {}, {}
    expected = train_expert(ASSISTED, tmp_path / "whole", logged.__setitem__)

    def interrupt(steps, metrics):
        if steps == KILLED_AT:
            raise InterruptedRunError

    folder = tmp_path / "interrupted"
    with pytest.raises(InterruptedRunError):
        train_expert(ASSISTED, folder, interrupt)
    snapshots = train_expert(replace(ASSISTED, threads=2), folder, continued.__setitem__)
    assert min(continued) == LAST_CHECKPOINT + ITERATION
    assert continued == {steps: logged[steps] for steps in continued}
    lengths = {metrics["expected_length"] for metrics in logged.values()}
    assert len(lengths) > 1  # they fell
    assert_same_snapshots(snapshots, expected)
    assert_same_tensors(tmp_path / "whole" / FILE, folder / FILE)


@pytest.mark.parametrize("config", [ASSISTED, replace(CONFIG, command="both")])
def test_robots_with_assistance_or_several_commands_leave_no_log(config, tmp_path):
    with pytest.raises(BodyplanError, match="--log-replay"):
        train_expert(replace(config, log_replay=3), tmp_path)


@pytest.mark.parametrize(
    ("change", "option"),
    [({"steps": 0}, "steps"), ({"snapshots": 0}, "snapshots"), ({"log_replay": 17}, "16")],
)
def test_numbers_out_of_range_are_errors(change, option, tmp_path):
    with pytest.raises(BodyplanError, match=option):
        train_expert(replace(CONFIG, **change), tmp_path)


def test_a_finished_run_is_not_trained_again(whole):
    folder, expected, _ = whole
    before = (folder / FILE).read_bytes()

    def never(steps, metrics):
        raise AssertionError("trained")

    again = train_expert(CONFIG, folder, never)
    assert again.card == expected.card
    assert (folder / FILE).read_bytes() == before


@pytest.mark.parametrize(
    "other",
    [
        replace(CONFIG, seed=1),
        replace(CONFIG, command="backward"),
        replace(CONFIG, steps=13 * ITERATION),
        replace(CONFIG, robot="anymal_c"),
        replace(CONFIG, ppo=replace(CONFIG.ppo, num_envs=8)),
    ],
)
def test_a_folder_with_other_settings_is_refused_and_left_alone(whole, other):
    folder, _, _ = whole
    before = (folder / FILE).read_bytes()
    with pytest.raises(BodyplanError, match="other settings"):
        train_expert(other, folder)
    assert (folder / FILE).read_bytes() == before


def test_a_damaged_checkpoint_is_named(whole, tmp_path):
    checkpoint = (whole[0] / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(checkpoint[: len(checkpoint) // 2])
    with pytest.raises(BodyplanError, match=FILE):
        train_expert(CONFIG, tmp_path)


def test_checkpoints_and_snapshots_keep_the_names_of_earlier_versions(whole):
    """So that their files still open."""
    folder, snapshots, _ = whole
    tensors, _ = read_tensors(folder / FILE)
    layers = [f"mlp.layers.{i}.{part}" for i in range(3) for part in ("weight", "bias")]
    moments = [f"1.{moment}.{name}" for moment in ("mu", "nu") for name in layers]
    learner = {f"{net}.{name}" for net in ("actor", "critic") for name in layers}
    learner |= {f"{net}_optimiser.{name}" for net in ("actor", "critic") for name in moments}
    learner |= {f"{net}_optimiser.1.count" for net in ("actor", "critic")}
    learner |= {"actor.log_std", "actor_optimiser.1.mu.log_std", "actor_optimiser.1.nu.log_std"}
    learner |= {
        f"{net}_normaliser.{part}"
        for net in ("actor", "critic")
        for part in ("mean", "variance", "seen")
    }
    names = {name.removeprefix("learner.") for name in tensors if name.startswith("learner.")}
    assert names == learner | {"learning_rate", "key"}
    policies = {name.removeprefix("tensors.") for name in tensors if name.startswith("tensors.")}
    assert policies == snapshots.tensors.keys()
    ppo = snapshots.card["settings"]["ppo"]
    assert {"trace", "clip", "spread_learning_rate", "hidden"} < ppo.keys()
    settings = {"conditions", "first_penalties", "guide", "final_std", "ramp_steps", "log_replay"}
    assert settings < snapshots.card["settings"].keys()
