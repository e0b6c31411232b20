"""bodyplan groups: group robots with similar bodies, print their distances, draw them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import tyro
from jaxtyping import Float

from bodyplan.bounds import CountFromOne
from bodyplan.cli.output import (
    Column,
    comma_list,
    print_json,
    print_line,
    print_table,
    require_figure_path,
    require_writable,
)
from bodyplan.errors import BodyplanError
from bodyplan.grouping.body_metric import DEFAULT_METRIC, BodyMetric
from bodyplan.machine import cache_folder
from bodyplan.progress import progress
from bodyplan.robots.registry import list_robots
from bodyplan.robots.robot import Robot

if TYPE_CHECKING:
    from bodyplan.grouping.number_of_groups import GroupCountScore

_SCORES = (
    Column("count", "groups"),
    Column("silhouette", digits=3),
    Column("gap", digits=3),
    Column("gap_error", "± of gap", digits=3),
)
_ROBOTS_IN_TABLE = 32  # with more, distances are not printed


@dataclass(frozen=True)
class ShowGroups:
    """Group robots by Fused Gromov-Wasserstein distances between their bodies.

    Without --count, the number of groups follows from silhouettes. Scores of other numbers are
    printed too.
    """

    count: CountFromOne | None = None
    """Number of groups, M in the paper; by default, the number that silhouettes suggest."""
    robots: tuple[str, ...] = ("all",)
    """Names or paths of MJCFs; `all` is every packaged robot."""
    linkage: Literal["ward", "average", "complete"] = "ward"
    """How clusters are merged."""
    metric: tyro.conf.OmitArgPrefixes[BodyMetric] = DEFAULT_METRIC
    """What the paper leaves open about the distance."""
    landmarks: CountFromOne | None = None
    """For thousands of robots: number of robots to which distances are exact, for example 64. The
    other distances are estimated. By default, all are exact."""
    cache: bool = True
    """Compute all distances anew, and keep none. By default known ones are read from the folder
    bodyplan/distances in the user's cache folder, and new ones are added to it."""
    out: Path | None = None
    """File (.json) for the groups and how they were made, which `train --groups` reads. An existing
    file is replaced."""
    plot: Path | None = None
    """File (.svg, .png, .pdf) of a figure with the tree, similarities and groups. An existing file
    is replaced."""
    json: bool = False
    """Answer in JSON: robots, distance matrix, a label for each robot, scores of group counts."""

    def run(self) -> None:
        """Print the groups and the distances; draw them if asked to."""
        from bodyplan.grouping.clustering import cluster
        from bodyplan.grouping.embodiment_distances import embodiment_distances
        from bodyplan.grouping.number_of_groups import score_group_counts, suggested_by_silhouette

        if self.plot is not None:
            require_figure_path(self.plot, "--plot")
        if self.out is not None and self.out.suffix != ".json":
            raise BodyplanError(f"--out {self.out} must end in .json, for `train --groups`")
        if self.out is not None:
            require_writable(self.out)
        chosen = list_robots() if self.robots == ("all",) else comma_list(self.robots)
        robots = [Robot.load(robot) for robot in chosen]
        names = [robot.name for robot in robots]
        if self.count is not None and self.count > len(names):
            raise BodyplanError(f"--count {self.count} is more than the {len(names)} robots")
        cache = cache_folder("distances") if self.cache else None
        with progress() as report:
            distances = embodiment_distances(robots, self.metric, self.landmarks, cache, report)
        scores = score_group_counts(distances, self.linkage) if self.count is None else []
        count = suggested_by_silhouette(scores) if self.count is None else self.count
        groups = cluster(distances, names, count, self.linkage)
        if self.plot is not None:
            self._draw(self.plot, robots, distances, groups)
        if self.out is not None:
            self._write(self.out, groups)
        written = {"file": self.out, "figure": self.plot}
        if self.json:
            answer = _json(names, distances, groups, scores)
            print_json(answer | {name: str(path) for name, path in written.items() if path})
            return
        _print(names, distances, groups, scores)
        for path in written.values():
            if path is not None:
                print_line(f"written to {path}")

    def _write(self, path: Path, groups: Sequence[Sequence[str]]) -> None:
        """Write the groups with every option that decided them."""
        from bodyplan import __version__
        from bodyplan.storage import write_json

        made = {
            "by": "bodyplan groups",
            "version": __version__,
            "count": len(groups),
            "count_by": "silhouettes" if self.count is None else "--count",
            "linkage": self.linkage,
            "landmarks": self.landmarks,
            "metric": asdict(self.metric),
        }
        write_json(path, {"groups": [list(group) for group in groups], "made": made})

    def _draw(
        self,
        path: Path,
        robots: Sequence[Robot],
        distances: Float[np.ndarray, "R R"],
        groups: Sequence[Sequence[str]],
    ) -> None:
        from bodyplan.grouping.clustering import merge_tree
        from bodyplan.report.groups_figure import draw_groups
        from bodyplan.storage import atomic_write

        if len(robots) < 2:
            raise BodyplanError("a single robot has no tree to draw; name two or more")
        tree = merge_tree(distances, [robot.name for robot in robots], self.linkage)
        with atomic_write(path) as temporary:
            draw_groups(robots, distances, tree, groups, temporary)


def _json(
    names: Sequence[str],
    distances: Float[np.ndarray, "R R"],
    groups: Sequence[Sequence[str]],
    scores: Sequence["GroupCountScore"],
) -> dict[str, Any]:
    from bodyplan.grouping.number_of_groups import suggested_by_gap, suggested_by_silhouette

    group_of = {name: index for index, group in enumerate(groups) for name in group}
    answer: dict[str, Any] = {
        "robots": names,
        "distance": np.asarray(distances).round(6).tolist(),
        "labels": [group_of[name] for name in names],
        "groups": groups,
    }
    if scores:
        answer["suggested"] = {
            "silhouette": suggested_by_silhouette(scores),
            "gap": suggested_by_gap(scores),
            "counts": [asdict(score) for score in scores],
        }
    return answer


def _print(
    names: Sequence[str],
    distances: Float[np.ndarray, "R R"],
    groups: Sequence[Sequence[str]],
    scores: Sequence["GroupCountScore"],
) -> None:
    from bodyplan.grouping.number_of_groups import suggested_by_gap, suggested_by_silhouette

    print_table(
        "Groups", [{"group": i, "robots": ", ".join(group)} for i, group in enumerate(groups)]
    )
    if scores:
        rows = [asdict(score) for score in scores]
        print_line("")
        print_table("Scores of each number of groups", rows, _SCORES)
        print_line(
            f"suggested: {suggested_by_silhouette(scores)} groups by silhouettes, "
            f"{suggested_by_gap(scores)} by the gap statistic; --count cuts to any other number"
        )
    if len(names) > _ROBOTS_IN_TABLE:
        return
    width = len(str(len(names) - 1))
    matrix = [
        {"robot": f"{number:>{width}} {name}"}
        | {str(other): round(100.0 * float(value)) for other, value in enumerate(row)}
        for number, (name, row) in enumerate(zip(names, distances, strict=True))
    ]
    print_line("")
    print_table("Distances between bodies, in hundredths", matrix)
