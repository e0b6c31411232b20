"""Whole episodes and their scores, with a fake environment whose episodes are known."""

import numpy as np
import pytest

from bodyplan.envs.environment import Environment, StepResult
from bodyplan.envs.walking_task import Observation
from bodyplan.evaluation.rollout import RolloutOutcome, rollout, score

LENGTHS = (2, 5, 3)
"""The first and second robot fall, the third runs out of time."""


class Scripted(Environment):
    """Robot n has reward n + 1 in a step, is 0.1 (n + 1) m/s too fast, and ends at `LENGTHS[n]`.

    After its end the reward is a thousand, and it may seem to end again.
    """

    def __init__(self):
        self.num_envs = len(LENGTHS)
        self.command = np.tile([1.0, 0.0, 0.0], (3, 1))
        self.actions = []
        self.resets = 0
        self.time = 0

    def reset(self, mask=None):
        assert mask is None
        self.resets += 1
        self.time = 0
        return self.now()

    def step(self, action):
        self.actions.append(np.array(action))
        self.time += 1
        number = np.arange(1, 4)
        over = self.time > np.array(LENGTHS)
        done = self.time >= np.array(LENGTHS)
        velocity = np.stack([1.0 + 0.1 * number, np.zeros(3), number], axis=1)
        velocity[over] = 50.0
        return StepResult(
            observation=self.now(),
            reward=np.where(over, 1000.0, number).astype(np.float32),
            terminated=done & (number < 3) & (self.time % 2 == np.array(LENGTHS) % 2),
            truncated=done & (number == 3),
            velocity=velocity,
            reward_terms=np.zeros((len(velocity), 15)),
        )

    def now(self):
        parts = (np.zeros((3, 2, 3)), np.zeros((3, 4, 2)), np.full((3, 13), self.time))
        return Observation(*(part.astype(np.float32) for part in parts))


def policy(observation):
    return observation.general[:, :2] * 10.0


def test_each_robot_has_one_episode_and_nothing_counts_after_it():
    environment = Scripted()
    outcome = rollout(environment, policy)
    assert outcome.lengths.tolist() == list(LENGTHS)
    np.testing.assert_allclose(outcome.returns, [2.0, 10.0, 9.0])
    np.testing.assert_allclose(outcome.velocity_errors, [0.1, 0.2, 0.3])
    np.testing.assert_allclose(outcome.velocities, [[1.1, 0.0], [1.2, 0.0], [1.3, 0.0]])
    assert outcome.falls.tolist() == [True, True, False]
    assert environment.resets == 1
    assert len(environment.actions) == max(LENGTHS)


def test_each_action_answers_the_latest_observation():
    environment = Scripted()
    rollout(environment, policy)
    assert [action[0, 0] for action in environment.actions] == [0.0, 10.0, 20.0, 30.0, 40.0]


def test_a_second_rollout_begins_anew():
    environment = Scripted()
    first, second = (rollout(environment, policy) for _ in range(2))
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, two)


def test_real_episodes_end_by_fall_or_horizon(load):
    environment = Environment(load("unitree_go1"), num_envs=2, horizon=30, threads=1)
    rough = 20.0 * np.random.default_rng(0).normal(size=12)

    def half_still(observation):
        return np.stack([np.zeros(12), rough])

    outcome = rollout(environment, half_still)
    assert outcome.lengths[0] == 30
    assert outcome.lengths[1] < 30
    assert outcome.falls.tolist() == [False, True]
    assert outcome.velocity_errors[0] == pytest.approx(1.0, abs=0.2)  # it stands, but should walk
    assert outcome.returns[0] > 0.0


def test_scores_are_means_and_a_standard_error():
    outcome = RolloutOutcome(
        returns=np.array([1.0, 2.0, 6.0]),
        lengths=np.array([10, 20, 60]),
        velocity_errors=np.array([0.1, 0.2, 0.6]),
        velocities=np.array([[0.0, 0.3], [0.0, 0.3], [0.9, 0.0]]),
        falls=np.array([True, False, False]),
    )
    scored = score(outcome)
    assert scored["return_mean"] == pytest.approx(3.0)
    assert scored["return_se"] == pytest.approx((7.0 / 3.0) ** 0.5)  # deviations 2, 1, 3
    assert scored["length_mean"] == pytest.approx(30.0)
    assert scored["velocity_error"] == pytest.approx(0.3)
    assert scored["velocity"] == pytest.approx([0.6, 0.1])  # 60 of 90 steps, 30 of 90
    assert scored["fall_share"] == pytest.approx(1.0 / 3.0)
    assert scored["returns"] == [1.0, 2.0, 6.0]


def test_a_single_episode_has_no_standard_error():
    one = np.array([0.5])
    outcome = RolloutOutcome(one, np.array([7]), one, np.array([[0.5, 0.0]]), np.array([True]))
    assert score(outcome)["return_se"] is None
