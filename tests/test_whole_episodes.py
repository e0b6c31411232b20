"""Whole episodes of recordings: made-up ones, counted by hand and against a closed form."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import synthetic_episodes, write_dataset

from bodyplan.datasets.dataset import Dataset, card_with_whole_episodes
from bodyplan.datasets.whole_episodes import WHOLE, is_whole, whole_episodes
from bodyplan.storage import read_json, write_json

EPISODES = synthetic_episodes("dog", 4, 2, steps=100, length=30)


def recording(*parts):
    """Episodes of a reward of 0.05 a step; a part is a length and `fall` or `cut`."""
    lengths, ends = zip(*parts, strict=True)
    stops = np.cumsum(lengths)
    terminated, truncated = np.zeros(stops[-1], bool), np.zeros(stops[-1], bool)
    for stop, end in zip(stops, ends, strict=True):
        (terminated if end == "fall" else truncated)[stop - 1] = True
    return replace(
        EPISODES,
        rewards=np.full(stops[-1], 0.05, np.float32),
        terminated=terminated,
        truncated=truncated,
        episode_ends=stops,
    )


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        # Each piece has 1000 steps: what begins later in it has less than a horizon.
        ([(1000, "cut"), (300, "fall"), (700, "cut")], [True, True, False]),
        ([(300, "fall"), (200, "fall"), (500, "cut"), (1000, "cut")], [True, False, False, True]),
        # A piece that ends in a fall, by chance in its last step.
        ([(300, "fall"), (700, "fall"), (1000, "cut")], [True, True, True]),
        ([(400, "cut"), (600, "cut")], [False, False]),
        ([(250, "fall"), (750, "cut"), (999, "cut"), (1, "fall")], [True, False, False, False]),
        # Longer pieces: the second episode still has its horizon.
        ([(500, "fall"), (600, "fall"), (900, "cut")], [True, True, False]),
        # Episodes of another horizon: their falls alone would be no mean of anything.
        ([(250, "cut"), (90, "fall"), (90, "fall"), (250, "cut"), (900, "fall")], None),
    ],
)
def test_an_episode_counts_if_it_had_a_horizon_left_when_it_began(parts, whole):
    if whole is None:
        *parts, _ = parts
        whole = [False] * len(parts)
    assert is_whole(recording(*parts)).tolist() == whole


def test_phases_count_by_their_steps_and_the_late_one_by_itself():
    piece = [(1000, "cut")]
    episodes = recording(*[(200, "fall"), (800, "cut")] * 3, *piece)
    segments = [{"phase": "early", "steps": 3000}, {"phase": "late", "steps": 1000}]
    found = whole_episodes(episodes, segments)
    assert found["episodes"] == 4
    assert found["falls"] == 3
    assert found["return_mean"] == pytest.approx(0.75 * 10.0 + 0.25 * 50.0)
    assert (found["best_episodes"], found["best_return_mean"]) == (1, pytest.approx(50.0))
    unknown = whole_episodes(episodes)
    assert unknown["return_mean"] == pytest.approx((3 * 10.0 + 50.0) / 4)
    assert (unknown["best_episodes"], unknown["best_return_mean"]) == (0, None)


def test_a_phase_without_whole_episodes_leaves_no_mean():
    episodes = recording((1000, "cut"), (400, "cut"), (100, "fall"), (500, "cut"))
    segments = [{"phase": "early", "steps": 1000}, {"phase": "late", "steps": 1000}]
    found = whole_episodes(episodes, segments)
    assert (found["episodes"], found["return_mean"], found["best_return_mean"]) == (1, None, None)


def test_in_many_pieces_the_mean_is_that_of_the_policy_and_falls_are_not_counted_too_often():
    """A policy that falls with probability p in each step, recorded in pieces of a horizon."""
    rng, hazard, parts = np.random.default_rng(0), 1.0 / 800.0, []
    for _ in range(600):
        left = 1000
        while left:
            length = min(int(rng.geometric(hazard)), left)
            parts.append((length, "cut" if length == left else "fall"))
            left -= length
    found = whole_episodes(recording(*parts))
    survived = np.exp(-1000 * hazard)
    assert found["episodes"] == pytest.approx(600, abs=5)
    assert 1.0 - found["falls"] / found["episodes"] == pytest.approx(survived, abs=0.06)
    expected = 0.05 * (1.0 - (1.0 - hazard) ** 1000) / hazard
    assert found["return_mean"] == pytest.approx(expected, rel=0.04)
    naive = [0.05 * length for length, end in parts if end == "fall" or length == 1000]
    assert np.mean(naive) < 0.9 * expected  # all that fell or went all the way


def test_cards_of_older_versions_are_completed_from_the_arrays(tmp_path):
    dataset = write_dataset(tmp_path / "data", {"dog": (4, 2)}, steps=2000, length=1000)
    assert WHOLE not in read_json(dataset.path / "card.json")["robots"]["dog"]
    card = card_with_whole_episodes(dataset.path)
    expected = whole_episodes(dataset["dog"], dataset.card["robots"]["dog"]["segments"])
    assert card["robots"]["dog"][WHOLE] == expected
    assert expected["best_episodes"] == 2
    assert card_with_whole_episodes(tmp_path / "gone") == {}
    content = read_json(dataset.path / "card.json")
    told = {**expected, "return_mean": 3.0}  # what a card says is not counted again
    content["robots"]["dog"][WHOLE] = told
    write_json(dataset.path / "card.json", content)
    assert card_with_whole_episodes(dataset.path)["robots"]["dog"][WHOLE] == told


def test_a_card_that_counts_otherwise_than_its_arrays_is_a_fault(tmp_path):
    dataset = write_dataset(tmp_path / "data", {"dog": (4, 2)}, steps=2000, length=1000)
    assert dataset.verify() == []
    card = card_with_whole_episodes(dataset.path)
    write_json(dataset.path / "card.json", card)
    assert Dataset.open(dataset.path).verify() == []
    card["robots"]["dog"][WHOLE]["return_mean"] += 5.0
    write_json(dataset.path / "card.json", card)
    assert any("whole" in fault for fault in Dataset.open(dataset.path).verify())
