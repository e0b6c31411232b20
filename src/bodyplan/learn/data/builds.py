"""Builds: robots with as many joints and feet as one another share one axis in every array.

A program's size then depends on builds, not on robots. Where there are many builds, similar ones
share the larger one's size. What such a robot lacks is padded, and masked in every sum over joints
or feet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

MOST_PADDING = 0.125
"""Largest share of a build's joints and feet that is padding: more costs more than it saves."""


class BodySize(NamedTuple):
    """What decides the shapes of a robot's arrays."""

    joints: int
    feet: int
    many_bodies: bool = False
    """Whether its samples are of several bodies, such as randomised ones."""

    @property
    def tokens(self) -> int:
        """Joints and feet, which is what a sample costs."""
        return self.joints + self.feet


@dataclass(frozen=True)
class Build:
    """Consecutive robots whose arrays share an axis."""

    size: BodySize
    """The largest robot's."""
    start: int
    stop: int
    padded: bool
    """Whether a robot lacks some joints or feet."""

    @property
    def robots(self) -> range:
        """The places of its robots."""
        return range(self.start, self.stop)


def build_order(
    sizes: Sequence[BodySize], names: Sequence[str], groups: Sequence[Sequence[int]] = ()
) -> tuple[list[int], list[list[int]]]:
    """The order in which robots of one build are consecutive, and in it those of one group.

    It depends on the robots alone, not on the order in which they are given. Runs on other robots
    of the same builds, grouped alike, have arrays of the same shapes.

    Returns:
        The robots' places, and the groups in an order of their own.
    """
    number = {size: at for at, one in enumerate(_merged(sizes)) for size in one}
    place = [(number[size], size) for size in sizes]
    ordered = sorted(
        ([int(robot) for robot in group] for group in groups),
        key=lambda group: (
            sorted(place[robot][0] for robot in group),
            sorted(names[robot] for robot in group),
        ),
    )
    group_of = {robot: at for at, group in enumerate(ordered) for robot in group}
    robots = sorted(
        range(len(sizes)),
        key=lambda robot: (
            place[robot][0],
            group_of.get(robot, 0),
            place[robot][1],
            names[robot],
        ),
    )
    return robots, ordered


def builds_of(sizes: Sequence[BodySize]) -> tuple[Build, ...]:
    """The builds of robots that are in build order."""
    number = {size: at for at, one in enumerate(_merged(sizes)) for size in one}
    builds: list[Build] = []
    start = 0
    for at in range(1, len(sizes) + 1):
        if at < len(sizes) and number[sizes[at]] == number[sizes[start]]:
            continue
        own = set(sizes[start:at])
        builds.append(Build(_hull(sizes[start:at]), start, at, padded=len(own) > 1))
        start = at
    return tuple(builds)


class Stratum(NamedTuple):
    """Consecutive robots of one build and one group, of which an update has some."""

    start: int
    stop: int
    drawn: int
    """How many an update has."""


def strata_of(
    builds: Sequence[Build], groups: Sequence[Sequence[int]], count: int
) -> tuple[Stratum, ...]:
    """How many robots of each build and group are among `count`: each its share, one at least.

    Raises:
        ValueError: there are more robots, or fewer than builds and groups need.
    """
    group_of = {robot: at for at, group in enumerate(groups) for robot in group}
    ranges: list[tuple[int, int]] = []
    for build in builds:
        start = build.start
        for at in build.robots:
            if at + 1 == build.stop or group_of.get(at) != group_of.get(at + 1):
                ranges.append((start, at + 1))
                start = at + 1
    robots = builds[-1].stop
    if not len(ranges) <= count <= robots:
        raise ValueError(f"give {len(ranges)} to {robots}")
    drawn = [1] * len(ranges)
    for _ in range(count - len(ranges)):  # one more to whoever lacks most of its share
        lack = [
            (stop - start) * count / robots - own if own < stop - start else -np.inf
            for (start, stop), own in zip(ranges, drawn, strict=True)
        ]
        drawn[int(np.argmax(lack))] += 1
    return tuple(Stratum(*own, some) for own, some in zip(ranges, drawn, strict=True))


def _merged(sizes: Sequence[BodySize]) -> list[set[BodySize]]:
    """Sizes that share a build: from the largest on, as long as little enough is padding."""
    count = {size: sizes.count(size) for size in set(sizes)}
    left = sorted(count, key=lambda size: (size.many_bodies, size.tokens, size), reverse=True)
    merged: list[set[BodySize]] = []
    while left:
        together = [left.pop(0)]
        for size in list(left):
            hull = _hull([*together, size])
            robots = [one for one in [*together, size] for _ in range(count[one])]
            used = sum(robot.tokens for robot in robots)
            padding = 1.0 - used / (len(robots) * hull.tokens)
            if size.many_bodies == together[0].many_bodies and padding <= MOST_PADDING:
                together.append(size)
                left.remove(size)
        merged.append(set(together))
    return merged


def _hull(sizes: Sequence[BodySize]) -> BodySize:
    return BodySize(
        max(size.joints for size in sizes),
        max(size.feet for size in sizes),
        sizes[0].many_bodies,
    )
