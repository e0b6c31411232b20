"""Scales: standardised over all robots alike, written down exactly, and never the robot's own."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest
from synthetic import synthetic_episodes, write_dataset

from bodyplan.envs.walking_task import Observation
from bodyplan.errors import BodyplanError
from bodyplan.learn.data.normalisation import ObservationScale, reward_factor
from bodyplan.learn.data.training_data import TrainingData
from bodyplan.learn.data.transitions import MemoryData, RobotTable


@pytest.fixture(scope="module")
def robots():
    """Robots of unlike builds and unlike amounts of data."""
    return [synthetic_episodes("dog", 4, 2, steps=300), synthetic_episodes("crab", 6, 4, steps=90)]


def frames(episodes):
    return Observation(episodes.joints, episodes.feet, episodes.general)


def test_each_kind_of_number_is_standard_when_each_robot_counts_once(robots):
    scale = ObservationScale.of(robots)
    scaled = [scale(frames(episodes)) for episodes in robots]
    for part, width in (("joints", 3), ("feet", 2), ("general", 13)):
        kinds = [getattr(one, part).reshape(-1, width) for one in scaled]
        mean = np.mean([one.mean(axis=0) for one in kinds], axis=0)
        square = np.mean([np.square(one).mean(axis=0) for one in kinds], axis=0)
        varying = getattr(scale.std, part) > 0.01
        np.testing.assert_allclose(mean, 0.0, atol=1e-4)
        np.testing.assert_allclose(square[varying], 1.0, rtol=0.2)
        assert np.isfinite(square).all()  # also of what never varies


def test_robots_keep_what_tells_them_apart(robots):
    scale = ObservationScale.of(robots)
    for one, other in zip(frames(robots[0]), scale(frames(robots[0])), strict=True):
        flat = one.reshape(-1, one.shape[-1]), other.reshape(-1, one.shape[-1])
        assert (np.argsort(flat[0][:50, 0]) == np.argsort(flat[1][:50, 0])).all()
    alone = ObservationScale.of(robots[:1])
    assert not np.allclose(alone.std.joints, scale.std.joints)


def test_it_is_written_down_exactly(robots):
    scale = ObservationScale.of(robots)
    read = ObservationScale.from_json(json.loads(json.dumps(scale.to_json())))
    for kind in ObservationScale._fields:
        for one, other in zip(getattr(scale, kind), getattr(read, kind), strict=True):
            np.testing.assert_array_equal(one, other)
            assert other.dtype == np.float32


def test_batches_hold_scaled_observations_and_the_run_their_scale(tmp_path):
    dataset = write_dataset(tmp_path / "data", steps=40)
    rows = np.broadcast_to(np.arange(40), (3, 40))
    raw, shared = (TrainingData.of(dataset, observation_scale=s) for s in ("none", "shared"))
    assert raw.observation_scale is None
    before, after = (RobotTable.of(own).unpack(MemoryData(own).read(rows)) for own in (raw, shared))
    for robot in range(3):
        one, other = before.robot(robot), after.robot(robot)
        for part in ("observation", "next_observation"):
            expected = shared.observation_scale(getattr(one, part))
            for found, own in zip(getattr(other, part), expected, strict=True):
                np.testing.assert_allclose(found, own, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(other.action, one.action)
        np.testing.assert_array_equal(other.reward, one.reward)


@pytest.mark.parametrize("rewards", [np.full(4, 0.5), 0.5 + 1e-7 * np.arange(4), np.zeros(4)])
def test_returns_that_are_nearly_equal_give_no_scale(rewards):
    ends = np.arange(1, 5)
    episodes = replace(
        synthetic_episodes("dog", 4, 2, steps=4, length=1),
        rewards=rewards.astype(np.float32),
        episode_ends=ends,
    )
    with pytest.raises(BodyplanError, match="nearly the same return"):
        reward_factor("dog", episodes, "per_robot")


def test_scales_of_older_cards_are_read(tmp_path):
    """They call the standard deviations `spread`."""
    dataset = write_dataset(tmp_path, {"dog": (2, 2)}, steps=40)
    scale = ObservationScale.of(tuple(dataset.episodes.values()))
    card = scale.to_json()
    older = ObservationScale.from_json({"mean": card["mean"], "spread": card["std"]})
    jax.tree.map(np.testing.assert_array_equal, older, scale)
