"""Returns over training."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean

from bodyplan.evaluation.significance import seed_mean
from bodyplan.experiments.paper_arms import ARMS
from bodyplan.experiments.products.product import PlannedRun, Product, Workspace
from bodyplan.experiments.products.training_alone import estimate
from bodyplan.learn.run import Run
from bodyplan.report.data_table import DataTable
from bodyplan.report.html_page import TableColumn
from bodyplan.report.reproduction_page import Findings, PageSection
from bodyplan.report.seed_figures import SeedCurve, draw_curves

POINTS = 10
"""Evaluations during a training."""


@dataclass(frozen=True, kw_only=True)
class LearningCurves(Product):
    """Arms on a set, evaluated as they learn. These runs are of their own."""

    dataset: str
    arms: tuple[str, ...]
    """Names in `ARMS`; the first is the baseline."""

    @property
    def datasets(self) -> Sequence[str]:
        """The one it trains on."""
        return (self.dataset,)

    def runs(self, at: Workspace) -> tuple[PlannedRun, ...]:
        """Those of each arm."""
        return tuple(run for own in self._runs(at).values() for run in own)

    def _runs(self, at: Workspace) -> dict[str, tuple[PlannedRun, ...]]:
        every = at.scale.every(POINTS)
        return {
            arm: at.arm_runs(ARMS[arm], self.dataset, evaluate_every=every) for arm in self.arms
        }

    def found(self, at: Workspace) -> Findings:
        """The curves, and what is left of a lead in the last evaluation."""
        curves = {arm: return_curve(runs) for arm, runs in self._runs(at).items()}
        columns = [TableColumn("update", "updates", digits=0)]
        columns += [TableColumn(arm, arm, error=f"{arm} interval") for arm in self.arms]
        first = curves[self.arms[0]]
        rows = []
        for place, update in enumerate(first.x):
            row: dict[str, object] = {"update": update}
            for arm, curve in curves.items():
                value = curve.values[place]
                row |= {arm: value["mean"], f"{arm} interval": value["interval"]}
            rows.append(row)
        sentences = [
            _lead(arm, self.arms[0], curves[arm], first, place)
            for arm in self.arms[1:]
            for place in dict.fromkeys((len(first.x) // 2, len(first.x) - 1))
        ]
        return Findings(
            (*sentences, "No copy at hand has the paper's numbers."),
            (
                PageSection(
                    "Returns over training",
                    "Means over robots and seeds with 95 % intervals over seeds.",
                    DataTable(tuple(columns), tuple(rows)),
                ),
            ),
            draw=partial(draw_curves, curves, ("updates", "return of an episode")),
            caption="Mean return over robots, with 95 % intervals over seeds.",
        )


def return_curve(runs: Sequence[PlannedRun], robot: str | None = None) -> SeedCurve:
    """Returns in the evaluations during training.

    Args:
        runs: seeds of one arm.
        robot: whose; the mean over robots where not given.
    """
    points: dict[int, list[float]] = {}
    for own in runs:
        for line in Run(own.run.path).metrics:
            if "evaluation" in line:
                scores = line["evaluation"]
                names = [robot] if robot else list(scores)
                value = fmean(scores[name]["return_mean"] for name in names)
                points.setdefault(line["update"], []).append(value)
    places = sorted(points)
    return SeedCurve(places, [seed_mean(points[place]) for place in places])


def _lead(arm: str, baseline: str, own: SeedCurve, other: SeedCurve, place: int) -> str:
    pairs = zip(own.values[place]["seeds"], other.values[place]["seeds"], strict=True)
    lead = seed_mean([a - b for a, b in pairs])
    half = lead["interval"]
    sure = half is not None and abs(lead["mean"]) > half
    return (
        f"After {own.x[place]:,.0f} updates, {arm} returns {estimate(lead)} more than {baseline}"
        + ("." if sure else ", which cannot be told from nothing.")
    )
