"""Schedules of recordings: which snapshot acts where, and where episodes are cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyplan.datasets.recipes import RecipeSegment
from bodyplan.datasets.rollout_schedule import DEFAULT_SIZES, RecordingSizes, schedule_rollouts
from bodyplan.errors import BodyplanError


@given(
    st.lists(st.integers(1, 3000), min_size=1, max_size=6),
    st.integers(0, 5000),
    st.integers(1, 300_000),
)
def test_environments_share_consecutive_steps_equally_and_are_cut_where_the_segment_changes(
    counts, start, steps
):
    run = [RecipeSegment(10 + i, n, "replay") for i, n in enumerate([*counts, 400_000])]
    schedule = schedule_rollouts(run, start, start + steps, DEFAULT_SIZES)
    assert schedule.lengths.sum() == steps
    assert schedule.lengths[0] - schedule.lengths[-1] in (0, 1)
    assert (np.diff(schedule.lengths) <= 0).all()
    assert len(schedule.lengths) == min(256, -(-steps // 1000))
    np.testing.assert_array_equal(schedule.offsets, [0, *np.cumsum(schedule.lengths)[:-1]])
    whole = np.repeat([s.snapshot for s in run], [s.steps for s in run])
    acting = whole[start : start + steps]
    np.testing.assert_array_equal(schedule.snapshot, acting)
    changes = set(np.flatnonzero(acting[1:] != acting[:-1]).tolist())
    last_rows = set((np.cumsum(schedule.lengths) - 1).tolist())
    assert set(np.flatnonzero(schedule.cut).tolist()) == changes | last_rows


def test_neighbouring_phases_of_one_snapshot_are_cut_apart():
    run = [RecipeSegment(0, 5, "early"), RecipeSegment(0, 5, "late")]
    schedule = schedule_rollouts(run, 0, 10, DEFAULT_SIZES)
    assert np.flatnonzero(schedule.cut).tolist() == [4, 9]


def test_sizes_decide_the_number_of_environments():
    run = [RecipeSegment(0, 100, "expert")]
    assert len(schedule_rollouts(run, 0, 100, RecordingSizes(rollout_steps=25)).lengths) == 4
    few = RecordingSizes(rollout_steps=25, max_envs=3)
    assert schedule_rollouts(run, 0, 100, few).lengths.tolist() == [34, 33, 33]


def test_only_sizes_other_than_the_default_are_in_the_card():
    assert RecordingSizes().card() == {}
    assert RecordingSizes(part_steps=7).card()["recording_sizes"]["part_steps"] == 7


def test_every_second_environment_starts_anew():
    run = [RecipeSegment(0, 40, "early"), RecipeSegment(1, 60, "late")]
    sizes = RecordingSizes(rollout_steps=25, restart_steps=10)
    schedule = schedule_rollouts(run, 0, 100, sizes)
    assert schedule.offsets.tolist() == [0, 25, 50, 75]
    assert np.flatnonzero(schedule.cut).tolist() == [24, 34, 39, 44, 49, 74, 84, 94, 99]
    once = schedule_rollouts(run, 0, 100, RecordingSizes(rollout_steps=25, restart_steps=25))
    plain = schedule_rollouts(run, 0, 100, RecordingSizes(rollout_steps=25))
    np.testing.assert_array_equal(once.cut, plain.cut)


@pytest.mark.parametrize("name", ["part_steps", "rollout_steps", "max_envs", "restart_steps"])
def test_sizes_below_one_are_refused(name):
    with pytest.raises(BodyplanError, match=f"{name} 0"):
        RecordingSizes(**{name: 0})
