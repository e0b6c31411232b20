"""Whether robots gain by learning with others whose gradients agree with theirs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from bodyplan.evaluation.conflict_summary import summarise_conflicts
from bodyplan.experiments.paper_arms import ARMS
from bodyplan.experiments.products.measured_conflicts import conflicts_of, distances_of
from bodyplan.experiments.products.product import PlannedRun, Product, Workspace
from bodyplan.experiments.products.training_alone import AloneAndTogether
from bodyplan.report.data_table import DataTable
from bodyplan.report.gain_figure import draw_gains
from bodyplan.report.html_page import TableColumn
from bodyplan.report.reproduction_page import Findings, PageSection

_ROBOTS = (
    TableColumn("robot", "robot"),
    TableColumn("gain", "gain", error="gain_interval", strong=True),
    TableColumn("cosine", "mean cosine", digits=3, error="cosine_interval"),
)
_THRESHOLDS = (
    TableColumn("threshold", "gain or loss of at least"),
    TableColumn("robots", "robots", digits=0),
    TableColumn("r", "Pearson's r", digits=3, strong=True),
    TableColumn("p", "p", digits=4),
)


@dataclass(frozen=True, kw_only=True)
class GainCosines(Product):
    """Gains of robots against their mean cosines, for one arm on one set."""

    dataset: str
    arm: str
    reported: float | None = None
    """The paper's r."""

    @property
    def datasets(self) -> Sequence[str]:
        """The one it trains on."""
        return (self.dataset,)

    def runs(self, at: Workspace) -> tuple[PlannedRun, ...]:
        """Together and alone."""
        return AloneAndTogether.of(at, ARMS[self.arm], self.dataset).runs

    def found(self, at: Workspace) -> Findings:
        """The correlation, over robots with a substantial gain and over others too."""
        study = AloneAndTogether.of(at, ARMS[self.arm], self.dataset)
        returns = study.returns(at)
        gains = {robot: own["gain"]["mean"] for robot, own in returns.items()}
        measured = conflicts_of(study.together)
        summary = summarise_conflicts(measured, distances_of(measured[0].robots), gains)
        per_robot, transfer = summary["per_robot"], summary["transfer"]
        threshold = transfer["threshold"]
        shown = transfer["by_threshold"][str(threshold)]
        rows = [
            {
                "robot": robot,
                "gain": own["gain"]["mean"],
                "gain_interval": own["gain"]["interval"],
                "cosine": per_robot[robot]["mean_cosine"]["mean"],
                "cosine_interval": per_robot[robot]["mean_cosine"]["interval"],
            }
            for robot, own in returns.items()
        ]
        found = _told(shown["r"], shown["p"], shown["robots"], threshold)
        everything = transfer["by_threshold"]["0.0"]
        theirs = "not known here" if self.reported is None else f"{self.reported:g}"
        return Findings(
            (
                found,
                _told(everything["r"], everything["p"], everything["robots"], 0.0),
                f"The paper's r is {theirs}. Its threshold is not known, and choosing robots by "
                "their gain makes r larger.",
            ),
            (
                PageSection(
                    "Robots",
                    "Return together minus alone, and the mean cosine of a robot's gradient with "
                    "those of the others over training. Intervals are of 95 %, over seeds.",
                    DataTable(_ROBOTS, tuple(rows)),
                ),
                PageSection(
                    "Thresholds",
                    "The correlation over the robots whose gain or loss is large enough.",
                    DataTable(
                        _THRESHOLDS,
                        tuple(
                            {"threshold": f"{float(least):g}", **row}
                            for least, row in transfer["by_threshold"].items()
                        ),
                    ),
                ),
            ),
            draw=partial(
                draw_gains,
                gains,
                {row["robot"]: row["cosine"] for row in rows},
                threshold,
                "" if shown["r"] is None else f"r = {shown['r']:.2f} over {shown['robots']} robots",
            ),
            caption=f"Robots with a gain or loss below {threshold:g} are hollow.",
        )


def _told(r: float | None, p: float | None, robots: int, threshold: float) -> str:
    over = f"robots with a gain or loss of at least {threshold:g} ({robots} of them)"
    if threshold == 0.0:
        over = f"all {robots} robots"
    if r is None or p is None:
        return f"Over {over} there is no correlation to tell, for they are too few."
    verdict = "told from none" if p < 0.05 else "not told from none"
    return f"Over {over}, gain and cosine correlate by r = {r:.2f}, {verdict} (p = {p:.2g})."
