"""Robots grouped by the likeness of their bodies."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import tyro
from jaxtyping import Float

from bodyplan.cli.output import comma_list, print_json, print_line, print_table, require_figure_path
from bodyplan.errors import BodyplanError
from bodyplan.grouping.body_metric import DEFAULT, BodyMetric
from bodyplan.machine import cache_folder
from bodyplan.progress import progress
from bodyplan.robots.registry import list_robots
from bodyplan.robots.robot import Robot

if TYPE_CHECKING:
    from bodyplan.grouping.number_of_groups import Separation

TABLED = 32
"""Robots whose distances are printed at most."""


@dataclass(frozen=True)
class ShowGroups:
    """Group robots by Fused Gromov-Wasserstein distances between their bodies.

    Without --count, as many groups as are set apart best, and what speaks for other numbers.
    """

    count: int | None = None
    """Number of groups, M in the paper; as silhouettes suggest where not given."""
    robots: tuple[str, ...] = ("all",)
    """Names, or paths of MJCFs; `all` is every packaged robot."""
    linkage: Literal["ward", "average", "complete"] = "ward"
    """How clusters are merged."""
    metric: tyro.conf.OmitArgPrefixes[BodyMetric] = DEFAULT
    """What the paper leaves open about the distance."""
    landmarks: int | None = None
    """For thousands of robots: distances from this many are exact, 64 or more, the rest estimated;
    all are exact where not given."""
    cache: bool = True
    """Whether distances are kept for the next time, in bodyplan/distances of the user's cache
    folder."""
    plot: Path | None = None
    """A figure (.svg, .png, .pdf) of tree, similarities and groups, written over what is there."""
    json: bool = False
    """Answer in JSON: robots, distance matrix, one label a robot, how groups were counted."""

    def run(self) -> None:
        """Print the groups and the distances; draw them."""
        from bodyplan.grouping.number_of_groups import separations, suggested_by_silhouette
        from bodyplan.grouping.robot_groups import cluster, embodiment_distances

        if self.plot is not None:
            require_figure_path(self.plot, "--plot")
        chosen = list_robots() if self.robots == ("all",) else comma_list(self.robots)
        robots = [Robot.load(robot) for robot in chosen]
        names = [robot.name for robot in robots]
        if self.count is not None and self.count > len(names):
            raise BodyplanError(f"--count {self.count} is more than the {len(names)} robots")
        with progress() as report:
            distances = embodiment_distances(
                robots,
                self.metric,
                self.landmarks,
                cache_folder("distances") if self.cache else None,
                report,
            )
        found = separations(distances, self.linkage) if self.count is None else []
        count = suggested_by_silhouette(found) if self.count is None else self.count
        groups = cluster(distances, names, count, self.linkage)
        if self.plot is not None:
            self._draw(robots, distances, groups)
        if self.json:
            print_json(_answer(names, distances, groups, found, self.plot))
            return
        _print(names, distances, groups, found)
        if self.plot is not None:
            print_line(str(self.plot))

    def _draw(
        self,
        robots: Sequence[Robot],
        distances: Float[np.ndarray, "R R"],
        groups: Sequence[Sequence[str]],
    ) -> None:
        from bodyplan.grouping.robot_groups import merge_tree
        from bodyplan.report.groups_figure import draw_groups
        from bodyplan.storage import atomic_write

        if self.plot is None or len(robots) < 2:
            raise BodyplanError("a single robot has no tree to draw; name two or more")
        tree = merge_tree(distances, [robot.name for robot in robots], self.linkage)
        with atomic_write(self.plot) as temporary:
            draw_groups(robots, distances, tree, groups, temporary)


def _answer(
    names: Sequence[str],
    distances: Float[np.ndarray, "R R"],
    groups: Sequence[Sequence[str]],
    found: Sequence["Separation"],
    plot: Path | None,
) -> dict[str, Any]:
    from bodyplan.grouping.number_of_groups import suggested_by_gap, suggested_by_silhouette

    group_of = {name: index for index, group in enumerate(groups) for name in group}
    answer: dict[str, Any] = {
        "robots": names,
        "distance": np.asarray(distances).round(6).tolist(),
        "labels": [group_of[name] for name in names],
    }
    if found:
        answer["suggested"] = {
            "silhouette": suggested_by_silhouette(found),
            "gap": suggested_by_gap(found),
            "counts": [asdict(each) for each in found],
        }
    if plot is not None:
        answer["figure"] = str(plot)
    return answer


def _print(
    names: Sequence[str],
    distances: Float[np.ndarray, "R R"],
    groups: Sequence[Sequence[str]],
    found: Sequence["Separation"],
) -> None:
    from bodyplan.grouping.number_of_groups import suggested_by_gap, suggested_by_silhouette

    print_table(
        "Groups", [{"group": i, "robots": ", ".join(group)} for i, group in enumerate(groups)]
    )
    if found:
        rows = [
            {
                "groups": each.count,
                "silhouette": None if each.silhouette is None else f"{each.silhouette:.3f}",
                "gap": f"{each.gap:.3f}",
                "standard error": f"{each.gap_error:.3f}",
            }
            for each in found
        ]
        print_table("How well so many groups are set apart", rows)
        print_line(
            f"suggested: {suggested_by_silhouette(found)} groups by silhouettes, "
            f"{suggested_by_gap(found)} by the gap statistic; --count cuts to any other number"
        )
    if len(names) > TABLED:
        return
    matrix = [
        {"": column, "robot": name} | {str(j): f"{row[j]:.2f}" for j in range(len(names))}
        for column, (name, row) in enumerate(zip(names, distances, strict=True))
    ]
    print_table("Distances between bodies", matrix)
