"""Whether gradients agree more where bodies are more alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from bodyplan.evaluation.conflict_summary import summarise_conflicts
from bodyplan.experiments.paper_arms import ARMS
from bodyplan.experiments.products.measured_conflicts import conflicts_of, distances_of
from bodyplan.experiments.products.product import PlannedRun, Product, Workspace
from bodyplan.experiments.products.training_alone import estimate
from bodyplan.report.conflict_figure import draw_conflicts
from bodyplan.report.data_table import DataTable
from bodyplan.report.html_page import TableColumn
from bodyplan.report.reproduction_page import Findings, PageSection

_COLUMNS = (
    TableColumn("pair", "robots"),
    TableColumn("similarity", "similarity of bodies", digits=3),
    TableColumn("cosine", "mean cosine", digits=3, strong=True),
)
_SUMMARY = (
    TableColumn("what", "over all pairs"),
    TableColumn("here", "here", digits=3, strong=True, error="interval"),
    TableColumn("paper", "the paper", digits=3),
)


@dataclass(frozen=True, kw_only=True)
class BodyCosines(Product):
    """Similarities of bodies against mean cosines, of an arm's runs on a set."""

    dataset: str
    arm: str
    reported: float
    """The paper's r."""

    @property
    def datasets(self) -> Sequence[str]:
        """The one it trains on."""
        return (self.dataset,)

    def runs(self, at: Workspace) -> tuple[PlannedRun, ...]:
        """The main table's."""
        return at.arm_runs(ARMS[self.arm], self.dataset)

    def found(self, at: Workspace) -> Findings:
        """The correlation, with Mantel's test."""
        measured = conflicts_of(self.runs(at))
        robots = measured[0].robots
        summary = summarise_conflicts(measured, distances_of(robots))
        bodies, cosines = summary["embodiment"], summary["cosines"]
        pairs = [
            {
                "pair": f"{first} and {second}",
                "similarity": bodies["similarity"][row][column],
                "cosine": cosines[row][column],
            }
            for row, first in enumerate(robots)
            for column, second in enumerate(robots)
            if row < column
        ]
        each = bodies["r_of_seeds"]
        verdict = "told from none" if bodies["mantel_p"] < 0.05 else "not told from none"
        numbers = [
            {"what": "Pearson's r", "here": bodies["r"], "paper": self.reported},
            {"what": "r of each seed", "here": each["mean"], "interval": each["interval"]},
            {"what": "p by Mantel's test", "here": bodies["mantel_p"]},
            {"what": "p of independent pairs", "here": bodies["p"]},
        ]
        return Findings(
            (
                f"Similarity and cosine correlate by r = {bodies['r']:.2f} over {len(pairs)} pairs "
                f"({estimate(each, 2)} in single seeds), {verdict} by Mantel's test "
                f"(p = {bodies['mantel_p']:.2g}).",
                f"The paper's r is {self.reported:g}. Its p takes pairs for independent, which "
                "those of one robot are not.",
            ),
            (
                PageSection(
                    "Correlation",
                    "Over all pairs of robots; the interval is of 95 %, over seeds.",
                    DataTable(_SUMMARY, tuple({"paper": None, **row} for row in numbers)),
                ),
                PageSection(
                    "Pairs",
                    "Similarity is 1 for the nearest two bodies and 0 for the farthest two. "
                    "Cosines are means over training and seeds.",
                    DataTable(_COLUMNS, tuple(sorted(pairs, key=lambda own: -own["similarity"]))),
                ),
            ),
            data=DataTable(_COLUMNS, tuple(pairs)),
            draw=partial(draw_conflicts, summary, measured),
            caption=(
                "Above, bodies and gradients in the order of the tree of bodies. Below, one "
                "against the other, all cosines, and negative ones over training."
            ),
        )
