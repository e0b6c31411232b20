"""Compare runs: group them into arms that hold their seeds, and compare the arms.

Nothing is averaged that does not belong together. Runs of one arm differ in their seeds only, and
all runs were evaluated alike.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from bodyplan.errors import BodyplanError
from bodyplan.evaluation.comparison import Arm, Comparison
from bodyplan.evaluation.comparison_arms import group_into_arms
from bodyplan.evaluation.comparison_notes import (
    notes_of_origin,
    notes_of_robots,
    notes_of_robots_alone,
    notes_of_seeds,
    notes_of_settings,
)
from bodyplan.evaluation.comparison_statistics import (
    ArmScores,
    arm_difference,
    best_arms,
    seed_scores,
)
from bodyplan.evaluation.evaluated_runs import (
    EVALUATION,
    EvaluatedRun,
    common_question,
    common_robots,
    mean_facts,
    origins,
    scores_by_name,
)
from bodyplan.evaluation.stratified_bootstrap import BOOTSTRAP_SAMPLES
from bodyplan.learn.run import Run, runs_in
from bodyplan.learn.same_settings import seed_of

Runs = Run | str | Path | Sequence[Run | str | Path]
"""Runs, or folders that hold the seeds of one."""


def compare(
    runs: Runs | Mapping[str, Runs],
    by: Sequence[str] | None = None,
    *,
    score: Literal["return", "normalised"] = "return",
    baseline: str | None = None,
    evaluation: str = EVALUATION,
    samples: int = BOOTSTRAP_SAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare the evaluations of runs that differ in some settings, over their seeds.

    Args:
        runs: runs, or folders that hold the seeds of one; or the runs of each arm by its name.
        by: names of the settings that tell arms apart, such as `algorithm` or `iql.beta`; by
            default all in which the runs differ. Runs of equal values are the seeds of one arm.
        score: `return`, or `normalised`: 0 for standing still, 1 for the reference (the packaged
            expert, or the ceiling where there is none).
        baseline: name of the arm that the others are compared with; by default the first.
        evaluation: name of the file in each run's folder that has its evaluation.
        samples: bootstrap samples of each interval.
        seed: seed of the bootstrap.

    Returns:
        The comparison, over the robots on which all runs have the score.

    Raises:
        BodyplanError: a run is not evaluated, runs of one arm differ in more than their seeds or
            share a seed, evaluations were not made alike, or no robot is in all of them.
    """
    named = (
        [(name, run) for name, own in runs.items() for run in _expanded(own)]
        if isinstance(runs, Mapping)
        else [("", run) for run in _expanded(runs)]
    )
    evaluated = [EvaluatedRun.read(run, evaluation) for _, run in named]
    question, robots = common_question(evaluated), common_robots(evaluated, score)
    also = ("evaluate_every",) if question["policy"] == "best" else ()  # it decides the best
    given = [name for name, _ in named] if isinstance(runs, Mapping) else None
    grouping = group_into_arms(evaluated, by, also, given)
    names = list(grouping.arms)
    if baseline is not None and baseline not in names:
        raise BodyplanError(
            f"there is no arm '{baseline}' to be the baseline; choose from {', '.join(names)}"
        )
    tables = {
        measure: [
            ArmScores(
                name, tuple(seed_of(evaluated[place].run) for place in places), values[list(places)]
            )
            for name, places in grouping.arms.items()
        ]
        for measure, values in scores_by_name(evaluated, robots).items()
    }
    compared = tables[score]
    best = best_arms(compared, robots)
    arms = tuple(
        Arm(
            name=name,
            settings=grouping.settings[name],
            seeds=compared[index].seeds,
            runs=tuple(str(evaluated[place].run.path) for place in places),
            scores={
                measure: seed_scores(table[index], robots, samples, seed)
                for measure, table in tables.items()
            },
            best=best[index],
            facts=mean_facts([evaluated[place].evaluation for place in places], robots),
        )
        for index, (name, places) in enumerate(grouping.arms.items())
    )
    first = compared[names.index(baseline) if baseline else 0]
    differences = tuple(
        arm_difference(own, first, robots, score, samples, seed)
        for own in compared
        if own is not first
    )
    return Comparison(
        score=score,
        by=grouping.by,
        robots=robots,
        arms=arms,
        baseline=first.name,
        differences=differences,
        question=question,
        notes=(
            *notes_of_settings(grouping.unnamed),
            *notes_of_robots(evaluated, robots),
            *notes_of_seeds(compared, first),
            *notes_of_robots_alone(differences),
            *notes_of_origin(evaluated),
        ),
        samples=samples,
        provenance=origins(evaluated),
    )


def _expanded(runs: Runs) -> list[Run]:
    """The runs, and those in folders of seeds."""
    given = [runs] if isinstance(runs, Run | str | Path) else list(runs)
    found: list[Run] = []
    for own in given:
        found += [own] if isinstance(own, Run) else runs_in(Path(own))
    if not found:
        raise BodyplanError("there is no run to compare; give folders of runs")
    return found
