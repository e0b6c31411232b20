"""The plan of a reproduction: which runs it has, how far they are, and what they will cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bodyplan.experiments.products.product import PlannedRun, Product, Workspace
from bodyplan.experiments.scales import ReproductionScale
from bodyplan.robots.robot import Robot

BYTES_A_NUMBER = 4


@dataclass(frozen=True)
class PlannedArm:
    """The runs of a method on a set."""

    dataset: str
    arm: str
    runs: int
    finished: int
    hours: float | None
    """Of training that is left, at the speed of runs of this method here; None where there are
    none yet."""


def plan_product(product: Product, scale: ReproductionScale, out: Path) -> list[PlannedArm]:
    """The runs of a table or figure, and what is left of them.

    Args:
        product: which one.
        scale: how large.
        out: folder of all reproductions of that scale.
    """
    runs = product.runs(Workspace(scale, out))
    rows = dict.fromkeys((own.dataset, own.run.name) for own in runs)
    return [_planned(dataset, arm, runs) for dataset, arm in rows]


def _planned(dataset: str, arm: str, runs: Sequence[PlannedRun]) -> PlannedArm:
    alike = [one.run for one in runs if one.run.name == arm]
    own = [one.run for one in runs if one.run.name == arm and one.dataset == dataset]
    speeds = [speed for speed in (run.updates_per_s for run in alike) if speed]
    left = sum(run.config.updates - run.updates_done for run in own)
    hours = left / median(speeds) / 3600 if speeds else None
    return PlannedArm(dataset, arm, len(own), sum(run.is_finished() for run in own), hours)


def data_bytes(product: Product, scale: ReproductionScale, out: Path) -> int:
    """Bytes that its datasets take, all of them together."""
    total = 0
    for name in Workspace(scale, out).robots:
        robot = Robot.load(name)
        numbers = 4 * robot.num_joints + 2 * robot.num_feet + 13 + 1
        total += numbers * BYTES_A_NUMBER + 2
    return total * scale.steps * len(product.datasets)
