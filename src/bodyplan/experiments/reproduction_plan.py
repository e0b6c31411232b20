"""The plan of a reproduction: which runs a table has, how far they are, and what they will cost."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bodyplan.datasets.format import CARD
from bodyplan.experiments.paper_tables import PaperTable
from bodyplan.experiments.reproduce import DATASETS, planned_runs
from bodyplan.experiments.scales import ReproductionScale
from bodyplan.robots.registry import packaged_robots
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


def plan_table(table: PaperTable, scale: ReproductionScale, out: Path) -> list[PlannedArm]:
    """The runs of a table, and what is left of them.

    Args:
        table: which table.
        scale: how large.
        out: folder of all reproductions of that scale.
    """
    built = [name for name in table.sets if (out / DATASETS / name / CARD).is_file()]
    known = planned_runs(table, scale, out, built)
    everything = [run for runs in known.values() for run in runs]
    plan = []
    for name in table.sets:
        for arm in table.arms:
            own = [run for run in known.get(name, []) if run.name == arm.name]
            alike = [run.updates_per_s for run in everything if run.name == arm.name]
            speeds = [speed for speed in alike if speed]
            updates = scale.training["updates"]
            done = sum(run.updates_done for run in own)
            left = scale.seeds * updates - done
            hours = left / median(speeds) / 3600 if speeds else None
            finished = sum(run.is_finished() for run in own)
            plan.append(PlannedArm(name, arm.name, scale.seeds, finished, hours))
    return plan


def data_bytes(table: PaperTable, scale: ReproductionScale) -> int:
    """Bytes that the table's datasets take, all of them together."""
    total = 0
    for name in scale.robots or packaged_robots():
        robot = Robot.load(name)
        numbers = 4 * robot.num_joints + 2 * robot.num_feet + 13 + 1
        total += numbers * BYTES_A_NUMBER + 2
    return total * scale.steps * len(table.sets)
