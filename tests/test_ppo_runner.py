"""The training loop: its snapshots, its last stage, its checkpoints and its statistics."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from bodyplan.datasets.policy_snapshots import Snapshots, policy_input
from bodyplan.envs.environment import Environment
from bodyplan.errors import BodyplanError
from bodyplan.experts.expert_config import ExpertConfig
from bodyplan.experts.ppo import PPOConfig
from bodyplan.experts.ppo_runner import EpisodeStatistics, PPORunner
from bodyplan.robots.registry import MODELS

FILE = "checkpoint.safetensors"
PPO = PPOConfig(num_envs=16, rollout_steps=16, epochs=2, minibatches=2, hidden_size=8)
ITERATION = 16 * 16
ASSISTED = ExpertConfig(
    robot="unitree_h1", command="both", steps=12 * ITERATION, threads=1, ppo=PPO
)


@pytest.fixture(scope="module")
def trained():
    """A run with assistance and an action prior, and the metrics of its only iteration."""
    runner = PPORunner(replace(ASSISTED, steps=ITERATION, snapshots=1))
    return runner, runner.iterate()


def test_a_snapshot_is_actor_and_prior(trained, tmp_path):
    runner, _ = trained
    observation = Environment("unitree_h1", num_envs=5, initial_state="random", seed=3).observation
    observations, state = policy_input(observation), runner.state
    mean = state.actor(state.actor_normaliser(observations))
    expected = runner.environment.action_prior.add_to(np.asarray(mean), observations)
    assert np.abs(expected).max() > 0.5
    card = {"steps": [ITERATION], "return_mean": [0.0], "length_mean": [0.0], "curve": []}
    card |= {"robot": "unitree_h1", "command": [1.0, 0.0, 0.0], "settings": {}}
    card |= {"expert": {"return_mean": 0.0}}
    snapshots = runner.recorder.snapshots(runner.environment.action_prior, card)
    policy = snapshots.policy(0)
    np.testing.assert_allclose(policy.mean(observation), expected, atol=5e-3)
    np.testing.assert_allclose(policy.std, state.actor.std(), rtol=1e-3)
    snapshots.save(tmp_path / "run.safetensors")
    again = Snapshots.read(tmp_path / "run.safetensors").policy(0)
    np.testing.assert_array_equal(again.mean(observation), policy.mean(observation))


def test_metrics_tell_of_assistance_and_update(trained):
    _, metrics = trained
    names = {"return", "length", "assistance", "expected_length", "velocity_error"}
    assert names | {"actor_loss", "critic_loss", "kl", "learning_rate", "std"} == metrics.keys()
    assert metrics["assistance"] == 1.0


def test_a_run_with_assistance_ends_in_reference_physics_and_resumes_there(tmp_path):
    runner = PPORunner(ASSISTED)
    runner.iterate()
    assert runner.environment.task.physics == "fast"
    progress = runner.environment.assistance.progress
    progress.level, progress.ended = 0.0, 0
    runner.steps = 10_000_000
    for _ in range(3):  # from before the change, from just after it, and from later
        runner.save(tmp_path / FILE)
        resumed = PPORunner(ASSISTED)
        resumed.resume(tmp_path / FILE)
        for one in (runner, resumed):
            one.iterate()
            assert one.environment.task.physics == "reference"
            assert (one.episode_steps, one.environment.task.horizon) == (250, 60)
        np.testing.assert_array_equal(
            resumed.environment.task.simulator.states, runner.environment.task.simulator.states
        )


def test_a_run_does_not_continue_under_another_expert_table(tmp_path):
    for file in MODELS.glob("unitree_go1.*"):
        shutil.copy(file, tmp_path)
    config = ExpertConfig(robot=str(tmp_path / "unitree_go1.xml"), threads=1, ppo=PPO)
    PPORunner(config).save(tmp_path / FILE)
    PPORunner(config).resume(tmp_path / FILE)
    toml = tmp_path / "unitree_go1.toml"
    toml.write_text(toml.read_text().replace("[expert]", "[expert]\npoised = true"))
    changed = PPORunner(config)
    assert changed.robot.expert.poised
    with pytest.raises(BodyplanError, match=r"\[expert\]"):
        changed.resume(tmp_path / FILE)


def test_statistics_are_means_over_the_last_episodes():
    statistics = EpisodeStatistics(2, window=3)
    assert statistics.means(1.0) == {"return": 0.0, "length": 0.0}
    never, first, both = (np.array(done) for done in ([False] * 2, [True, False], [True] * 2))
    statistics.add(np.array([1.0, 2.0]), never, np.array([1, 1]))
    statistics.add(np.array([1.0, 2.0]), first, np.array([2, 2]))
    assert statistics.means(1.0) == {"return": 2.0, "length": 2.0}
    statistics.add(np.array([10.0, 2.0]), both, np.array([1, 3]))
    statistics.add(np.array([4.0, 0.0]), first, np.array([1, 1]))
    # Only three count: 10 after 1 step, 6 after 3, 4 after 1; twice as long, twice as much.
    expected = {"return": pytest.approx(2.0 * 20.0 / 3.0), "length": pytest.approx(2.0 * 5.0 / 3.0)}
    assert statistics.means(2.0) == expected
