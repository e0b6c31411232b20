"""Returns of each robot under several methods."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from bodyplan.evaluation.comparison import MEAN
from bodyplan.evaluation.significance import seed_mean
from bodyplan.experiments.paper_arms import ARMS
from bodyplan.experiments.products.product import PlannedRun, Product, Workspace
from bodyplan.experiments.products.training_alone import named
from bodyplan.report.data_table import DataTable
from bodyplan.report.html_page import TableColumn
from bodyplan.report.reproduction_page import Findings, PageSection
from bodyplan.report.seed_figures import draw_rows


@dataclass(frozen=True, kw_only=True)
class ReturnsByRobot(Product):
    """Some arms on a set, robot by robot, against one of them."""

    dataset: str
    arms: tuple[str, ...]
    """Names in `ARMS`; the first is the baseline."""

    @property
    def datasets(self) -> Sequence[str]:
        """The one it trains on."""
        return (self.dataset,)

    def runs(self, at: Workspace) -> tuple[PlannedRun, ...]:
        """The main table's."""
        return tuple(run for arm in self.arms for run in at.arm_runs(ARMS[arm], self.dataset))

    def found(self, at: Workspace) -> Findings:
        """On which robots an arm is better or worse than the first."""
        compared = at.compared(self.runs(at), self.arms[0])
        columns = [TableColumn("robot", "robot")]
        columns += [
            TableColumn(arm.name, arm.name, error=f"{arm.name} interval") for arm in compared.arms
        ]
        columns += [
            TableColumn(f"{own.arm} verdict", f"{own.arm} against {own.baseline}")
            for own in compared.differences
        ]
        scores = {
            robot: {arm.name: seed_mean(arm.scores["return"][robot].seeds) for arm in compared.arms}
            for robot in compared.robots
        }
        rows = []
        for robot, by_arm in scores.items():
            row: dict[str, object] = {"robot": robot}
            for name, value in by_arm.items():
                row |= {name: value["mean"], f"{name} interval": value["interval"]}
            for own in compared.differences:
                row[f"{own.arm} verdict"] = own.verdict(robot) or "cannot be told"
            rows.append(row)
        place = MEAN if MEAN in compared.places else compared.robots[0]
        sentences = tuple(
            f"{own.arm} is better than {own.baseline} for certain on: {named(own.better)}; worse "
            f"on: {named(own.worse)}; over robots it "
            + (f"is {own.verdict(place)}." if own.verdict(place) else "cannot be told.")
            for own in compared.differences
        )
        return Findings(
            (*sentences, "No copy at hand has the paper's numbers by robot."),
            (
                PageSection(
                    "Returns by robot",
                    "Means over seeds with 95 % intervals. Verdicts are corrected for the number "
                    "of robots (Holm).",
                    DataTable(tuple(columns), tuple(rows)),
                ),
            ),
            draw=partial(draw_rows, scores, "return of an episode"),
            caption="Returns of each robot with 95 % intervals over seeds.",
        )
