"""`bodyplan sweep`: many runs from one file, by several workers, and one table."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from bodyplan.cli.output import Column, print_json, print_line, print_table
from bodyplan.cli.sweep_grid import read_sweep_grid
from bodyplan.cli.worker_options import WorkerOptions
from bodyplan.errors import BodyplanError
from bodyplan.progress import progress

if TYPE_CHECKING:
    from bodyplan.experiments.experiment_run import ExperimentRun
    from bodyplan.experiments.sweep import SweepResult


@dataclass(frozen=True)
class Sweep:
    """Train and evaluate every run that a file asks for, and compare the arms.

    The same command continues an interrupted sweep. Finished runs are kept, failed ones are tried
    again, and new ones in the file are added.
    """

    grid: tyro.conf.Positional[Path]
    """The file (.toml): tables [settings], [arms.NAME], [grid] and [tuning] of options of `bodyplan
    train`, and [evaluation]."""
    out: Path
    """Folder of the sweep: runs, runs.csv and comparison.html."""
    options: tyro.conf.OmitArgPrefixes[WorkerOptions] = field(default_factory=WorkerOptions)
    part: str | None = None
    """K/N: only every N-th run, from the K-th on, for arrays of jobs. Without it, the same command
    gathers all parts."""
    dry_run: bool = False
    """Say which runs there are and how far they are; execute none."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Execute what is missing; 1 where a run failed."""
        from bodyplan.experiments.sweep import planned_runs, sweep

        grid = read_sweep_grid(self.grid)
        part = _part(self.part)
        if self.dry_run:
            self._show_plan(planned_runs(grid.arms, grid.evaluation, self.out, part))
            return 0
        workers = self.options.make()
        with progress() as display:
            result = sweep(grid.arms, grid.evaluation, self.out, workers, display, part)
        if self.json:
            tuned = {own.name: {"chosen": own.chosen, "scores": own.scores} for own in result.tuned}
            print_json(
                {
                    "runs": result.rows(),
                    "tuned": tuned,
                    "comparison": _json(result),
                    "note": result.note,
                }
            )
        else:
            self._show(result)
        return 1 if result.failed else 0

    def _show_plan(self, runs: "list[ExperimentRun]") -> None:
        rows = []
        for run in runs:
            done = run.updates_done
            begun = f"{done:,} of {run.config.updates:,}" if done else "not begun"
            state = "finished" if run.is_finished() else begun
            rows.append({"arm": run.name, "seed": run.config.seed, "state": state})
        if self.json:
            print_json({"runs": rows})
            return
        columns = [Column("arm"), Column("seed", whole=True), Column("state", whole=True)]
        print_table(f"{len(rows)} runs", rows, columns)

    def _show(self, result: "SweepResult") -> None:
        rows = result.rows()
        columns = [
            Column("arm"),
            Column("seed", whole=True),
            Column("state", whole=True),
            Column("return_mean", "return", digits=1),
            Column("normalised_return", "score", digits=2),
            Column("fall_share", "falls", digits=2),
        ]
        print_table(f"{len(rows)} runs, means over robots", rows, columns)
        for tuned in result.tuned:
            print_line(f"{tuned.name} chose {tuned.chosen} of {len(tuned.scores)}")
        for own in result.failed:
            print_line(f"failed: {own.run.label}: {own.problem}")
        if result.comparison is not None:
            for sentence in result.comparison.sentences:
                print_line(sentence)
            print_line(f"written to {self.out / 'comparison.html'}")
        elif result.note:
            print_line(f"Note: {result.note}")
        if self.part is None:
            print_line(f"written to {self.out / 'runs.csv'}")


def _part(text: str | None) -> tuple[int, int] | None:
    """K and N of K/N."""
    if text is None:
        return None
    try:
        first, every = map(int, text.split("/"))
    except ValueError:
        first = every = 0
    if not 1 <= first <= every:
        raise BodyplanError(f"--part {text} must be K/N with K from 1 to N, such as 2/8")
    return first, every


def _json(result: "SweepResult") -> object:
    return None if result.comparison is None else result.comparison.to_json()
