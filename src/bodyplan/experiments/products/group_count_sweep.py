"""How the number of groups matters."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bodyplan.evaluation.comparison import MEAN
from bodyplan.evaluation.significance import seed_mean
from bodyplan.experiments.paper_arms import ARMS, GROUPS, PaperArm
from bodyplan.experiments.products.product import PlannedRun, Product, Workspace
from bodyplan.report.data_table import DataTable
from bodyplan.report.html_page import TableColumn
from bodyplan.report.reproduction_page import Findings, PageSection
from bodyplan.report.seed_figures import SeedCurve, draw_curves

_COLUMNS = (
    TableColumn("count", "groups", digits=0),
    TableColumn("return", "return", error="error", strong=True),
    TableColumn("difference", "minus one group", error="interval"),
    TableColumn("verdict", "against one group"),
)
_POOLED = "IQL"


@dataclass(frozen=True, kw_only=True)
class GroupCountSweep(Product):
    """IQL with each number of groups of the scale; one group is the pooled update."""

    dataset: str

    @property
    def datasets(self) -> Sequence[str]:
        """The one it trains on."""
        return (self.dataset,)

    def runs(self, at: Workspace) -> tuple[PlannedRun, ...]:
        """Those of each number of groups."""
        return tuple(run for arm in _arms(at).values() for run in at.arm_runs(arm, self.dataset))

    def found(self, at: Workspace) -> Findings:
        """Returns by the number of groups, each against one group."""
        compared = at.compared(self.runs(at), _POOLED)
        differences = {own.arm: own for own in compared.differences}
        place = MEAN if MEAN in compared.places else compared.robots[0]
        names = {arm.name: count for count, arm in _arms(at).items()}
        rows: list[dict[str, Any]] = []
        curve, better = [], []
        for arm in compared.arms:
            scores, own = arm.scores["return"][place], differences.get(arm.name)
            verdict = "" if own is None else own.verdict(place) or "cannot be told"
            bounds = None if own is None else own.differences[place].interval
            rows.append(
                {
                    "count": names[arm.name],
                    "return": scores.mean,
                    "error": scores.se,
                    "difference": None if own is None else own.differences[place].mean,
                    "interval": None if bounds is None else (bounds[1] - bounds[0]) / 2,
                    "verdict": verdict,
                }
            )
            better += [names[arm.name]] if verdict == "better" else []
            curve.append(seed_mean(scores.seeds))
        best = max(rows, key=lambda row: row["return"])["count"]
        told = ", ".join(map(str, better)) or "no number of groups"
        counts = [row["count"] for row in rows]
        return Findings(
            (
                f"The highest mean return is with {best} groups. "
                f"Better than one group for certain: {told}.",
                "The paper recommends two to four groups; no copy at hand has its numbers.",
            ),
            (
                PageSection(
                    "Returns",
                    "Mean return over robots and its standard error over seeds, and the difference "
                    "from one group with its 95 % interval.",
                    DataTable(_COLUMNS, tuple(rows)),
                ),
            ),
            draw=partial(
                draw_curves,
                {"IQL+EG": SeedCurve(counts, curve)},
                ("number of groups M", "return of an episode"),
                ticks=counts,
            ),
            caption="Mean return over robots, with 95 % intervals over seeds.",
        )


def _arms(at: Workspace) -> dict[int, PaperArm]:
    """By the number of groups; that of the scale has the main table's runs."""
    return {
        count: ARMS[_POOLED]
        if count == 1
        else PaperArm(f"IQL+EG, {count} groups", "iql", "grouped", {GROUPS: count})
        for count in at.scale.group_counts
        if count <= len(at.robots)
    }
