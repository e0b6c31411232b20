"""Recipes: which part of a run, in which shares, and who lives through it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import synthetic_snapshots

from bodyplan.datasets.recipes import (
    EARLY,
    LATE,
    MAX_SLOTS,
    Recipe,
    Segment,
    first_crossing,
    schedule_rollouts,
    segments,
)
from bodyplan.errors import BodyplanError

# Returns 0 -> 5 -> 10 -> 40 -> 50 at 0, 100, ... 400: 25 is crossed at 250, 45 at 350.
RUN = synthetic_snapshots(steps=(100, 200, 300, 400), returns=(5.0, 10.0, 40.0, 50.0))

runs = st.lists(
    st.tuples(st.integers(1, 10_000), st.floats(0.1, 100.0)), min_size=1, max_size=24
).map(
    lambda rows: synthetic_snapshots(
        steps=tuple(np.cumsum([gap for gap, _ in rows]).tolist()),
        returns=tuple(value for _, value in rows),
        hidden=1,
        joints=1,
        feet=1,
    )
)


@pytest.mark.parametrize("name", ["expert", "expert_replay", "suboptimal1", "suboptimal99"])
def test_recipes_are_read(name):
    assert Recipe.parse(name).name == name


@pytest.mark.parametrize(
    "name", ["", "experts", "suboptimal", "suboptimal0", "suboptimal100", "suboptimal07", "replay"]
)
def test_unknown_recipes_are_refused(name):
    with pytest.raises(BodyplanError, match=f"no recipe '{name}'; choose expert"):
        Recipe.parse(name)


def test_expert_is_the_last_snapshot_alone():
    assert segments(Recipe.parse("expert"), RUN, 70) == [Segment(3, 70, "expert")]


def test_expert_replay_ends_where_the_return_reaches_nine_tenths():
    # 350 steps of the run, of which 50 in the last interval.
    expected = [Segment(i, n, "replay") for i, n in enumerate((100, 100, 100, 50))]
    assert segments(Recipe.parse("expert_replay"), RUN, 350) == expected


def test_suboptimal_takes_its_share_before_half_and_the_rest_after_nine_tenths():
    expected = [Segment(i, n, "early") for i, n in enumerate((280, 280, 140))]
    expected.append(Segment(3, 300, "late"))
    assert segments(Recipe.parse("suboptimal70"), RUN, 1000) == expected


@pytest.mark.parametrize(
    ("steps", "returns", "share", "crossing"),
    [
        ((100, 200), (10.0, 50.0), 0.5, 137.5),
        ((100, 200), (50.0, 50.0), 0.5, 50.0),  # returns rise from nothing to the first snapshot
        ((100, 200, 300, 400), (10.0, 30.0, 20.0, 50.0), 0.5, 175.0),  # the first time counts
        ((0, 100), (30.0, 50.0), 0.5, 0.0),
    ],
)
def test_crossings_are_interpolated(steps, returns, share, crossing):
    run = synthetic_snapshots(steps=steps, returns=returns)
    assert first_crossing(run, share) == pytest.approx(crossing)


def test_a_run_that_starts_half_trained_has_no_early_phase():
    run = synthetic_snapshots(steps=(0, 100), returns=(30.0, 50.0))
    with pytest.raises(BodyplanError, match="run of dog has no early phase"):
        segments(Recipe.parse("suboptimal70"), run, 10)


def test_a_snapshot_at_zero_steps_stands_for_nothing():
    run = synthetic_snapshots(steps=(0, 100, 200), returns=(1.0, 2.0, 50.0))
    assert {s.snapshot for s in segments(Recipe.parse("suboptimal50"), run, 100)} == {1, 2}


@given(runs, st.integers(1, 100_000), st.integers(1, 99))
def test_steps_add_up_and_are_in_proportion(run, steps, percent):
    shares = segments(Recipe.parse(f"suboptimal{percent}"), run, steps)
    assert sum(segment.steps for segment in shares) == steps
    assert all(segment.steps > 0 for segment in shares)
    edges = (0, *run.steps)
    for phase, total, start, end in (
        ("early", round(steps * percent / 100), 0.0, first_crossing(run, EARLY)),
        ("late", steps - round(steps * percent / 100), first_crossing(run, LATE), edges[-1]),
    ):
        got = {s.snapshot: s.steps for s in shares if s.phase == phase}
        for i in range(len(run)):
            overlap = max(0.0, min(edges[i + 1], end) - max(edges[i], start))
            assert abs(got.get(i, 0) - total * overlap / (end - start)) <= 1.0 + 1e-6


@given(
    st.lists(st.integers(1, 3000), min_size=1, max_size=6),
    st.integers(0, 5000),
    st.integers(1, 300_000),
)
def test_slots_share_consecutive_steps_equally_and_are_cut_where_the_segment_changes(
    counts, start, steps
):
    run = [Segment(10 + i, n, "replay") for i, n in enumerate([*counts, 400_000])]
    slots = schedule_rollouts(run, start, start + steps)
    assert slots.lengths.sum() == steps
    assert slots.lengths[0] - slots.lengths[-1] in (0, 1)
    assert (np.diff(slots.lengths) <= 0).all()
    assert len(slots.lengths) == min(MAX_SLOTS, -(-steps // 1000))
    np.testing.assert_array_equal(slots.offsets, [0, *np.cumsum(slots.lengths)[:-1]])
    whole = np.repeat([s.snapshot for s in run], [s.steps for s in run])
    acting = whole[start : start + steps]
    np.testing.assert_array_equal(slots.snapshot, acting)
    changes = set(np.flatnonzero(acting[1:] != acting[:-1]).tolist())
    last_rows = set((np.cumsum(slots.lengths) - 1).tolist())
    assert set(np.flatnonzero(slots.cut).tolist()) == changes | last_rows


def test_neighbouring_phases_of_one_snapshot_are_cut_apart():
    run = [Segment(0, 5, "early"), Segment(0, 5, "late")]
    assert np.flatnonzero(schedule_rollouts(run, 0, 10).cut).tolist() == [4, 9]
