"""What a reader of a comparison must know beside its numbers, in sentences."""

import re
from collections.abc import Sequence

from bodyplan.evaluation.comparison import MEAN, ArmDifference
from bodyplan.evaluation.comparison_statistics import ArmScores, paired_seeds
from bodyplan.evaluation.evaluated_runs import EvaluatedRun, origins

_COMMIT = re.compile(r"^([0-9a-f]{8})[0-9a-f]{32}")
FEW_SEEDS = 5
"""Below this, bootstrap intervals are clearly too narrow."""


def notes_of_settings(unnamed: Sequence[str]) -> list[str]:
    """Settings in which arms differ though nobody asked to tell them apart by these."""
    if not unnamed:
        return []
    return [f"The arms also differ in {', '.join(unnamed)}, so a difference may come from there."]


def notes_of_robots(evaluated: Sequence[EvaluatedRun], robots: Sequence[str]) -> list[str]:
    """Robots that are left out."""
    everywhere = set.intersection(*(set(own.evaluation) for own in evaluated))
    anywhere = set.union(*(set(own.evaluation) for own in evaluated))
    notes = []
    if missing := sorted(anywhere - everywhere):
        notes.append(
            f"Left out, because not all runs were evaluated on them: {', '.join(missing)}."
        )
    if unmeasured := sorted(everywhere - set(robots)):
        notes.append(f"Left out, because they have no reference: {', '.join(unmeasured)}.")
    return notes


def notes_of_seeds(arms: Sequence[ArmScores], baseline: ArmScores) -> list[str]:
    """Seeds that are left out of a difference, and arms with too few."""
    notes = []
    for own in arms:
        pairs = paired_seeds(own.seeds, baseline.seeds)
        longer = max(own, baseline, key=lambda arm: len(arm.seeds))
        left = [str(seed) for seed in longer.seeds if pairs and seed not in pairs]
        if left:
            what = f"seed {left[0]}" if len(left) == 1 else f"seeds {', '.join(left)}"
            other = baseline if longer is own else own
            notes.append(
                f"Differences of {own.name} from {baseline.name} leave out {what} of "
                f"{longer.name}, which {other.name} lacks."
            )
    fewest = min(len(own.seeds) for own in arms)
    if fewest == 1:
        alone = ", ".join(own.name for own in arms if len(own.seeds) == 1)
        notes.append(f"A single seed gives no interval: {alone}.")
    elif fewest < FEW_SEEDS:
        notes.append(
            f"With {fewest} seeds, bootstrap intervals (of the IQM and of P) are too narrow. "
            "Judge by the difference."
        )
    return notes


def notes_of_robots_alone(differences: Sequence[ArmDifference]) -> list[str]:
    """Robots whose own interval excludes zero, which is not enough among several robots."""
    notes = []
    for own in differences:
        alone = [
            robot
            for robot, difference in own.differences.items()
            if robot != MEAN and difference.interval is not None and not own.verdict(robot)
            if difference.interval[0] > 0.0 or difference.interval[1] < 0.0
        ]
        if alone:
            notes.append(
                f"{own.arm} on {', '.join(alone)}: alone, the interval excludes zero, but among "
                f"{len(own.differences) - 1} robots one does so easily by chance (Holm)."
            )
    return notes


def notes_of_origin(evaluated: Sequence[EvaluatedRun]) -> list[str]:
    """Whether evaluations started alike, and whether runs come from the same versions."""
    notes = []
    seeds = {own.evaluation.document.get("seed", 0) for own in evaluated}
    if len(seeds) > 1:
        notes.append("Evaluations have different seeds, so episodes start from different states.")
    known = origins(evaluated)
    for name in ("bodyplan", "commit", "jax", "mujoco"):
        versions = [_short(own) for own in known.get(name, ())]
        if len(versions) > 1:
            what = "commits of bodyplan" if name == "commit" else f"versions of {name}"
            notes.append(f"Runs are of different {what}: {', '.join(versions)}.")
    return notes


def _short(version: str) -> str:
    """A version as it is, and of a commit as many digits as tell it from others."""
    return _COMMIT.sub(r"\1", version)
