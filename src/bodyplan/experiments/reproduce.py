"""Reproduce a table of the paper: its data, its runs, and a page with both numbers side by side.

    <out>/data/<set>/     datasets, shared by all tables of a scale
    <out>/runs/<key>/     runs, shared by all tables that have them
    <out>/<table>.html    the page, with <table>.csv and <table>.tex

The same call continues an interrupted reproduction. What other tables have trained is not trained
again.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bodyplan.datasets.build import build_dataset
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.compare import compare
from bodyplan.evaluation.comparison import MEAN, Comparison
from bodyplan.evaluation.evaluation import EvaluationConfig
from bodyplan.experiments.experiment_run import ExperimentRun
from bodyplan.experiments.paper_tables import PaperTable
from bodyplan.experiments.run_queue import RunOutcome, Workers, execute_all
from bodyplan.experiments.scales import ReproductionScale
from bodyplan.experiments.sweep import RUNS
from bodyplan.locking import writer_lock
from bodyplan.progress import ProgressDisplay
from bodyplan.report.reproduction_page import (
    ReproducedTable,
    reproduction_latex,
    write_reproduction,
)
from bodyplan.storage import atomic_write

DATASETS = "data"
EVALUATION_SEED = 1


@dataclass(frozen=True)
class Reproduction:
    """What came out of a reproduction."""

    table: ReproducedTable
    outcomes: tuple[RunOutcome, ...]
    page: Path | None
    """None where a run failed."""

    @property
    def failed(self) -> tuple[RunOutcome, ...]:
        """The runs that failed."""
        return tuple(own for own in self.outcomes if own.state == "failed")


def planned_runs(
    table: PaperTable, scale: ReproductionScale, out: Path, sets: Sequence[str] | None = None
) -> dict[str, list[ExperimentRun]]:
    """The runs of a table, by set; by default of all its sets. Their data must exist.

    Raises:
        BodyplanError: they do not.
    """
    evaluation = EvaluationConfig(scale.episodes, EVALUATION_SEED)
    return {
        name: [
            ExperimentRun.of(
                arm.name, scale.config(arm, out / DATASETS / name, seed), evaluation, out / RUNS
            )
            for arm in table.arms
            for seed in range(scale.seeds)
        ]
        for name in (table.sets if sets is None else sets)
    }


def reproduce(
    table: PaperTable,
    scale: ReproductionScale,
    out: str | Path,
    workers: Workers,
    display: ProgressDisplay | None = None,
) -> Reproduction:
    """Build the data, execute the runs, compare the arms on each set, and write the page.

    Args:
        table: which table.
        scale: how large.
        out: folder of all reproductions of that scale.
        workers: who executes the runs.
        display: shows how it goes on.

    Raises:
        BodyplanError: the folder belongs to another scale, or cannot be written to.
    """
    out = Path(out)
    with writer_lock(out / f"{table.name}.html"):
        for name in table.sets:
            recipe, _, command = name.rpartition("-")
            build_dataset(
                out / DATASETS / name,
                scale.robots or "all",
                recipe,
                command,
                scale.steps,
                progress=display,
            )
        runs = planned_runs(table, scale, out)
        outcomes = execute_all([run for own in runs.values() for run in own], workers, display)
        failed = {str(own.run.path) for own in outcomes if own.state == "failed"}
        found = {
            name: _compared(own, table.baseline)
            for name, own in runs.items()
            if not failed & {str(run.path) for run in own}
        }
        result = ReproducedTable(
            name=table.name,
            title=table.title,
            question=table.question,
            scale=_in_words(scale),
            arms=tuple(arm.name for arm in table.arms),
            baseline=table.baseline,
            comparisons=found,
            reported=table.reported,
        )
        if failed:
            return Reproduction(result, tuple(outcomes), None)
        page = write_reproduction(result, out / f"{table.name}.html")
        for suffix, text in ((".csv", _csv(result)), (".tex", reproduction_latex(result))):
            with atomic_write(page.with_suffix(suffix)) as temporary:
                temporary.write_text(text, encoding="utf-8")
    return Reproduction(result, tuple(outcomes), page)


def _compared(runs: list[ExperimentRun], baseline: str) -> Comparison:
    arms: dict[str, list[str]] = {}
    for run in runs:
        arms.setdefault(run.name, []).append(str(run.path))
    return compare(arms, baseline=baseline)


def _in_words(scale: ReproductionScale) -> Mapping[str, str]:
    """The sizes for a reader."""
    training = scale.training
    return {
        "Scale": scale.name,
        "Robots": ", ".join(scale.robots) or "all sixteen",
        "Steps of each robot": f"{scale.steps:,}",
        "Updates": f"{training['updates']:,}",
        "Batch of each robot": str(training["batch_size"]),
        "Network": training["network"],
        "Seeds": str(scale.seeds),
        "Episodes": f"{scale.episodes} of each robot",
        "Groups": str(scale.groups),
    }


def _csv(result: ReproducedTable) -> str:
    """A row for each set and arm."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("set", "arm", "seeds", "return", "error", "paper_return", "paper_error"))
    for name, comparison in result.comparisons.items():
        for arm in comparison.arms:
            own = arm.scores["return"][MEAN if len(comparison.robots) > 1 else comparison.robots[0]]
            theirs = result.reported.get(name, {}).get(arm.name, ("", ""))
            writer.writerow((name, arm.name, len(arm.seeds), own.mean, own.se, *theirs))
    return text.getvalue()


def find_table(name: str, tables: Mapping[str, PaperTable]) -> PaperTable:
    """The table of that name.

    Raises:
        BodyplanError: there is none.
    """
    if name not in tables:
        raise BodyplanError(f"there is no {name}; choose from {', '.join(tables)}, or see --list")
    return tables[name]
