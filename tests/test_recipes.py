"""Recipes: which part of a run the steps come from, and in which shares."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import synthetic_snapshots

from bodyplan.datasets.recipes import (
    EARLY_END,
    LATE_START,
    Recipe,
    RecipeSegment,
    first_crossing,
    recipe_segments,
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
    with pytest.raises(BodyplanError, match=f"recipe '{name}'"):
        Recipe.parse(name)


def test_expert_is_the_last_snapshot_alone():
    assert recipe_segments(Recipe.parse("expert"), RUN, 70) == [RecipeSegment(3, 70, "expert")]


def test_expert_replay_ends_where_the_return_reaches_nine_tenths():
    # 350 steps of the run, of which 50 in the last interval.
    expected = [RecipeSegment(i, n, "replay") for i, n in enumerate((100, 100, 100, 50))]
    assert recipe_segments(Recipe.parse("expert_replay"), RUN, 350) == expected


def test_suboptimal_takes_its_share_before_half_and_the_rest_after_nine_tenths():
    expected = [RecipeSegment(i, n, "early") for i, n in enumerate((280, 280, 140))]
    expected.append(RecipeSegment(3, 300, "late"))
    assert recipe_segments(Recipe.parse("suboptimal70"), RUN, 1000) == expected


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
    with pytest.raises(BodyplanError, match="dog has no early phase"):
        recipe_segments(Recipe.parse("suboptimal70"), run, 10)


def test_a_snapshot_at_zero_steps_stands_for_nothing():
    run = synthetic_snapshots(steps=(0, 100, 200), returns=(1.0, 2.0, 50.0))
    assert {s.snapshot for s in recipe_segments(Recipe.parse("suboptimal50"), run, 100)} == {1, 2}


@given(runs, st.integers(1, 100_000), st.integers(1, 99))
def test_steps_add_up_and_are_in_proportion(run, steps, percent):
    shares = recipe_segments(Recipe.parse(f"suboptimal{percent}"), run, steps)
    assert sum(segment.steps for segment in shares) == steps
    assert all(segment.steps > 0 for segment in shares)
    edges = (0, *run.steps)
    for phase, total, start, end in (
        ("early", round(steps * percent / 100), 0.0, first_crossing(run, EARLY_END)),
        ("late", steps - round(steps * percent / 100), first_crossing(run, LATE_START), edges[-1]),
    ):
        got = {s.snapshot: s.steps for s in shares if s.phase == phase}
        for i in range(len(run)):
            overlap = max(0.0, min(edges[i + 1], end) - max(edges[i], start))
            assert abs(got.get(i, 0) - total * overlap / (end - start)) <= 1.0 + 1e-6
