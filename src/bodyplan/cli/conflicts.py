"""`bodyplan conflicts`: how often gradients of robots conflict, and the relation to bodies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import tyro

from bodyplan.bounds import CountFromOne, Seed
from bodyplan.cli.output import print_json, print_line, print_table, require_figure_path
from bodyplan.records import read_record
from bodyplan.storage import atomic_write

if TYPE_CHECKING:
    from bodyplan.learn.conflicts import Conflicts
    from bodyplan.learn.run import Run


@dataclass(frozen=True)
class ShowConflicts:
    """Show cosines between the actor gradients of robots, measured during or after training.

    Several runs are seeds of one another: values are means over them with 95 % confidence
    intervals. Runs that differ in more than their seed are refused. A run measures during training
    if it is trained with --conflicts-every.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of runs, or one that holds the seeds of `train --seeds`."""
    data: Path | None = None
    """Dataset on which to measure the gradients of the trained policy; by default the measurements
    of the training are shown."""
    batch_size: CountFromOne | None = None
    """With --data: transitions of each robot in a batch; by default as in training."""
    batches: CountFromOne = 16
    """With --data: number of measurements, each on another batch."""
    seed: Seed = 0
    """With --data: seed of the batches."""
    transfer: Path | None = None
    """A transfer.json of `bodyplan transfer`, to correlate cosines with the gains of robots."""
    plot: Path | None = None
    """A figure to write (.svg, .png, .pdf); an existing file is replaced."""
    json: bool = False
    """Print JSON."""

    def run(self) -> None:
        """Measure or read, summarise, print."""
        if self.plot is not None:
            require_figure_path(self.plot, "--plot")
        from bodyplan.evaluation.conflict_summary import summarise_conflicts
        from bodyplan.grouping.embodiment_distances import embodiment_distances
        from bodyplan.learn.run import runs_in
        from bodyplan.learn.same_settings import require_seeds, result_settings
        from bodyplan.robots.robot import Robot

        runs = [run for folder in self.runs for run in runs_in(folder)]
        # The updates at which a run measured are part of the question; with --data they are not.
        also = ("conflicts_every",) if self.data is None else ()
        settings = [result_settings(run, also) for run in runs]
        require_seeds(runs, "give runs that differ only in their seed", settings)
        gains = None if self.transfer is None else _gains(self.transfer, runs[0])
        measured = [self._measured(run) for run in runs]
        distances = embodiment_distances(
            [Robot.load(robot, runs[0].models) for robot in measured[0].robots]
        )
        answer = {
            "runs": [str(run.path) for run in runs],
            **summarise_conflicts(measured, distances, gains),
        }
        if self.plot is not None:
            self._draw(answer, measured)
        if self.json:
            print_json(answer)
        else:
            _print(answer)
        if self.plot is not None and not self.json:
            print_line(f"figure written to {self.plot}")

    def _measured(self, run: "Run") -> "Conflicts":
        from bodyplan.learn.conflicts import Conflicts

        if self.data is None:
            return Conflicts.read(run)
        from bodyplan.learn.compilation import enable_compilation_cache  # and JAX with it
        from bodyplan.learn.measure_conflict import measure_conflicts

        enable_compilation_cache()
        return measure_conflicts(run, self.data, self.batch_size, self.batches, self.seed)

    def _draw(self, answer: Mapping[str, Any], measured: Sequence["Conflicts"]) -> None:
        from bodyplan.report.conflict_figure import draw_conflicts

        assert self.plot is not None
        with atomic_write(self.plot) as temporary:
            draw_conflicts(answer, measured, temporary)


class _Gain(TypedDict):
    mean: float


class _RobotTransfer(TypedDict):
    gain: _Gain


class _Transfer(TypedDict):
    robots: dict[str, _RobotTransfer]


def _gains(path: Path, run: "Run") -> dict[str, float]:
    """The gain of each robot, from a file of `bodyplan transfer` with the settings of the run."""
    from bodyplan.errors import BodyplanError

    answer = read_record(path, _Transfer, "give a transfer.json of `bodyplan transfer`")
    for name in ("algorithm", "combine", "dataset_card_sha256"):
        own, other = answer.get(name), run.config.get(name)
        if own is None or other is None or own == other:
            continue
        values = "" if name.startswith("dataset") else f" ({own} and {other})"
        raise BodyplanError(
            f"{path} and {run.path} differ in {name.partition('_card')[0]}{values}; give the "
            "transfer of the same algorithm, combine and data"
        )
    return {name: row["gain"]["mean"] for name, row in answer["robots"].items()}


def _print(answer: Mapping[str, Any]) -> None:
    rows = [
        {
            "robot": robot,
            "negative cosines": _percent(scores["negative_share"]),
            "mean cosine": _estimate(scores["mean_cosine"]),
        }
        for robot, scores in answer["per_robot"].items()
    ]
    print_table("Gradients of each robot against those of the others", rows)
    seeds = len(answer["runs"])
    over = f"{sum(answer['measurements'])} measurements of {seeds} run{'s' * (seeds > 1)}"
    print_line(
        f"{_percent(answer['negative_share'])} of cosines are negative, and "
        f"{_percent(answer['opposed_share'])} of pairs have a negative mean cosine; "
        f"the mean cosine is {_estimate(answer['mean_cosine'])} ({over})."
    )
    if bodies := answer.get("embodiment"):
        print_line(
            f"Similarity of bodies and cosine: r = {bodies['r']:.2f}, {bodies['points']} pairs, "
            f"p = {bodies['p']:.2g}, and p = {bodies['mantel_p']:.2g} by Mantel's test."
        )
    if transfer := answer.get("transfer"):
        rows = [
            {"gain or loss of at least": float(threshold), **row}
            for threshold, row in transfer["by_threshold"].items()
        ]
        print_table("Correlation of mean cosine and gain", rows)


def _percent(estimate: Mapping[str, Any]) -> str:
    return f"{_estimate(estimate, 100.0, 1)} %"


def _estimate(estimate: Mapping[str, Any], factor: float = 1.0, digits: int = 3) -> str:
    text = f"{factor * estimate['mean']:.{digits}f}"
    interval = estimate["interval"]
    return text if interval is None else f"{text} ± {factor * interval:.{digits}f}"
