"""Statistics of a robot's episodes, against sums made by hand and against real builds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import COMMAND, synthetic_episodes, synthetic_snapshots, write_dataset

from bodyplan.datasets.build import build_dataset
from bodyplan.datasets.recipes import Recipe, recipe_segments
from bodyplan.datasets.statistics import (
    BINS,
    full_returns,
    phase_shares,
    quality_shares,
    reference_return,
    return_histogram,
    robot_statistics,
)

EPISODES = synthetic_episodes("dog", 4, 2, steps=100, length=30)
RUN = synthetic_snapshots(steps=(100, 200, 300, 400), returns=(5.0, 10.0, 40.0, 50.0))


def test_a_fall_is_worth_what_it_earned_and_a_cut_episode_its_pace():
    ends = np.array([100, 300, 1300])
    rewards = np.full(1300, 0.05, np.float32)
    terminated = np.zeros(1300, bool)
    terminated[99] = True
    episodes = replace(EPISODES, rewards=rewards, episode_ends=ends, terminated=terminated)
    np.testing.assert_allclose(full_returns(episodes), [5.0, 50.0, 50.0], rtol=1e-5)


def test_without_an_expert_the_best_tenth_of_the_steps_is_the_reference():
    full, lengths = np.array([1.0, 40.0, 50.0]), np.array([900, 80, 20])
    judge = reference_return("dog", COMMAND, full, lengths)
    assert judge.source == "best tenth"
    assert judge.value == pytest.approx((50.0 * 20 + 40.0 * 80) / 100)
    assert judge.floor == 0.0
    packaged = reference_return("hexapod", COMMAND, full, lengths)
    assert packaged.source == "expert"
    assert 0.0 < packaged.floor < packaged.value


def test_quality_and_histogram_count_steps_and_not_episodes():
    full, lengths = np.array([0.0, 12.4, 12.6, 25.0, 38.0, 99.0]), np.array([1, 2, 3, 4, 5, 5])
    assert quality_shares(full, lengths, 50.0) == (0.15, 0.15, 0.2, 0.5)
    # From a floor of 10 the bounds are 20, 30 and 40.
    assert quality_shares(full, lengths, 50.0, 10.0) == (0.3, 0.2, 0.25, 0.25)
    bars = return_histogram(full, lengths, 50.0)
    assert sum(bars.steps) == 20
    assert bars.edges[20] == pytest.approx(50.0)
    assert (len(bars.steps), bars.steps[0], bars.steps[-1]) == (BINS, 1, 5)


def test_rewards_of_zero_are_a_histogram_too():
    assert return_histogram(np.zeros(3), np.array([2, 2, 2]), 0.0).steps == (6, *[0] * (BINS - 1))


def test_everything_about_one_robot(tmp_path):
    dataset = write_dataset(tmp_path / "set", {"dog": (4, 2)}, steps=90, length=30, bodies=3)
    row, episodes = robot_statistics(dataset, "dog"), dataset.episodes["dog"]
    assert (row.steps, row.episodes, row.bodies, row.falls) == (90, 3, 3, 2)
    assert row.return_mean == pytest.approx(dataset.card["robots"]["dog"]["return_mean"])
    assert row.return_quantiles["1.0"] == episodes.returns.max()
    assert row.phases == {"expert": 1.0}
    assert row.bytes == sum(path.stat().st_size for path in (tmp_path / "set/dog").iterdir())
    assert sum(row.quality) == pytest.approx(1.0)


@given(st.integers(200, 1_000_000), st.integers(1, 99))
def test_a_recipe_keeps_its_fraction_to_half_a_percent_of_the_steps(steps, percent):
    shares = recipe_segments(Recipe.parse(f"suboptimal{percent}"), RUN, steps)
    listed = [{"phase": share.phase, "steps": share.steps} for share in shares]
    assert phase_shares({"segments": listed})["early"] == pytest.approx(percent / 100, abs=0.005)


@pytest.mark.slow
def test_seventy_percent_suboptimal_data_are_poor_and_have_two_modes(tmp_path):
    dataset = build_dataset(tmp_path / "set", "unitree_go1", "suboptimal70", "forward", 8_000)
    row = robot_statistics(dataset, "unitree_go1")
    assert row.reference.source == "expert"
    assert row.phases == pytest.approx({"early": 0.7, "late": 0.3}, abs=0.005)
    assert row.return_mean < 0.6 * row.reference.value
    assert row.full_return_mean < 0.6 * row.reference.value
    shares = np.array(row.histogram.steps) / row.steps
    early, dip, late = shares[:12].sum(), shares[12:15].sum(), shares[15:].sum()
    assert early > 0.6  # below 60 % of the expert
    assert dip < 0.06
    assert late > 0.25  # above 75 %
