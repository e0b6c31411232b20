"""Faults in cards and arrays, each found on episodes that are wrong in one thing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic import synthetic_episodes

from bodyplan.datasets.verification import (
    card_faults,
    checksum_faults,
    episode_faults,
    non_finite_faults,
)

EPISODES = synthetic_episodes("dog", 4, 2, steps=90, length=30, bodies=3)
CARD = {"command": [1.0, 0.0, 0.0], "robots": {"dog": EPISODES.summary()}}
FOLDER = Path("data/dog")


def test_sound_episodes_have_no_fault():
    assert episode_faults(FOLDER, EPISODES, CARD) == []
    assert card_faults(FOLDER, CARD) == []
    assert non_finite_faults(FOLDER, EPISODES) == []


def test_a_card_that_differs_from_its_seal():
    (fault,) = card_faults(Path("data"), CARD | {"seal": "00"})
    assert fault.startswith("data/card.json")
    assert "checksum" in fault


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"rewards": EPISODES.rewards.astype(np.float64)}, "rewards.npy holds float64"),
        ({"joints": EPISODES.joints[..., 0]}, "joints.npy holds float32"),
        ({"feet": EPISODES.feet[:0]}, "feet.npy holds float32"),
        ({"general": EPISODES.general[:, 1:]}, "general.npy has rows of [12]"),
        ({"descriptor_ids": EPISODES.descriptor_ids[1:]}, "descriptor_ids.npy has 92 rows, not 93"),
        ({"actions": EPISODES.actions[1:]}, "actions.npy has 89 rows, not 90"),
    ],
)
def test_one_fault_in_the_arrays(changes, word):
    (fault,) = episode_faults(FOLDER, replace(EPISODES, **changes), CARD)
    assert fault.startswith("data/dog/")
    assert word in fault


def test_files_without_a_checksum_and_checksums_without_a_file():
    entry = {
        "arrays": {"a.npy": {"sha256": "1"}, "b.npy": {"sha256": "3"}, "old.npy": {"sha256": "9"}}
    }
    faults = checksum_faults(FOLDER, {"a.npy": "1", "b.npy": "2"}, entry)
    assert ["b.npy" in faults[0], "old.npy" in faults[1], len(faults)] == [True, True, 2]


@pytest.mark.parametrize("name", ["joints", "feet", "general", "actions", "rewards"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_names_its_array(name, value):
    array = getattr(EPISODES, name).copy()
    array[-1] = value
    (fault,) = non_finite_faults(FOLDER, replace(EPISODES, **{name: array}))
    assert fault.startswith(f"data/dog/{name}.npy")
