"""An expert's course: what it yields, and that a killed one ends with the same bits."""

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
from bodyplan.experts.expert_observations import critic_input, mirror_maps
from bodyplan.experts.export_snapshot import constant_tensors
from bodyplan.experts.ppo import PPOConfig
from bodyplan.experts.ppo_runner import PPORunner
from bodyplan.experts.train_expert import train_expert
from bodyplan.robots.robot import Robot
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
    ppo=PPOConfig(num_envs=16, rollout_steps=16, epochs=2, minibatches=2, hidden=8),
)
HELPED = replace(CONFIG, robot="unitree_h1", command="both", log_replay=0)
"""A course whose robots are held, told several commands, and have a prior."""
LAST_CHECKPOINT, KILLED_AT = 6 * ITERATION, 8 * ITERATION
FILE = "checkpoint.safetensors"

KILLED_RUN = f"""
import os, signal, sys
from pathlib import Path
from test_train_expert import CONFIG, HELPED
from bodyplan.experts.train_expert import train_expert

def log(steps, metrics):
    if steps == {KILLED_AT}:
        os.kill(os.getpid(), signal.SIGKILL)

train_expert({{"CONFIG": CONFIG, "HELPED": HELPED}}[sys.argv[2]], Path(sys.argv[1]), log)
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Folder, snapshots and log of a run that nothing happened to."""
    folder, logged = tmp_path_factory.mktemp("undisturbed"), {}
    replay = folder.with_name("undisturbed.replay")
    snapshots = train_expert(CONFIG, folder, logged.__setitem__, replay)
    return folder, snapshots, logged


def kill(folder, config):
    """Train in another process until it is ended by SIGKILL."""
    homes = [Path(__file__).parent, Path(bodyplan.__file__).parents[1]]
    path = os.pathsep.join(map(str, [*homes, os.environ.get("PYTHONPATH", "")]))
    ended = subprocess.run(
        [sys.executable, "-c", KILLED_RUN, str(folder), config],
        env=os.environ | {"PYTHONPATH": path},
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Folder of a run that SIGKILL ended two iterations after its second checkpoint."""
    folder = tmp_path_factory.mktemp("killed")
    kill(folder, "CONFIG")
    chunks = [f"replay-{begin:012d}.npz" for begin in (0, 3 * ITERATION)]
    assert sorted(file.name for file in folder.iterdir()) == [FILE, *chunks]
    return folder


def test_a_run_yields_snapshots_at_equal_distances(undisturbed, tmp_path):
    folder, snapshots, logged = undisturbed
    assert snapshots.steps == tuple(n * ITERATION for n in (3, 6, 9, 12))
    assert list(logged) == [n * ITERATION for n in range(1, 13)]
    assert all(np.isfinite(list(metrics.values())).all() for metrics in logged.values())
    assert [file.name for file in folder.iterdir()] == [FILE]
    assert snapshots.card["settings"]["episode_steps"] == 250  # the robot's, as none was asked for
    snapshots.save(tmp_path / "run.safetensors")
    assert Snapshots.read(tmp_path / "run.safetensors").card["curve"][-1][0] == CONFIG.steps


def test_the_last_snapshot_acts_as_the_learner_does(undisturbed):
    folder, snapshots, _ = undisturbed
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


def test_the_log_is_what_the_learner_learned_from(undisturbed):
    folder, snapshots, _ = undisturbed
    log = Dataset.open(folder.with_name("undisturbed.replay"))
    episodes = log.episodes["unitree_go1"]
    assert episodes.num_steps == CONFIG.log_replay * CONFIG.steps // CONFIG.ppo.num_envs
    ends = log.card["robots"]["unitree_go1"]["training_steps"]
    assert max(ends) == CONFIG.steps
    assert ends.count(CONFIG.steps) == CONFIG.log_replay  # each robot's last episode is cut
    # The normaliser of the last snapshot has seen what all robots sensed, these among them.
    flat = episodes.joints[episodes.frame_indices()].reshape(episodes.num_steps, -1)
    mean = snapshots.tensors["observation_mean"][-1][: flat.shape[1]]
    assert np.corrcoef(flat.mean(axis=0), mean)[0, 1] > 0.9
    after = episodes.joints[episodes.frame_indices() + 1]
    np.testing.assert_allclose(after[:, :, 2], episodes.actions / 10.0, atol=1e-6)


def test_a_killed_run_continues_and_ends_with_the_same_bits(undisturbed, killed):
    folder, expected, logged = undisturbed
    continued = {}
    replay = killed.with_name("killed.replay")
    snapshots = train_expert(replace(CONFIG, threads=2), killed, continued.__setitem__, replay)
    assert min(continued) == LAST_CHECKPOINT + ITERATION  # from the checkpoint, not from nothing
    assert continued == {steps: logged[steps] for steps in continued}
    assert any(metrics["length"] > 0.0 for metrics in continued.values())  # robots were reset
    assert snapshots.card == expected.card
    for name, tensor in expected.tensors.items():
        np.testing.assert_array_equal(snapshots.tensors[name], tensor, err_msg=name)
    (told, _), (found, _) = read_tensors(folder / FILE), read_tensors(killed / FILE)
    assert told.keys() == found.keys()
    for name, tensor in told.items():
        np.testing.assert_array_equal(found[name], tensor, err_msg=name)
    whole = Dataset.open(folder.with_name("undisturbed.replay"))
    assert whole.verify() == []
    assert Dataset.open(replay).card == whole.card  # checksums of all arrays are in it


def test_a_killed_run_of_helped_robots_ends_with_the_same_bits(tmp_path):
    whole, folder = {}, tmp_path / "whole"
    expected = train_expert(HELPED, folder, whole.__setitem__)
    killed, continued = tmp_path / "killed", {}
    kill(killed, "HELPED")
    snapshots = train_expert(replace(HELPED, threads=2), killed, continued.__setitem__)
    assert continued == {steps: whole[steps] for steps in continued}
    assert len({metrics["life"] for metrics in whole.values()}) > 1  # they fell
    assert snapshots.card == expected.card
    for name, tensor in expected.tensors.items():
        np.testing.assert_array_equal(snapshots.tensors[name], tensor, err_msg=name)
    (told, _), (found, _) = read_tensors(folder / FILE), read_tensors(killed / FILE)
    for name, tensor in told.items():
        np.testing.assert_array_equal(found[name], tensor, err_msg=name)


def test_the_snapshot_of_a_helped_robot_is_actor_and_prior(tmp_path):
    course = PPORunner(replace(HELPED, steps=ITERATION))
    course.iterate()
    observation = Environment("unitree_h1", num_envs=5, initial_state="random", seed=3).observation
    senses = policy_input(observation)
    mean = course.learner.actor(course.learner.actor_normaliser(senses))
    own = {name: tensor[:1] for name, tensor in course.tensors.items()}
    snapshots = Snapshots(own | constant_tensors(course.prior), {"steps": [ITERATION]})
    policy = snapshots.policy(0)
    together = course.prior.added(np.asarray(mean), senses)
    assert np.abs(together).max() > 0.5
    np.testing.assert_allclose(policy.mean(observation), together, atol=5e-3)
    np.testing.assert_allclose(policy.std, course.learner.actor.std(), rtol=1e-3)
    path = tmp_path / "run.safetensors"
    train_expert(replace(HELPED, steps=ITERATION), tmp_path / "run").save(path)
    again = Snapshots.read(path).policy(0)
    np.testing.assert_array_equal(again.mean(observation), policy.mean(observation))


@pytest.mark.parametrize("config", [HELPED, replace(CONFIG, command="both")])
def test_helped_or_variously_told_robots_leave_no_log(config, tmp_path):
    with pytest.raises(BodyplanError, match="build from snapshots"):
        train_expert(replace(config, log_replay=3), tmp_path)


def test_a_finished_run_is_not_trained_again(undisturbed):
    folder, expected, _ = undisturbed
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
def test_a_folder_with_other_settings_is_refused_and_left_alone(undisturbed, other):
    folder, _, _ = undisturbed
    before = (folder / FILE).read_bytes()
    with pytest.raises(BodyplanError, match="other settings"):
        train_expert(other, folder)
    assert (folder / FILE).read_bytes() == before


def test_a_run_does_not_go_on_under_other_figures_of_the_robot(undisturbed, monkeypatch):
    robot = Robot.load(CONFIG.robot)
    poised = replace(robot, expert=replace(robot.expert, poised=True))
    monkeypatch.setattr(Robot, "load", staticmethod(lambda name: poised))
    with pytest.raises(BodyplanError, match="other settings, or other .expert. figures"):
        train_expert(CONFIG, undisturbed[0])


def test_a_damaged_checkpoint_is_named(undisturbed, tmp_path):
    whole = (undisturbed[0] / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BodyplanError, match=rf"{FILE} is truncated"):
        train_expert(CONFIG, tmp_path)


def test_the_critic_sees_the_policys_senses_first_and_then_the_rest():
    observation = Environment("unitree_go1", num_envs=2, initial_state="random").observation
    senses, everything = policy_input(observation), critic_input(observation)
    assert everything.shape[1] == senses.shape[1] + 4
    np.testing.assert_array_equal(everything[:, : senses.shape[1]], senses)
    general = observation.general
    rest = np.column_stack([general[:, :3], general[:, 12]])
    np.testing.assert_array_equal(everything[:, senses.shape[1] :], rest)


def test_a_symmetric_policy_needs_no_help():
    hexapod = Robot.load("hexapod")
    robot = replace(hexapod, expert=replace(hexapod.expert, symmetric=True))
    assert not robot.expert.assisted
    observation = Environment(robot, num_envs=2, initial_state="random", threads=1).observation
    sees, seen = critic_input(observation), mirror_maps(robot)
    assert seen.privileged(seen.privileged(sees)).tolist() == sees.tolist()


def test_who_was_held_ends_in_the_physics_of_the_task_and_resumes_there(tmp_path):
    course = PPORunner(HELPED)
    course.assistance.progress.level, course.assistance.progress.ended = 0.0, 0
    course.iterate()
    assert course.environment.physics == "fast"
    course.steps = 10_000_000
    for _ in range(3):  # from before the change, from just after it, and from later
        course.save(tmp_path / FILE)
        resumed = PPORunner(HELPED)
        resumed.resume(tmp_path / FILE)
        for one in (course, resumed):
            one.iterate()
            assert one.environment.physics == "reference"
            assert (one.horizon, one.environment.horizon) == (250, 60)
        np.testing.assert_array_equal(
            resumed.environment.simulator.states, course.environment.simulator.states
        )


def test_short_episodes_do_not_all_end_together():
    course = PPORunner(HELPED)
    course.assistance.progress.level, course.assistance.progress.ended = 0.0, 0
    course.environment.elapsed_steps[:] = 200
    course.steps = 10_000_000
    course.iterate()
    assert len(np.unique(course.environment.elapsed_steps)) > HELPED.ppo.num_envs // 2
