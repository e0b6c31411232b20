"""`bodyplan evaluate`: run episodes with trained policies, robot by robot."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from bodyplan.bounds import CountFromZero
from bodyplan.cli.output import (
    EVALUATION_COLUMNS,
    Column,
    comma_list,
    print_evaluation,
    print_json,
    print_line,
    print_table,
    require_writable,
)
from bodyplan.evaluation.evaluation import EvaluationConfig
from bodyplan.progress import OnProgress, progress

if TYPE_CHECKING:
    from bodyplan.errors import BodyplanError
    from bodyplan.evaluation.evaluation import Evaluation
    from bodyplan.learn.run import Run


@dataclass(frozen=True)
class Evaluate:
    """Run whole episodes of each robot in reference physics; write evaluation.json into each run.

    Every other question has a file of its own, such as evaluation_best.json or
    evaluation_backward.json. The report reads only evaluation.json.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of runs, or of seeds that were trained side by side."""
    robots: tuple[str, ...] = ()
    """Names of robots, or paths of MJCFs; by default the robots of the run."""
    command: str | None = None
    """forward, backward or vx,vy,wz (m/s, m/s, rad/s); by default that of the run's data."""
    best: bool = False
    """Evaluate the best policy of the training, not the last (see `train --evaluate-every`)."""
    at: CountFromZero | None = None
    """Evaluate the checkpoint after this many updates; by default the finished policy."""
    trial: tyro.conf.OmitArgPrefixes[EvaluationConfig] = field(default_factory=EvaluationConfig)
    json: bool = False
    """Print JSON."""
    wide: bool = False
    """Show all columns, whatever the terminal's width."""

    def run(self) -> None:
        """Evaluate, write, print."""
        from bodyplan.errors import BodyplanError
        from bodyplan.learn.run import runs_in

        if not self.runs:
            raise BodyplanError("there is no run to evaluate; give the folder of one or more")
        by_folder = {folder: runs_in(folder) for folder in dict.fromkeys(self.runs)}
        runs = [run for own in by_folder.values() for run in own]
        failed: list[BodyplanError] = []  # to write; what was computed is shown all the same
        with progress() as report:
            found = {run.path: self._evaluate(run, report, failed) for run in runs}
        if len(runs) == 1:
            self._show_one(*found.popitem(), written=not failed)
        else:
            self._show_several(by_folder, found, written=not failed)
        if failed:
            raise failed[0]

    def _evaluate(
        self, run: "Run", report: OnProgress, failed: "list[BodyplanError]"
    ) -> "Evaluation":
        from bodyplan.errors import BodyplanError
        from bodyplan.evaluation.evaluate import evaluate

        require_writable(run.path / "evaluation.json")
        names = comma_list(self.robots)
        evaluation = evaluate(
            run,
            None if names in ((), ("all",)) else names,
            self.command,
            episodes=self.trial.episodes,
            seed=self.trial.seed,
            initial_state=self.trial.initial_state,
            threads=self.trial.threads,
            disturbances=self.trial.disturbances,
            best=self.best,
            at=self.at,
            progress=report,
        )
        try:
            evaluation.save(run.path / evaluation.file_name)
        except BodyplanError as error:
            failed.append(error)
        return evaluation

    def _show_one(self, folder: Path, evaluation: "Evaluation", written: bool) -> None:
        if self.json:
            print_json(evaluation.document)
            return
        print_evaluation(evaluation, self.wide)
        print_line(_note([evaluation]))
        self._say_unfinished(folder, evaluation)
        if written:
            print_line(f"written to {folder / evaluation.file_name}")

    def _show_several(
        self,
        by_folder: "dict[Path, tuple[Run, ...]]",
        found: "dict[Path, Evaluation]",
        written: bool,
    ) -> None:
        """One row for each run, with its means over robots; and one for the seeds of a folder."""
        from bodyplan.evaluation.seed_means import seed_means

        rows: list[dict[str, Any]] = []
        seeds = {}
        for folder, runs in by_folder.items():
            own = [found[run.path] for run in runs]
            rows += [
                {"run": str(run.path), **each.mean} for run, each in zip(runs, own, strict=True)
            ]
            if len(runs) > 1:
                seeds[str(folder)] = seed_means(own)
                rows.append({"run": f"mean of {len(runs)} seeds", **seeds[str(folder)]})
        if self.json:
            documents = {str(folder): each.document for folder, each in found.items()}
            print_json({"runs": documents, "seeds": seeds})
            return
        columns = (Column("run", whole=True), *EVALUATION_COLUMNS[1:])
        print_table("Means over robots", rows, columns, self.wide)
        seeds_note = " ± of a mean of seeds: standard error over seeds." if seeds else ""
        print_line(_note(found.values()) + seeds_note)
        for folder, evaluation in found.items():
            self._say_unfinished(folder, evaluation)
        names = dict.fromkeys(each.file_name for each in found.values())
        if written:
            print_line(f"written to {', '.join(names)} in each run")

    def _say_unfinished(self, folder: Path, evaluation: "Evaluation") -> None:
        if self.at is None and (evaluation.policy or "").startswith("at "):
            updates = evaluation.document["updates"]
            print_line(f"{folder} is not finished; this is its checkpoint at update {updates:,}")


def _note(evaluations: "Iterable[Evaluation]") -> str:
    """What the columns of a table mean."""
    references = {own["reference"] for each in evaluations for own in each.values()}
    tops = {"expert": "the expert", "ceiling": "the tracking ceiling, where there is no expert"}
    known = [text for name, text in tops.items() if name in references]
    score = f"score: 0 % is standing still (floor), 100 % {' or '.join(known)}. " if known else ""
    return score + "data: mean return of the data's whole episodes."
