"""Tables of mean returns: some methods on some sets."""

from collections.abc import Sequence
from dataclasses import dataclass

from bodyplan.experiments.paper_arms import ARMS
from bodyplan.experiments.paper_numbers import reported_returns
from bodyplan.experiments.products.product import PlannedRun, Product, Workspace
from bodyplan.report.reproduced_table import ReproducedTable, table_findings
from bodyplan.report.reproduction_page import Findings


@dataclass(frozen=True, kw_only=True)
class ReturnsTable(Product):
    """Mean returns of methods on sets, each method against one of them."""

    sets: tuple[str, ...]
    """Recipe and command, as in `suboptimal70-forward`."""
    arms: tuple[str, ...]
    """Names in `ARMS`."""
    baseline: str
    """The arm that the others are compared with."""

    @property
    def datasets(self) -> Sequence[str]:
        """Those of its rows."""
        return self.sets

    def runs(self, at: Workspace) -> tuple[PlannedRun, ...]:
        """Each arm on each set."""
        return tuple(
            run for name in self.sets for arm in self.arms for run in at.arm_runs(ARMS[arm], name)
        )

    def found(self, at: Workspace) -> Findings:
        """The arms compared on each set."""
        runs = self.runs(at)
        table = ReproducedTable(
            arms=self.arms,
            baseline=self.baseline,
            comparisons={
                name: at.compared([own for own in runs if own.dataset == name], self.baseline)
                for name in self.sets
            },
            reported=reported_returns(self.name),
        )
        return table_findings(table)
