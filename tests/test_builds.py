"""Build order: which robots share arrays, whatever the order in which they are given."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bodyplan.learn.data.builds import (
    MOST_PADDING,
    BodySize,
    build_order,
    builds_of,
    strata_of,
)

PACKAGED = [(12, 4)] * 6 + [(18, 6)] * 3 + [(19, 2), (10, 2), (23, 2), (13, 4), (6, 2), (24, 6)]
sizes = st.builds(BodySize, st.integers(1, 25), st.integers(0, 6), st.booleans())


@st.composite
def robots(draw):
    """Sizes of distinctly named robots, a partition of them, and another order of them."""
    own = draw(st.lists(st.sampled_from(draw(st.lists(sizes, min_size=1, max_size=4))), min_size=1))
    labels = draw(st.lists(st.integers(0, 3), min_size=len(own), max_size=len(own)))
    groups = [[at for at, label in enumerate(labels) if label == one] for one in set(labels)]
    return own, groups, draw(st.permutations(range(len(own))))


def names_of(count):
    return [f"robot{number}" for number in range(count)]


def in_order(own, groups):
    order, ordered = build_order(own, names_of(len(own)), groups)
    return order, ordered, builds_of([own[robot] for robot in order])


@settings(deadline=None)
@given(robots())
def test_the_order_depends_on_the_robots_alone(drawn):
    own, groups, other = drawn
    names = names_of(len(own))
    order, ordered = build_order(own, names, groups)
    given_otherwise = [[other.index(robot) for robot in group[::-1]] for group in groups[::-1]]
    again, regrouped = build_order(
        [own[at] for at in other], [names[at] for at in other], given_otherwise
    )
    assert [other[at] for at in again] == order
    assert [{other[at] for at in group} for group in regrouped] == [set(g) for g in ordered]


@settings(deadline=None)
@given(robots())
def test_robots_of_a_build_are_together_and_in_it_those_of_a_group(drawn):
    own, groups, _ = drawn
    order, ordered, builds = in_order(own, groups)
    assert sorted(order) == list(range(len(own)))
    assert [robot for build in builds for robot in build.robots] == list(range(len(own)))
    assert sorted(map(sorted, ordered)) == sorted(groups)
    group_of = {robot: number for number, group in enumerate(ordered) for robot in group}
    for build in builds:
        numbers = [group_of[order[at]] for at in build.robots]
        assert numbers == sorted(numbers)
    # One size is never in two builds.
    homes = [{own[order[at]] for at in build.robots} for build in builds]
    assert sum(map(len, homes)) == len(set(own))


@settings(deadline=None)
@given(robots())
def test_builds_hold_their_robots_with_little_padding(drawn):
    own, groups, _ = drawn
    order, _, builds = in_order(own, groups)
    for build in builds:
        members = [own[order[at]] for at in build.robots]
        assert build.size == tuple(map(max, zip(*members, strict=True)))
        assert {size.many_bodies for size in members} == {build.size.many_bodies}
        used = sum(size.joints + size.feet for size in members)
        slots = len(members) * (build.size.joints + build.size.feet)
        assert used >= (1.0 - MOST_PADDING) * slots - 1e-9
        assert build.padded == (len(set(members)) > 1)


@settings(deadline=None)
@given(robots())
def test_other_robots_of_the_same_builds_and_groups_are_laid_out_alike(drawn):
    """So that they share a compiled program."""
    own, groups, other = drawn
    names = names_of(len(own))
    layouts = []
    for own_names in (names, [names[at] for at in other]):
        order, ordered = build_order(own, own_names, groups)
        builds = builds_of([own[robot] for robot in order])
        places = [sorted(order.index(robot) for robot in group) for group in ordered]
        layouts.append((places, [(build.size, build.start, build.stop) for build in builds]))
    assert layouts[0] == layouts[1]


@settings(deadline=None)
@given(robots(), st.data())
def test_an_update_of_some_robots_has_each_builds_and_groups_share(drawn, data):
    own, groups, _ = drawn
    order, ordered, builds = in_order(own, groups)
    places = [[order.index(robot) for robot in group] for group in ordered]
    every = strata_of(builds, places, len(own))
    assert [robot for one in every for robot in range(one.start, one.stop)] == list(range(len(own)))
    assert all(one.drawn == one.stop - one.start for one in every)
    count = data.draw(st.integers(len(every), len(own)))
    some = strata_of(builds, places, count)
    assert sum(one.drawn for one in some) == count
    group_of = {robot: at for at, group in enumerate(places) for robot in group}
    for one in some:
        robots, share = range(one.start, one.stop), (one.stop - one.start) * count / len(own)
        assert len({group_of[robot] for robot in robots}) == 1
        assert any(set(robots) <= set(build.robots) for build in builds)
        assert 1 <= one.drawn <= len(robots)
        assert one.drawn <= max(share + 1.0, 1.0)
    for wrong in (len(every) - 1, len(own) + 1):
        with pytest.raises(ValueError, match=str(len(every))):
            strata_of(builds, places, wrong)


def test_some_of_the_packaged_robots_share_a_build():
    own = [BodySize(*size) for size in PACKAGED]
    assert len(in_order(own, [range(len(own))])[2]) < len(set(own))
