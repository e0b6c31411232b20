"""Returns of recorded steps, against sums by hand and a value in closed form."""

import math

import numpy as np
import pytest
from synthetic import synthetic_episodes

from bodyplan.datasets.episodes import Episodes
from bodyplan.learn.data.discounted_returns import (
    MISSING_SHARE,
    discounted_returns,
    known_returns,
    steps_to_know,
)
from bodyplan.robots.descriptors import RobotDescriptor


def episodes_of(rewards, terminated, truncated):
    """Episodes of which only rewards and ends matter."""
    terminated, truncated = np.array(terminated, bool), np.array(truncated, bool)
    ends = np.flatnonzero(terminated | truncated) + 1
    nothing = np.zeros((len(rewards) + len(ends), 1))
    body = RobotDescriptor(*(np.zeros((1, 1)) for _ in range(3)))
    rewards = np.asarray(rewards, np.float32)
    return Episodes(
        nothing, nothing, nothing, rewards[:, None], rewards, terminated, truncated, ends, body
    )


def test_returns_are_the_discounted_sums_to_each_episodes_end():
    episodes = synthetic_episodes("dog", 3, 2, steps=90, length=13)
    returns, start = discounted_returns(episodes, 0.9), 0
    for end in episodes.episode_ends:
        for step in range(start, end):
            rewards = episodes.rewards[step:end].astype(float)
            expected = sum(0.9**k * reward for k, reward in enumerate(rewards))
            assert returns[step] == pytest.approx(expected, rel=1e-12)
        start = end


def test_a_step_counts_where_its_recording_went_on_long_enough_whether_it_fell_or_not():
    gamma = MISSING_SHARE ** (1 / 3)  # after three steps all but the share is earned
    assert steps_to_know(gamma) == pytest.approx(3.0)
    #         falls at 1; the recording goes on to 6; then one that is cut at 8
    terminated = [0, 1, 0, 0, 0, 0, 0, 0]
    truncated = [0, 0, 0, 0, 0, 1, 0, 1]
    episodes = episodes_of(np.ones(8), terminated, truncated)
    assert known_returns(episodes, gamma * 0.999).tolist() == [True] * 4 + [False] * 4
    assert known_returns(episodes, 0.0).all()
    assert not known_returns(episodes, 1.0).any()


def test_known_steps_have_the_value_of_their_states_on_average():
    """A reward of 1 until a fall that comes with probability p: V = 1 / (1 - gamma (1 - p))."""
    rng, gamma, fall, length = np.random.default_rng(0), 0.95, 0.02, 100
    terminated = rng.random(200_000) < fall
    cut = np.arange(len(terminated)) % length == length - 1
    episodes = episodes_of(np.ones(len(cut)), terminated & ~cut, cut)
    returns, known = discounted_returns(episodes, gamma), known_returns(episodes, gamma)
    value = 1.0 / (1.0 - gamma * (1.0 - fall))
    missing = (gamma * (1.0 - fall)) ** math.ceil(steps_to_know(gamma))
    assert value * (1.0 - missing) * 0.99 < returns[known].mean() < value * 1.01
    # Keeping every step before a fall would find robots worse than they are.
    fell = np.repeat(episodes.terminated[episodes.episode_ends - 1], episodes.lengths)
    assert returns[known | fell].mean() < 0.95 * value
