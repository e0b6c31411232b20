"""A sweep: many runs, executed by workers, and one table of what came out.

    <out>/runs/<key>/       each run, named by what decides its result
    <out>/runs.csv          a row for each run: its arm, seed, state, and means over robots
    <out>/comparison.html   the arms compared over their seeds, where they can be

Where arms are tuned, their trials come first, with seeds of their own. The same call continues an
interrupted sweep and adds what is new in it.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bodyplan.errors import BodyplanError
from bodyplan.evaluation.comparison import Comparison
from bodyplan.evaluation.evaluated_runs import EVALUATION
from bodyplan.evaluation.evaluation import Evaluation, EvaluationConfig
from bodyplan.evaluation.tuning import TunedArm
from bodyplan.experiments.experiment_run import ExperimentRun
from bodyplan.experiments.run_queue import RunOutcome, Workers, execute_all
from bodyplan.experiments.tuning_trials import (
    Candidates,
    choose,
    compared_configs,
    trial_configs,
)
from bodyplan.learn.config import TrainConfig
from bodyplan.locking import writer_lock
from bodyplan.progress import ProgressDisplay
from bodyplan.storage import atomic_write

RUNS, TABLE, PAGE = "runs", "runs.csv", "comparison.html"
SCORES = ("return_mean", "normalised_return", "fall_share", "velocity_error", "data_return")
"""Of the table, means over robots."""


@dataclass(frozen=True)
class SweepResult:
    """What came out of a sweep."""

    outcomes: tuple[RunOutcome, ...]
    """Of each run, in the order of the sweep; of the trials where these are not finished."""
    comparison: Comparison | None
    """Of the arms; None where a run failed, or where they cannot be compared."""
    note: str = ""
    """Why there is no comparison."""
    tuned: tuple[TunedArm, ...] = ()
    """What each arm tried, if it was tuned."""

    @property
    def failed(self) -> tuple[RunOutcome, ...]:
        """The runs that failed."""
        return tuple(own for own in self.outcomes if own.state == "failed")

    def rows(self) -> list[dict[str, Any]]:
        """A row for each run."""
        return [_row(own) for own in self.outcomes]


def sweep_runs(
    arms: Mapping[str, Sequence[TrainConfig]], evaluation: EvaluationConfig, out: str | Path
) -> list[ExperimentRun]:
    """The runs of a sweep, in its folder.

    Args:
        arms: of each arm its configurations, which differ in their seeds.
        evaluation: how every policy is evaluated.
        out: folder of the sweep.

    Raises:
        BodyplanError: two runs are the same, or there are no data.
    """
    runs = [
        ExperimentRun.of(name, config, evaluation, Path(out) / RUNS)
        for name, configs in arms.items()
        for config in configs
    ]
    first: dict[Path, ExperimentRun] = {}
    for run in runs:
        other = first.setdefault(run.path, run)
        if other is not run:
            raise BodyplanError(
                f"{other.label} and {run.label} are the same run, with the same settings and data; "
                "leave one of them out"
            )
    return runs


def planned_runs(
    arms: Candidates,
    evaluation: EvaluationConfig,
    out: str | Path,
    part: tuple[int, int] | None = None,
) -> list[ExperimentRun]:
    """The trials and the runs of a sweep, as far as they are known: what is compared is decided
    by the finished trials.

    Args:
        arms: what each may be compared with.
        evaluation: how every policy is evaluated.
        out: folder of the sweep.
        part: (k, n): only every n-th, from the k-th on.

    Raises:
        BodyplanError: two runs are the same, or there are no data.
    """
    trials = sweep_runs(trial_configs(arms), evaluation, out)
    if not all(run.is_finished() for run in trials):
        return _part(trials, part)
    chosen = compared_configs(arms, choose(arms, trials))
    return _part(trials, part) + _part(sweep_runs(chosen, evaluation, out), part)


def sweep(
    arms: Candidates,
    evaluation: EvaluationConfig,
    out: str | Path,
    workers: Workers,
    display: ProgressDisplay | None = None,
    part: tuple[int, int] | None = None,
) -> SweepResult:
    """Execute what is not finished, the trials first, and write the table and the page.

    Args:
        arms: what each may be compared with.
        evaluation: how every policy is evaluated.
        out: folder of the sweep.
        workers: who executes the runs.
        display: shows how it goes on.
        part: (k, n): only every n-th run, from the k-th on. A part leaves table and page to
            whoever gathers all.

    Raises:
        BodyplanError: two runs are the same, there are no data, another sweep works in that
            folder, or it cannot be written to.
    """
    out = Path(out)
    trials = sweep_runs(trial_configs(arms), evaluation, out)
    tried = tuple(execute_all(_part(trials, part), workers, display))
    if not all(run.is_finished() for run in trials):
        note = "what is compared is decided when all trials are finished; give the command again"
        return SweepResult(tried, None, note)
    tuned = tuple(choose(arms, trials))
    runs = sweep_runs(compared_configs(arms, tuned), evaluation, out)
    if part is not None:
        return SweepResult(tuple(execute_all(_part(runs, part), workers, display)), None)
    with writer_lock(out / TABLE):
        outcomes = tuple(execute_all(runs, workers, display))
        _write_table((*tried, *outcomes), out)
        result = replace(_compared(outcomes), tuned=tuned if trials else ())
        if result.comparison is not None:
            from bodyplan.report.comparison_page import write_comparison

            write_comparison(result.comparison, out / PAGE, result.tuned)
    return result


def _part(runs: list[ExperimentRun], part: tuple[int, int] | None) -> list[ExperimentRun]:
    first, every = part or (1, 1)
    return runs[first - 1 :: every]


def _compared(outcomes: tuple[RunOutcome, ...]) -> SweepResult:
    """The outcomes with a comparison of their arms, or with why there is none."""
    from bodyplan.evaluation.compare import compare

    failed = sum(own.state == "failed" for own in outcomes)
    if failed:
        note = f"{failed} of {len(outcomes)} runs failed; the same command tries them again"
        return SweepResult(outcomes, None, note)
    arms: dict[str, list[str]] = {}
    for own in outcomes:
        arms.setdefault(own.run.name, []).append(str(own.run.path))
    try:
        return SweepResult(outcomes, compare(arms))
    except BodyplanError as error:  # of other commands or robots, say; each run has its results
        return SweepResult(outcomes, None, f"the arms are not compared: {error}")


def _row(outcome: RunOutcome) -> dict[str, Any]:
    run = outcome.run
    row: dict[str, Any] = {
        "arm": run.name,
        "seed": run.config.seed,
        "state": "failed" if outcome.state == "failed" else "finished",
        "folder": run.path.name,
    }
    if outcome.state == "failed":
        return row | {"problem": outcome.problem}
    mean = Evaluation.load(run.path / EVALUATION).mean
    return row | {name: mean.get(name) for name in SCORES}


def _write_table(outcomes: Sequence[RunOutcome], out: Path) -> None:
    text = io.StringIO()
    columns = ("arm", "seed", "state", "folder", *SCORES, "problem")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_row(own) for own in outcomes)
    with atomic_write(out / TABLE) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
