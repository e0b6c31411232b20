"""Each robot trained alone beside all robots together: the runs, and what robots gain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bodyplan.evaluation.significance import SeedMean, seed_mean
from bodyplan.experiments.paper_arms import PaperArm
from bodyplan.experiments.products.product import PlannedRun, Workspace
from bodyplan.experiments.transfer import alone_config


@dataclass(frozen=True)
class AloneAndTogether:
    """The runs of an arm on a set: all robots together, and each alone."""

    together: tuple[PlannedRun, ...]
    alone: Mapping[str, tuple[PlannedRun, ...]]
    """By robot."""

    @classmethod
    def of(cls, at: Workspace, arm: PaperArm, dataset: str) -> "AloneAndTogether":
        """With as many updates and as many of a robot's transitions in both."""
        together = at.arm_runs(arm, dataset)
        alone = {
            robot: tuple(
                at.plan(f"{arm.name} alone, {robot}", dataset, alone_config(own.run.config, robot))
                for own in together
            )
            for robot in at.robots
        }
        return cls(together, alone)

    @property
    def runs(self) -> tuple[PlannedRun, ...]:
        """All of them."""
        return (*self.together, *(run for own in self.alone.values() for run in own))

    def returns(self, at: Workspace) -> dict[str, dict[str, SeedMean]]:
        """By robot: the returns `alone` and `together`, and the `gain` from one to the other."""
        return {robot: self._of_robot(at, robot, own) for robot, own in self.alone.items()}

    def _of_robot(
        self, at: Workspace, robot: str, alone: Sequence[PlannedRun]
    ) -> dict[str, SeedMean]:
        one, all_robots = at.returns(alone, robot), at.returns(self.together, robot)
        gains = [b - a for a, b in zip(one, all_robots, strict=True)]
        return {
            "alone": seed_mean(one),
            "together": seed_mean(all_robots),
            "gain": seed_mean(gains),
        }


def mean_over_robots(rows: Mapping[str, Mapping[str, SeedMean]], name: str) -> SeedMean:
    """The mean over robots of each seed."""
    by_seed = zip(*(own[name]["seeds"] for own in rows.values()), strict=True)
    return seed_mean([sum(values) / len(values) for values in by_seed])


def certain(rows: Mapping[str, Mapping[str, SeedMean]], name: str) -> tuple[list[str], list[str]]:
    """The robots whose value is above zero for certain, and those where it is below."""
    bounds = {robot: (own[name]["mean"], own[name]["interval"]) for robot, own in rows.items()}
    known = {robot: (mean, half) for robot, (mean, half) in bounds.items() if half is not None}
    return (
        [robot for robot, (mean, half) in known.items() if mean > half],
        [robot for robot, (mean, half) in known.items() if mean < -half],
    )


def estimate(value: SeedMean, digits: int = 1) -> str:
    """A mean with its interval, as text."""
    half = value["interval"]
    return f"{value['mean']:.{digits}f}" + ("" if half is None else f" ± {half:.{digits}f}")


def named(robots: Sequence[str]) -> str:
    """Names, or that there are none."""
    return ", ".join(robots) or "none"
