"""The mixture: every sample is a true step of its robot, whatever the batch and the program."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from scipy.stats import chisquare
from synthetic import sample_batches, synthetic_episodes, write_dataset

from bodyplan.datasets.dataset import Dataset
from bodyplan.errors import BodyplanError
from bodyplan.learn.data.batches import DeviceData
from bodyplan.storage import write_array

STEPS, LENGTH = 60, 7


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("mixture") / "data", None, STEPS, LENGTH)


@pytest.fixture(scope="module")
def mixture(dataset):
    return DeviceData.load(dataset)


def test_samples_are_steps_with_the_frames_before_and_after_them(dataset, mixture):
    batches = sample_batches(mixture, jax.random.key(0), 500)
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


def numbered(name, lengths, terminated):
    """Episodes whose every frame and step says where it is: joints, actions and rewards count."""
    ends, frames = np.cumsum(lengths), sum(lengths) + len(lengths)
    episodes = synthetic_episodes(name, 2, 1, steps=int(ends[-1]), length=max(lengths))
    done = np.zeros(ends[-1], bool)
    done[ends - 1] = True
    fell = np.zeros_like(done)
    fell[ends - 1] = terminated
    return replace(
        episodes,
        joints=np.broadcast_to(np.arange(frames, dtype="f4")[:, None, None], (frames, 2, 3)),
        feet=np.zeros((frames, 1, 2), "f4"),
        general=np.zeros((frames, 13), "f4"),
        rewards=np.arange(ends[-1], dtype="f4"),
        terminated=fell,
        truncated=done & ~fell,
        episode_ends=ends,
    )


def test_every_step_of_every_robot_is_as_likely_and_leads_to_its_own_next_frame(tmp_path):
    # By hand: steps 0, 1, 2 | 3 | 4, 5 start from frames 0, 1, 2 | 4 | 6, 7; the second falls.
    robots = {
        "short": numbered("short", [3, 1, 2], [False, True, False]),
        "long": numbered("long", [40, 7, 53], [True, False, True]),
    }
    dataset = Dataset(tmp_path, {}, tuple(robots), robots)
    short, long = sample_batches(DeviceData.load(dataset), jax.random.key(3), 6000)
    frame_of = np.array([0, 1, 2, 4, 6, 7])
    rows = np.asarray(short.reward).astype(int)
    np.testing.assert_array_equal(short.observation.joints[:, 0, 0], frame_of[rows])
    np.testing.assert_array_equal(short.next_observation.joints[:, 0, 0], frame_of[rows] + 1)
    np.testing.assert_array_equal(short.terminated, rows == 3)
    rows = np.asarray(long.reward).astype(int)
    np.testing.assert_array_equal(long.terminated, np.isin(rows, [39, 99]))
    after_the_clock = rows == 46  # truncated: its closing frame is 48, the next episode's first 49
    np.testing.assert_array_equal(long.next_observation.joints[after_the_clock, 0, 0], 48.0)
    # Both robots give as many samples, whatever their sizes, and each step its share of them.
    for batch, steps in ((short, 6), (long, 100)):
        counts = np.bincount(np.asarray(batch.reward).astype(int), minlength=steps)
        assert counts.sum() == 6000
        assert chisquare(counts).pvalue > 1e-3


def test_samples_know_the_bodies_before_and_after(tmp_path):
    dataset = write_dataset(tmp_path, {"dog": (4, 2), "crab": (6, 4)}, STEPS, LENGTH, bodies=3)
    mixture = DeviceData.load(dataset)
    assert [part.shape for part in mixture.descriptors[0]] == [(3, 4, 23), (3, 2, 10), (3, 7)]
    changed = 0
    for name, batch in zip(
        dataset.robots, sample_batches(mixture, jax.random.key(0), 300), strict=True
    ):
        episodes = dataset.episodes[name]
        place = {bytes(joints): n for n, joints in enumerate(episodes.joints)}
        for seen, ids in (
            (batch.observation, batch.descriptor_ids),
            (batch.next_observation, batch.next_descriptor_ids),
        ):
            frames = [place[bytes(joints)] for joints in np.asarray(seen.joints)]
            np.testing.assert_array_equal(ids, episodes.descriptor_ids[frames])
        changed += int((batch.descriptor_ids != batch.next_descriptor_ids).sum())
    assert changed > 0


def test_one_body_costs_its_samples_nothing(dataset, mixture):
    assert [part.shape for part in mixture.descriptors[0]] == [(4, 23), (2, 10), (7,)]
    (batch, *_) = sample_batches(mixture, jax.random.key(0), 5)
    assert batch.descriptor_ids is None
    assert batch.next_descriptor_ids is None


def test_bodies_that_are_not_there_are_refused(tmp_path):
    dataset = write_dataset(tmp_path, {"dog": (2, 2)}, steps=40, bodies=2)
    ids = np.array(dataset.episodes["dog"].descriptor_ids)
    ids[7] = 2
    write_array(tmp_path / "dog" / "descriptor_ids.npy", ids)
    with pytest.raises(BodyplanError, match="descriptor_ids.npy"):
        DeviceData.load(Dataset.open(tmp_path))


def test_truncated_steps_bootstrap(dataset, mixture):
    episodes = dataset.episodes["dog"]
    assert episodes.truncated.any()
    (batch, *_) = sample_batches(mixture, jax.random.key(1), 2000)
    assert float(batch.terminated.mean()) == pytest.approx(episodes.terminated.mean(), abs=0.03)
    assert batch.terminated.dtype == np.float32


def test_draws_depend_on_the_key_alone_and_differ_between_robots(mixture):
    first, again, other = (
        sample_batches(mixture, jax.random.key(k), 40)[0].reward for k in (5, 5, 6)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    twins = DeviceData(
        robots=("dog", "dog"),
        descriptors=mixture.descriptors[:1] * 2,
        transitions=mixture.transitions[:1] * 2,
        reward_scales=(1.0, 1.0),
        observation_scale=None,
    ).sample(jax.random.key(5), 40)
    assert (twins[0].reward != twins[1].reward).any()


def test_rewards_are_scaled_by_the_spread_of_returns(dataset):
    mixture = DeviceData.load(dataset, "per_robot")
    for name, scale, steps in zip(
        mixture.robots, mixture.reward_scales, mixture.transitions, strict=True
    ):
        rewards, ends = dataset.episodes[name].rewards, dataset.episodes[name].episode_ends
        returns = [part.sum(dtype=float) for part in np.split(rewards, ends[:-1])]
        assert scale == pytest.approx(1000.0 / (max(returns) - min(returns)))
        np.testing.assert_allclose(steps.rewards, rewards * scale, rtol=1e-6)
    assert DeviceData.load(dataset).reward_scales == (1.0, 1.0, 1.0)


def test_one_return_gives_no_scale(tmp_path):
    dataset = write_dataset(tmp_path, {"dog": (2, 2)}, steps=10, length=10)
    with pytest.raises(BodyplanError, match="dog"):
        DeviceData.load(dataset, "per_robot")


@pytest.mark.parametrize("name", ["general", "actions", "rewards"])
def test_nan_is_refused_with_the_files_name(tmp_path, name):
    write_dataset(tmp_path, {"dog": (2, 2)}, steps=10)
    array = np.array(getattr(synthetic_episodes("dog", 2, 2, steps=10), name))
    array[-1] = np.nan
    write_array(tmp_path / "dog" / f"{name}.npy", array)
    with pytest.raises(BodyplanError, match=rf"dog/{name}\.npy"):
        DeviceData.load(Dataset.open(tmp_path))


def test_the_mixture_does_not_hold_on_to_the_files(tmp_path):
    dataset = write_dataset(tmp_path, {"dog": (2, 2)}, steps=10)
    mixture = DeviceData.load(dataset)
    before = np.array(mixture.transitions[0].actions)
    path = tmp_path / "dog" / "actions.npy"
    content = bytearray(path.read_bytes())
    content[-80:] = bytes(80)
    with path.open("r+b") as file:  # in place, as a memory map would see it
        file.write(content)
    np.testing.assert_array_equal(mixture.transitions[0].actions, before)
