"""The mixture: every sample is a true step of its robot, whatever the batch and the program."""

import jax
import numpy as np
import pytest
from synthetic import synthetic_episodes, write_dataset

from bodyplan.datasets.episodes import Dataset
from bodyplan.datasets.mixture import Mixture
from bodyplan.errors import BodyplanError
from bodyplan.storage import write_array

STEPS, LENGTH = 60, 7


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("mixture") / "data", None, STEPS, LENGTH)


@pytest.fixture(scope="module")
def mixture(dataset):
    return Mixture.load(dataset)


def test_samples_are_steps_with_the_frames_before_and_after_them(dataset, mixture):
    batches = jax.jit(lambda mixture, key: mixture.sample(key, 500))(mixture, jax.random.key(0))
    for name, batch in zip(dataset.robots, batches, strict=True):
        episodes = dataset.episodes[name]
        # Found again by their action, step by step and episode by episode.
        place = {bytes(action): n for n, action in enumerate(episodes.actions)}
        starts = np.concatenate([[0], episodes.episode_ends[:-1]])
        drawn = [place[bytes(action)] for action in np.asarray(batch.action)]
        for row, n in enumerate(drawn):
            frame = n + int((starts <= n).sum()) - 1
            for field in ("joints", "feet", "general"):
                frames = getattr(episodes, field)
                here, after = (
                    getattr(batch.observation, field),
                    getattr(batch.next_observation, field),
                )
                np.testing.assert_array_equal(here[row], frames[frame])
                np.testing.assert_array_equal(after[row], frames[frame + 1])
        np.testing.assert_array_equal(batch.reward, episodes.rewards[drawn])
        np.testing.assert_array_equal(batch.terminated, episodes.terminated[drawn].astype("f4"))
        assert set(drawn) == set(range(STEPS))  # 500 draws of 60 steps miss one with p < 0.015
        assert np.bincount(drawn).max() < 30


def test_truncated_steps_bootstrap(dataset, mixture):
    episodes = dataset.episodes["dog"]
    assert episodes.truncated.any()
    (batch, *_) = mixture.sample(jax.random.key(1), 2000)
    assert float(batch.terminated.mean()) == pytest.approx(episodes.terminated.mean(), abs=0.03)
    assert batch.terminated.dtype == np.float32


def test_draws_depend_on_the_key_alone_and_differ_between_robots(mixture):
    first, again, other = (mixture.sample(jax.random.key(k), 40)[0].reward for k in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    twins = mixture.select([0, 0]).sample(jax.random.key(5), 40)
    assert (twins[0].reward != twins[1].reward).any()


def test_select_keeps_what_belongs_together(mixture):
    some = mixture.select([2, 0])
    assert some.robots == ("biped", "dog")
    assert [batch.action.shape for batch in some.sample(jax.random.key(0), 5)] == [(5, 3), (5, 4)]
    assert [part.joints.shape for part in some.descriptors] == [(3, 23), (4, 23)]


def test_rewards_are_scaled_by_the_spread_of_returns(dataset):
    mixture = Mixture.load(dataset, "per_robot")
    for name, scale, steps in zip(
        mixture.robots, mixture.reward_scales, mixture.transitions, strict=True
    ):
        rewards, ends = dataset.episodes[name].rewards, dataset.episodes[name].episode_ends
        returns = [part.sum(dtype=float) for part in np.split(rewards, ends[:-1])]
        assert scale == pytest.approx(1000.0 / (max(returns) - min(returns)))
        np.testing.assert_allclose(steps.rewards, rewards * scale, rtol=1e-6)
    assert Mixture.load(dataset).reward_scales == (1.0, 1.0, 1.0)


def test_one_return_gives_no_scale(tmp_path):
    dataset = write_dataset(tmp_path, {"dog": (2, 2)}, steps=10, length=10)
    with pytest.raises(BodyplanError, match="episodes of dog have the same return"):
        Mixture.load(dataset, "per_robot")


@pytest.mark.parametrize("name", ["general", "actions", "rewards"])
def test_nan_is_refused_with_the_files_name(tmp_path, name):
    write_dataset(tmp_path, {"dog": (2, 2)}, steps=10)
    array = np.array(getattr(synthetic_episodes("dog", 2, 2, steps=10), name))
    array[-1] = np.nan
    write_array(tmp_path / "dog" / f"{name}.npy", array)
    with pytest.raises(BodyplanError, match=rf"dog/{name}\.npy holds NaN"):
        Mixture.load(Dataset.open(tmp_path))


def test_the_mixture_does_not_hold_on_to_the_files(tmp_path):
    dataset = write_dataset(tmp_path, {"dog": (2, 2)}, steps=10)
    mixture = Mixture.load(dataset)
    before = np.array(mixture.transitions[0].actions)
    path = tmp_path / "dog" / "actions.npy"
    content = bytearray(path.read_bytes())
    content[-80:] = bytes(80)
    with path.open("r+b") as file:  # in place, as a memory map would see it
        file.write(content)
    np.testing.assert_array_equal(mixture.transitions[0].actions, before)
