"""Groups of robots: by similar bodies, at random, by number of legs, or from a file.

    groups = bodyplan.group_robots(bodyplan.list_robots(), groups=4)

Embodiment Grouping (Abe et al., arXiv 2602.18025, section 4) clusters the robots once, before
training: agglomerative clustering of their body distances, cut to exactly M clusters. Random groups
of the same sizes are its control. Groups by kind of robot are the obvious heuristic. A JSON file
holds any other groups.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

import numpy as np
from jaxtyping import Float

from bodyplan.dataframes import dataframe
from bodyplan.errors import BodyplanError
from bodyplan.grouping.body_graph import body_graph
from bodyplan.grouping.clustering import check_count, check_names, cluster
from bodyplan.grouping.embodiment_distances import embodiment_distances, load_robots
from bodyplan.robots.robot import Robot
from bodyplan.storage import read_json

if TYPE_CHECKING:
    import pandas

_GROUPS_SHOWN, _WIDTH = 10, 96  # of a `repr`


class RobotGroups(tuple[tuple[str, ...], ...]):
    """Groups of robots: a tuple with one tuple of names for each group.

    It equals a plain tuple of the same groups.

    Attributes:
        robots: all names, in the order of rows of `distances`.
        distances: body distances between the robots; None where they played no role.
    """

    robots: tuple[str, ...]
    distances: Float[np.ndarray, "R R"] | None

    def __new__(
        cls,
        groups: Iterable[Iterable[str]],
        robots: Sequence[str] | None = None,
        distances: Float[np.ndarray, "R R"] | None = None,
    ) -> "RobotGroups":
        """Make groups.

        Args:
            groups: names of the robots of each group.
            robots: all names in the order of `distances`; by default, group after group.
            distances: body distances between the robots.
        """
        self = super().__new__(cls, (tuple(group) for group in groups))
        self.robots = tuple(chain.from_iterable(self)) if robots is None else tuple(robots)
        self.distances = distances
        return self

    def group_of(self, robot: str) -> int:
        """Index of the group that holds a robot.

        Raises:
            BodyplanError: no group holds it.
        """
        for index, group in enumerate(self):
            if robot in group:
                return index
        raise BodyplanError(f"no group holds '{robot}'; choose one of {', '.join(self.robots)}")

    def to_dataframe(self) -> "pandas.DataFrame":
        """A data frame with one row for each robot, in the order of `robots`, and its group.

        Raises:
            BodyplanError: pandas is not installed.
        """
        rows = [{"robot": robot, "group": self.group_of(robot)} for robot in self.robots]
        return dataframe(rows, index="robot")

    def __repr__(self) -> str:
        lines = [f"RobotGroups of {len(self.robots)} robots in {len(self)} groups"]
        for index, group in enumerate(self[:_GROUPS_SHOWN]):
            line = f"  {index}: {', '.join(group)}"
            lines.append(line if len(line) <= _WIDTH else f"{line[: _WIDTH - 4]} ...")
        if len(self) > _GROUPS_SHOWN:
            lines.append(f"  ... {len(self) - _GROUPS_SHOWN} more groups")
        return "\n".join(lines)


def group_robots(
    robots: Sequence[str | Path | Robot],
    groups: int = 4,
    by: str = "embodiment",
    linkage: str = "ward",
    seed: int = 0,
    cache: str | Path | None = None,
) -> RobotGroups:
    """Group robots, as embodiment grouping does before training.

    Args:
        robots: names, paths of MJCFs, or robots.
        groups: number of groups, M in the paper; `heuristic` has its own number.
        by: `embodiment` clusters robots with similar bodies. `random` fills groups of the same
            sizes at random. `heuristic` sorts robots by their number of legs.
        linkage: how clusters are merged: `ward`, `average` or `complete`.
        seed: of random groups.
        cache: folder in which distances are kept; by default, none are kept.

    Raises:
        BodyplanError: a robot cannot be loaded or is given twice, or an option does not fit.
    """
    if by == "heuristic":
        return heuristic_groups(robots)
    if by not in ("embodiment", "random"):
        raise BodyplanError(f"by = '{by}' is unknown; choose embodiment, random or heuristic")
    similar = embodiment_groups(robots, groups, linkage, cache)
    if by == "embodiment":
        return similar
    mixed = random_groups(similar.robots, [len(group) for group in similar], seed)
    return RobotGroups(mixed, similar.robots, similar.distances)


def embodiment_groups(
    robots: Sequence[str | Path | Robot],
    count: int,
    linkage: str = "ward",
    cache: str | Path | None = None,
) -> RobotGroups:
    """The paper's grouping: `count` groups of robots with similar bodies.

    Raises:
        BodyplanError: a robot cannot be loaded, or `count` or `linkage` does not fit.
    """
    loaded = load_robots(robots)
    names = [robot.name for robot in loaded]
    check_names(names)
    check_count(count, len(names))
    distances = embodiment_distances(loaded, cache=cache)
    return RobotGroups(cluster(distances, names, count, linkage), names, distances)


def random_groups(names: Sequence[str], sizes: Sequence[int], seed: int) -> RobotGroups:
    """Random groups of the given sizes, the control for a grouping.

    Raises:
        BodyplanError: the sizes do not add up to the number of robots.
    """
    check_names(names)
    if min(sizes, default=0) < 1 or sum(sizes) != len(names):
        raise BodyplanError(
            f"group sizes {list(sizes)} do not fit {len(names)} robots; "
            "give positive sizes that add up to it"
        )
    order = np.random.default_rng(seed).permutation(len(names))
    parts = np.split(order, np.cumsum(sizes)[:-1])
    return RobotGroups(((names[i] for i in sorted(part)) for part in parts), names)


def heuristic_groups(robots: Sequence[str | Path | Robot]) -> RobotGroups:
    """Groups of robots with the same number of legs; bipeds without an upper body are apart.

    The paper's sixteen robots give four groups: bipeds, quadrupeds, the hexapod, and Cassie.

    Raises:
        BodyplanError: a robot cannot be loaded.
    """
    loaded = load_robots(robots)
    check_names([robot.name for robot in loaded])
    kinds: dict[tuple[int, bool], list[str]] = {}
    for robot in loaded:
        kind = (robot.legs, robot.legs == 2 and _has_only_legs(robot))
        kinds.setdefault(kind, []).append(robot.name)
    return RobotGroups(kinds.values(), [robot.name for robot in loaded])


def _has_only_legs(robot: Robot) -> bool:
    """Whether every joint is between the trunk and a foot."""
    graph = body_graph(robot)
    parent_of = {child: parent for parent, child in graph.edges}
    in_legs = {0}
    for foot in range(len(graph.nodes) - robot.num_feet, len(graph.nodes)):
        node = foot
        while node:
            in_legs.add(node)
            node = parent_of[node]
    return len(in_legs) == len(graph.nodes)


def read_groups(path: str | Path, names: Sequence[str]) -> RobotGroups:
    """Groups from a JSON file: a list of lists of names, or an object with such a list as `groups`.

    Raises:
        BodyplanError: the file is missing or damaged, or does not name every robot exactly once.
    """
    content = read_json(path)
    groups = content.get("groups") if isinstance(content, dict) else content
    return listed_groups(groups, names, str(path))


def listed_groups(groups: object, names: Sequence[str], source: str = "groups") -> RobotGroups:
    """Groups given as lists of names.

    Args:
        groups: a list or tuple of such of names.
        names: all robots.
        source: what an error message calls the groups, such as their file.

    Raises:
        BodyplanError: they are no such lists, or do not name every robot exactly once.
    """
    if not _is_list_of_names(groups):
        raise BodyplanError(
            f'{source} holds no groups; write them as [["unitree_go1", "badger"], ["hexapod"]]'
        )
    listed = [name for group in groups for name in group]
    if sorted(listed) != sorted(names):
        raise BodyplanError(
            f"{source} must name every robot exactly once{_mismatch(listed, names)}"
        )
    return RobotGroups(groups, names)


def _is_list_of_names(groups: object) -> TypeGuard[Sequence[Sequence[str]]]:
    return (
        isinstance(groups, list | tuple)
        and all(isinstance(group, list | tuple) and group for group in groups)
        and all(isinstance(name, str) for group in groups for name in group)
    )


def _mismatch(listed: Sequence[str], names: Sequence[str]) -> str:
    faults = {
        "missing": sorted(set(names) - set(listed)),
        "unknown": sorted(set(listed) - set(names)),
        "repeated": sorted({name for name in listed if list(listed).count(name) > 1}),
    }
    return "".join(f"; {word}: {', '.join(found)}" for word, found in faults.items() if found)
