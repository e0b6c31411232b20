"""Data under two names: found however they were disguised, and never where there are none."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import synthetic_episodes, write_dataset

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.duplicates import duplicate_steps, fingerprints
from bodyplan.datasets.episodes import Episodes
from bodyplan.storage import write_json

LENGTH = 40


def reordered(episodes: Episodes) -> Episodes:
    """The same episodes from last to first, all of one length."""
    steps = np.arange(episodes.num_steps).reshape(-1, LENGTH)[::-1].ravel()
    frames = np.arange(len(episodes.general)).reshape(-1, LENGTH + 1)[::-1].ravel()
    names = ("actions", "rewards", "terminated", "truncated")
    arrays = {name: getattr(episodes, name)[steps] for name in names}
    arrays |= {name: getattr(episodes, name)[frames] for name in ("joints", "feet", "general")}
    return replace(episodes, **arrays)


def other_joints(episodes: Episodes) -> Episodes:
    return replace(episodes, joints=episodes.joints[:, ::-1], actions=episodes.actions[:, ::-1])


def headless(episodes: Episodes) -> Episodes:
    """Without the first episode."""
    frames = {name: getattr(episodes, name)[LENGTH + 1 :] for name in ("joints", "feet", "general")}
    names = ("actions", "rewards", "terminated", "truncated")
    steps = {name: getattr(episodes, name)[LENGTH:] for name in names}
    ends = episodes.episode_ends[1:] - LENGTH
    return replace(episodes, **frames, **steps, episode_ends=ends)


def other_rewards(episodes: Episodes) -> Episodes:
    return replace(episodes, rewards=episodes.rewards * np.float32(2.0))


def write(path, robots: dict[str, Episodes]) -> Dataset:
    """A dataset of given episodes, with the card of a synthetic one."""
    card = write_dataset(path, {"dog": (4, 2)}).card
    entries = {name: episodes.write(path / name) for name, episodes in robots.items()}
    write_json(path / "card.json", card | {"robots": entries})
    return Dataset.open(path)


@pytest.mark.parametrize("disguise", [reordered, other_joints, headless, other_rewards])
def test_a_copy_in_disguise_is_found(tmp_path, disguise):
    original = synthetic_episodes("dog", 4, 2)
    dataset = write(tmp_path, {"dog": original, "wolf": disguise(original)})
    faults = dataset.verify()
    assert faults
    assert all("wolf" in fault and "dog" in fault for fault in faults)


def test_datasets_that_share_a_robot_are_found_and_others_are_not(tmp_path):
    one = write_dataset(tmp_path / "one", seed=0)
    other = write_dataset(tmp_path / "other", seed=1)
    assert duplicate_steps(one.folders() | other.folders()) == []
    renamed = write(tmp_path / "third", {"horse": headless(synthetic_episodes("dog", 4, 2))})
    (fault,) = duplicate_steps(one.folders() | other.folders() | renamed.folders())
    assert f"{tmp_path}/third/horse" in fault
    assert f"{tmp_path}/one/dog share 100% of" in fault


def test_what_repeats_a_value_proves_nothing():
    episodes = synthetic_episodes("dog", 4, 2)
    lying = replace(
        episodes,
        rewards=np.zeros_like(episodes.rewards),
        general=np.ones_like(episodes.general),
    )
    assert [len(hashes) for hashes in fingerprints(lying).values()] == [0, 0]


def test_hashes_do_not_depend_on_where_a_stretch_lies():
    values = np.random.default_rng(0).random(140_000, np.float32)
    episodes = synthetic_episodes("dog", 4, 2)
    whole = fingerprints(replace(episodes, rewards=values))["rewards.npy"]
    late = fingerprints(replace(episodes, rewards=values[1234:]))["rewards.npy"]
    assert len(whole) == pytest.approx(140_000 / 16, rel=0.05)
    assert np.isin(late, whole).all()
