"""Robots grouped by the likeness of their bodies."""

from dataclasses import dataclass

import numpy as np

from bodyplan.cli.output import listed, print_json, print_table
from bodyplan.errors import BodyplanError
from bodyplan.robots.robot import Robot


@dataclass(frozen=True)
class ShowGroups:
    """Group robots by Fused Gromov-Wasserstein distances between their bodies."""

    count: int = 2
    """Number of groups, M in the paper."""
    robots: tuple[str, ...] = ("all",)
    """Names, or paths of MJCFs; `all` is every packaged robot."""
    linkage: str = "ward"
    """How clusters are merged: ward, average or complete."""
    json: bool = False
    """Answer in JSON: robots, distance matrix, one label a robot."""

    def run(self) -> None:
        """Print the distances and the groups."""
        from bodyplan.learn.grouping import cluster, embodiment_distances

        chosen = Robot.names() if self.robots == ("all",) else listed(self.robots)
        robots = [Robot.load(robot) for robot in chosen]
        names = [robot.name for robot in robots]
        if self.count > len(names):
            raise BodyplanError(f"--count {self.count} is more than the {len(names)} robots")
        distances = embodiment_distances(robots)
        groups = cluster(distances, names, self.count, self.linkage)
        labels = [next(i for i, group in enumerate(groups) if name in group) for name in names]
        if self.json:
            matrix = np.asarray(distances).round(6).tolist()
            print_json({"robots": names, "distance": matrix, "labels": labels})
            return
        print_table(
            "Groups", [{"group": i, "robots": ", ".join(group)} for i, group in enumerate(groups)]
        )
        rows = [
            {"": column, "robot": name} | {str(j): f"{row[j]:.2f}" for j in range(len(names))}
            for column, (name, row) in enumerate(zip(names, distances, strict=True))
        ]
        print_table("Distances between bodies", rows)


COMMAND = ShowGroups
