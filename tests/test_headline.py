"""The headline of a run, for outcomes that are made up: what it says, and what it never says."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyplan.evaluation.significance import half_width
from bodyplan.report.headline import headline

ROBOTS = ("go1", "anymal", "badger", "hexapod")


def outcome(value, data=20.0, best=30.0, expert=50.0, floor=4.0, falls=0.0, vx=0.9, **more):
    """The scores of one robot after 16 episodes whose standard error is one."""
    scores = {
        "return_mean": value,
        "return_se": 1.0,
        "returns": [value] * 16,
        "data_return": data,
        "data_episodes": 400,
        "data_best_return": best,
        "expert_return": expert,
        "floor_return": floor,
        "reference": "expert",
        "normalised_return": (value - floor) / (expert - floor),
        "fall_share": falls,
        "length_mean": 1000.0,
        "velocity": [vx, 0.0],
        "velocity_error": abs(1.0 - vx),
    }
    return scores | more


def evaluation(scores, **more):
    means = {
        key: float(np.mean([own[key] for own in scores.values()]))
        for key in ("return_mean", "normalised_return")
        if all(own.get(key) is not None for own in scores.values())
    }
    document = {"command": [1.0, 0.0, 0.0], "episodes": 16, "initial_state": "random"}
    return document | {"policy": "last", "robots": scores, "mean": means} | more


def said(scores, robots=ROBOTS, **more):
    return headline(evaluation(scores, **more), robots)


def alike(*values, **more):
    return {name: outcome(value, **more) for name, value in zip(ROBOTS, values, strict=True)}


def test_a_run_without_an_evaluation_says_so():
    assert headline({}, ROBOTS).title == "One policy for four robots is not evaluated yet."
    assert headline({"robots": {}}, ("ant",)).title == "The policy for ant is not evaluated yet."


def test_better_than_its_data_on_all():
    found = said(alike(45, 44, 43, 42))
    assert found.title == "One policy for four robots is better than its data on all of them."
    assert "It is better than the best policy in the data on all of them." in found.rest
    assert "It falls in no episode." in found.rest


def test_robots_on_which_it_is_better_and_worse_are_named():
    title = said(alike(45, 10, 43, 20.5)).title
    assert "better than its data on 2 of 4 robots (go1, badger)" in title
    assert "worse on anymal" in title
    assert "about as good on hexapod" in title


def test_worse_than_its_data():
    title = said(alike(12, 13, 11, 12)).title
    assert title == "One policy for four robots is worse than its data on all of them."


def test_a_difference_within_the_interval_is_not_claimed():
    title = said(alike(21, 19, 20, 21.5)).title
    assert title == "One policy for four robots is about as good as its data on all of them."
    few = alike(23, 23, 23, 23, data_episodes=4)  # the mean of four episodes is not sure either
    assert "about as good" in said(few).title
    assert "is better" in said(alike(23, 23, 23, 23)).title


def test_a_policy_that_stands_still_is_said_to():
    found = said(alike(4.1, 4, 4, 3.9, vx=0.01))
    assert found.title == "One policy for four robots stands still on all of them."
    assert "It is worse than its data on all of them." in found.rest
    assert "It has a mean score of 0.00, where standing still is 0 and the expert is 1." in (
        found.rest
    )


def test_half_of_the_robots_that_stand_or_fall_come_first():
    scores = alike(45, 44, 4, 6) | {
        "badger": outcome(4.0, vx=0.0),
        "hexapod": outcome(6.0, falls=11 / 16, vx=0.4),
    }
    found = said(scores)
    assert "stands still on 1 of 4 robots (badger)" in found.title
    assert found.title.endswith("and falls on hexapod.")
    assert "It falls in 11 of 16 episodes on hexapod." in found.rest
    assert any("better than its data on 2 of 4 robots (go1, anymal)" in own for own in found.rest)


def test_one_robot_that_falls_is_told_after_the_data():
    found = said(alike(45, 44, 43, 42) | {"anymal": outcome(25.0, falls=11 / 16)})
    assert "better than its data" in found.title
    assert "It falls in 11 of 16 episodes on anymal." in found.rest


def test_many_robots_that_fall_are_not_all_listed():
    many = {f"robot{i}": outcome(25.0, falls=(i + 1) / 16) for i in range(12)}
    found = said(many, tuple(many))
    assert "falls on 5 of 12 robots" not in found.title  # less than half of them
    text = next(own for own in found.rest if own.startswith("It falls in"))
    assert text.startswith("It falls in 12 of 16 episodes on robot11, 11 of 16")
    assert "in fewer on eight others" in text


def test_as_good_as_the_experts():
    found = said(alike(50, 49.5, 30, 30))
    assert "It is about as good as the expert on 2 of 4 robots (go1, anymal)." in found.rest


def test_without_data_or_scores_the_return_is_all_that_is_said():
    scores = {
        "go1": outcome(45.0, data=None, best=None, reference=None, normalised_return=None)
        | {"expert_return": None}
    }
    found = said(scores, ("go1",))
    assert found.title == "The policy for go1 has a mean return of 45.0."
    data = {"go1": outcome(45.0, best=None)}
    assert said(data, ("go1",)).title == "The policy for go1 is better than its data."


def test_robots_that_have_nothing_to_compare_with_are_not_counted():
    scores = alike(45, 44, 43, 42) | {"hexapod": outcome(42.0, data=None)}
    title = said(scores).title
    assert title.endswith("on all 3 that can be compared (go1, anymal and badger).")
    title = said(scores | {"go1": outcome(3.0)}).title
    assert "on 2 of the 3 that can be compared (anymal, badger) and worse on go1" in title


def test_own_robots_are_measured_by_perfect_tracking():
    rest = said(alike(45, 44, 43, 42, reference="ceiling")).rest
    assert any("perfect tracking is 1" in own for own in rest)


def test_what_limits_the_sentences_is_said():
    rest = said(alike(45, 44, 43, 42)).rest
    assert rest[-1].startswith("This is one seed of training")
    assert any("5 robots" in own for own in said(alike(45, 44, 43, 42), (*ROBOTS, "nao")).rest)
    assert any("best" in own for own in said(alike(45, 44, 43, 42), policy="best").rest)
    assert any("5000" in own for own in said(alike(45, 44, 43, 42), policy="at 5000").rest)
    disturbed = said(alike(45, 44, 43, 42), conditions={"pushes": 0.01, "noise": False}).rest
    assert "The robots were disturbed." in disturbed
    single = said({name: outcome(45.0, return_se=None, returns=[45.0]) for name in ROBOTS})
    assert "better" not in single.title


def test_fragments_of_older_files_are_not_compared():
    old = {name: outcome(45.0, data=15.0) for name in ROBOTS}
    for own in old.values():
        for key in ("fall_share", "velocity", "floor_return", "reference", "data_episodes"):
            del own[key]
    found = said(old)
    assert found.title == "One policy for four robots has a mean return of 45.0."
    assert any("older version" in own for own in found.rest)


numbers = st.floats(-20.0, 80.0)


@given(
    st.lists(
        st.tuples(numbers, numbers, numbers, st.floats(0.0, 1.0), st.floats(-1.0, 1.5)),
        min_size=1,
        max_size=16,
    )
)
def test_no_outcome_is_overstated(figures):
    scores = {
        f"robot{i}": outcome(value, data=data, best=best, falls=falls, vx=vx)
        for i, (value, data, best, falls, vx) in enumerate(figures)
    }
    found = said(scores, tuple(scores))
    text = " ".join(found.sentences)
    assert "%" not in text
    width = half_width(np.sqrt(1.0 + 16 / 400), 16)
    gains = [own["return_mean"] - own["data_return"] for own in scores.values()]
    if re.search(r"(is|, |and )better than its data", text):
        assert max(gains) > width
    if "worse than its data" in text:
        assert min(gains) < -width
    if "better than its data on all" in text:
        assert min(gains) > width
    if "falls in no episode" in text:
        assert all(own["fall_share"] == 0.0 for own in scores.values())
    if "stands still on all" in text:
        assert all(abs(own["velocity"][0]) < 0.1 for own in scores.values())
    assert all(own.endswith(".") for own in found.sentences)


@pytest.mark.parametrize(("command", "still"), [("backward", True), ([0.0, 0.0, 0.5], False)])
def test_only_a_robot_that_should_move_stands_still(command, still):
    title = said(alike(4.1, 4, 4, 3.9, vx=0.0), command=command).title
    assert ("still" in title) == still


def test_what_is_said_of_some_robots_is_not_said_of_all():
    scores = alike(45, 44, 43, 42)
    some = {name: scores[name] for name in list(scores)[:2]}
    assert said(some).title == (
        "One policy for four robots, evaluated on two robots, is better than its data on all of "
        "them."
    )
