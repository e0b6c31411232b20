"""Transfer: one policy of all robots against a policy of each robot's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from bodyplan.evaluation.evaluated_runs import EVALUATION
from bodyplan.evaluation.evaluation import Evaluation
from bodyplan.experiments.paper_arms import ARMS
from bodyplan.experiments.paper_numbers import reported_means
from bodyplan.experiments.products.product import PlannedRun, Product, Workspace
from bodyplan.experiments.products.training_alone import (
    AloneAndTogether,
    certain,
    estimate,
    mean_over_robots,
    named,
)
from bodyplan.report.data_table import DataTable
from bodyplan.report.html_page import TableColumn
from bodyplan.report.reproduction_page import Findings, PageSection
from bodyplan.report.seed_figures import draw_rows

_KINDS = ("alone", "together")
_COLUMNS = (
    TableColumn("robot", "robot"),
    TableColumn("alone", "alone", error="alone_interval"),
    TableColumn("together", "together", error="together_interval"),
    TableColumn("gain", "gain", error="gain_interval", strong=True),
    TableColumn("data", "the data"),
    TableColumn("paper_alone", "paper, alone", digits=2),
    TableColumn("paper_together", "paper, together", digits=2),
)


@dataclass(frozen=True, kw_only=True)
class TransferStudy(Product):
    """An arm on all robots of a set, and on each of them alone."""

    dataset: str
    arm: str
    paper: str
    """What the paper says of it, in a sentence."""

    @property
    def datasets(self) -> Sequence[str]:
        """The one it trains on."""
        return (self.dataset,)

    def runs(self, at: Workspace) -> tuple[PlannedRun, ...]:
        """Together and alone."""
        return AloneAndTogether.of(at, ARMS[self.arm], self.dataset).runs

    def found(self, at: Workspace) -> Findings:
        """The gain of each robot."""
        study = AloneAndTogether.of(at, ARMS[self.arm], self.dataset)
        returns = study.returns(at)
        reported = reported_means(self.name).get(self.dataset, {})
        data = Evaluation.load(study.together[0].run.path / EVALUATION)
        rows = [
            {
                "robot": robot,
                **{name: value["mean"] for name, value in own.items()},
                **{f"{name}_interval": value["interval"] for name, value in own.items()},
                "data": data[robot].get("data_return"),
                **{f"paper_{kind}": reported.get(f"{robot} {kind}") for kind in _KINDS},
            }
            for robot, own in returns.items()
        ]
        gain = mean_over_robots(returns, "gain")
        up, down = certain(returns, "gain")
        known = {
            robot: {kind: value for kind in _KINDS if (value := reported.get(f"{robot} {kind}"))}
            for robot in returns
        }
        return Findings(
            (
                f"Learning together returns {estimate(gain)} more than alone, over robots. "
                f"It is better for certain for: {named(up)}; worse for: {named(down)}.",
                self.paper,
            ),
            (
                PageSection(
                    "Returns by robot",
                    "Means over seeds with 95 % intervals; a gain is of pairs of seeds.",
                    DataTable(_COLUMNS, tuple(rows)),
                ),
            ),
            draw=partial(
                draw_rows,
                {robot: {kind: own[kind] for kind in _KINDS} for robot, own in returns.items()},
                "return of an episode",
                reported={robot: own for robot, own in known.items() if own},
            ),
            caption="Returns of each robot with 95 % intervals over seeds.",
        )
