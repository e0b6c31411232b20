"""The figure of robots' groups: the tree of their bodies, distances, and who is with whom."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from bodyplan.experiments.products.product import Product, Workspace
from bodyplan.grouping.clustering import cluster, merge_tree
from bodyplan.grouping.embodiment_distances import embodiment_distances
from bodyplan.machine import cache_folder
from bodyplan.report.data_table import DataTable
from bodyplan.report.html_page import TableColumn
from bodyplan.report.reproduction_page import Findings, PageSection
from bodyplan.robots.registry import packaged_robots
from bodyplan.robots.robot import Robot


@dataclass(frozen=True, kw_only=True)
class BodyGroups(Product):
    """Groups of the packaged robots, cut from one tree."""

    counts: tuple[int, ...]
    """Numbers of groups to show; the figure has the first."""
    distances: Mapping[tuple[str, str], float]
    """Some that are known of the authors' release."""
    together: tuple[str, ...]
    """Robots that are in one group of the paper's two..."""
    apart: str
    """... and one that is in the other."""

    trained: ClassVar[bool] = False

    def found(self, at: Workspace) -> Findings:
        """Cuts of the tree, and distances beside those that are known."""
        names = list(packaged_robots())
        robots = [Robot.load(name) for name in names]
        matrix = embodiment_distances(robots, cache=cache_folder("distances"))
        cuts = {count: cluster(matrix, names, count) for count in self.counts}
        draw = partial(_draw, robots, matrix, cuts[self.counts[0]])
        return Findings(
            (self._on_groups(matrix, names), self._on_distances(matrix, names)),
            (
                PageSection(
                    "Groups",
                    "The tree cut to each number of groups. Robots of a group have one number.",
                    _assignments(names, cuts),
                ),
                PageSection(
                    "Distances",
                    "Those known of the authors' release, beside ours.",
                    self._distances(matrix, names),
                ),
            ),
            draw=draw,
            caption=(
                "The tree of bodies by Ward's rule, their similarities (1 for the nearest two "
                f"robots, 0 for the farthest two), and the {self.counts[0]} groups."
            ),
        )

    def _on_groups(self, matrix: Float[np.ndarray, "R R"], names: list[str]) -> str:
        group_of = _group_of(cluster(matrix, names, 2))
        first = {group_of[name] for name in self.together}
        agree = len(first) == 1 and group_of[self.apart] not in first
        verdict = "and they are so here" if agree else "but here they are not"
        return (
            f"Cut to two groups, the paper has {', '.join(self.together)} in one and {self.apart} "
            f"in the other, {verdict}."
        )

    def _on_distances(self, matrix: Float[np.ndarray, "R R"], names: list[str]) -> str:
        rows = self._distances(matrix, names).rows
        most = max(abs(row["here"] / row["paper"] - 1.0) for row in rows)
        by_ours = sorted(rows, key=lambda row: row["here"])
        by_theirs = sorted(rows, key=lambda row: row["paper"])
        order = "the same order" if by_ours == by_theirs else "another order"
        return f"The {len(rows)} known distances have {order} here, and differ by up to {most:.0%}."

    def _distances(self, matrix: Float[np.ndarray, "R R"], names: list[str]) -> DataTable:
        rows = tuple(
            {
                "pair": f"{first} and {second}",
                "here": float(matrix[names.index(first), names.index(second)]),
                "paper": value,
            }
            for (first, second), value in self.distances.items()
        )
        columns = (
            TableColumn("pair", "robots"),
            TableColumn("here", "here", digits=4, strong=True),
            TableColumn("paper", "the authors' release", digits=4),
        )
        return DataTable(columns, rows)


def _group_of(groups: tuple[tuple[str, ...], ...]) -> dict[str, int]:
    return {name: index for index, group in enumerate(groups) for name in group}


def _assignments(names: list[str], cuts: Mapping[int, tuple[tuple[str, ...], ...]]) -> DataTable:
    """A row for each robot, in the order of the last cut."""
    groups = {count: _group_of(own) for count, own in cuts.items()}
    ordered = sorted(names, key=lambda name: [own[name] for own in groups.values()])
    columns = (
        TableColumn("robot", "robot"),
        *(TableColumn(str(count), f"{count} groups", digits=0) for count in cuts),
    )
    rows = tuple(
        {"robot": name} | {str(count): own[name] for count, own in groups.items()}
        for name in ordered
    )
    return DataTable(columns, rows)


def _draw(
    robots: list[Robot],
    matrix: Float[np.ndarray, "R R"],
    groups: tuple[tuple[str, ...], ...],
    path: Path,
) -> None:
    from bodyplan.report.groups_figure import draw_groups

    tree = merge_tree(matrix, [robot.name for robot in robots])
    draw_groups(robots, matrix, tree, groups, path)
