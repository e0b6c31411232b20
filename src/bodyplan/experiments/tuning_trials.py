"""Tuning: the trials of every arm, and which of its settings are compared.

The trials have seeds of their own. The setting that scores highest over them is trained anew with
the seeds of the comparison, which have decided nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from bodyplan.evaluation.evaluated_runs import EVALUATION
from bodyplan.evaluation.evaluation import Evaluation
from bodyplan.evaluation.tuning import TunedArm
from bodyplan.experiments.experiment_run import ExperimentRun
from bodyplan.learn.config import TrainConfig


@dataclass(frozen=True)
class Candidate:
    """Settings that an arm may be compared with."""

    label: str
    """In words, such as `learning_rate=0.001`."""
    trials: tuple[TrainConfig, ...]
    """With the seeds of tuning; none where the arm has nothing to choose from."""
    compared: tuple[TrainConfig, ...]
    """The same settings with the seeds of the comparison."""


Candidates = Mapping[str, Sequence[Candidate]]
"""By arm."""


def trial_configs(candidates: Candidates) -> dict[str, list[TrainConfig]]:
    """What is trained to choose, by arm and setting."""
    return {
        f"{arm} {own.label}": list(own.trials)
        for arm, each in candidates.items()
        for own in each
        if own.trials
    }


def choose(candidates: Candidates, trials: Sequence[ExperimentRun]) -> list[TunedArm]:
    """What the finished trials say.

    Scores are normalised returns, or returns where a robot has no normalised ones.

    Args:
        candidates: of every arm.
        trials: finished runs of all `trial_configs`.

    Raises:
        BodyplanError: an evaluation is damaged.
    """
    means = {run.label: Evaluation.load(Path(run.path) / EVALUATION).mean for run in trials}
    normalised = all(mean.get("normalised_return") is not None for mean in means.values())
    score = "normalised_return" if normalised else "return_mean"
    return [
        TunedArm(
            arm,
            {
                own.label: fmean(
                    means[f"{arm} {own.label} seed {trial.seed}"][score] or 0.0
                    for trial in own.trials
                )
                for own in each
            },
        )
        for arm, each in candidates.items()
        if len(each) > 1
    ]


def compared_configs(
    candidates: Candidates, tuned: Sequence[TunedArm]
) -> dict[str, tuple[TrainConfig, ...]]:
    """What is trained for the comparison, by arm: its only or its chosen settings."""
    chosen = {own.name: own.chosen for own in tuned}
    return {
        arm: next(own.compared for own in each if own.label == chosen.get(arm, own.label))
        for arm, each in candidates.items()
    }
