"""What methods cost: the time of an update, beside that of one of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from bodyplan.evaluation.significance import seed_mean
from bodyplan.experiments.paper_arms import ARMS
from bodyplan.experiments.products.product import PlannedRun, Product, Workspace
from bodyplan.learn.run import Run
from bodyplan.report.data_table import DataTable
from bodyplan.report.html_page import TableColumn
from bodyplan.report.reproduction_page import Findings, PageSection
from bodyplan.report.seed_figures import draw_rows

_COLUMNS = (
    TableColumn("arm", "method"),
    TableColumn("milliseconds", "an update", "ms", digits=1, error="milliseconds_error"),
    TableColumn("ratio", "times the baseline", digits=2, error="ratio_error", strong=True),
    TableColumn("hours", "all updates", "hours", digits=2),
    TableColumn("machine", "machine"),
)


@dataclass(frozen=True, kw_only=True)
class CostTable(Product):
    """Times of the runs of other tables."""

    dataset: str
    arms: tuple[str, ...]
    """Names in `ARMS`."""
    baseline: str

    @property
    def datasets(self) -> Sequence[str]:
        """The one whose runs are timed."""
        return (self.dataset,)

    def runs(self, at: Workspace) -> tuple[PlannedRun, ...]:
        """Those of the main table on this set."""
        return tuple(run for arm in self.arms for run in at.arm_runs(ARMS[arm], self.dataset))

    def found(self, at: Workspace) -> Findings:
        """Times of an update, in the median interval of each run."""
        runs = self.runs(at)
        times = {
            arm: [1000.0 / (own.run.updates_per_s or 0.0) for own in runs if own.run.name == arm]
            for arm in self.arms
        }
        ratios = {
            arm: seed_mean([a / b for a, b in zip(own, times[self.baseline], strict=True)])
            for arm, own in times.items()
        }
        rows = []
        for arm in self.arms:
            own = seed_mean(times[arm])
            machines = dict.fromkeys(_machine(one) for one in runs if one.run.name == arm)
            hours = own["mean"] * at.scale.training["updates"] / 3.6e6
            rows.append(
                {
                    "arm": arm,
                    "milliseconds": own["mean"],
                    "milliseconds_error": own["interval"],
                    "ratio": ratios[arm]["mean"],
                    "ratio_error": None if arm == self.baseline else ratios[arm]["interval"],
                    "hours": hours,
                    "machine": ", ".join(machines),
                }
            )
        others = {arm: own for arm, own in ratios.items() if arm != self.baseline}
        dearest = max(others, key=lambda arm: others[arm]["mean"])
        shown = " and ".join(
            f"{arm} {others[arm]['mean']:.2f} times"
            for arm in dict.fromkeys(("IQL+EG", dearest))
            if arm in others
        )
        return Findings(
            (
                f"The time of an update of {self.baseline}: {shown} (the dearest is {dearest}).",
                "No copy at hand has the paper's times.",
            ),
            (
                PageSection(
                    "Time of training",
                    "Median over the intervals of a run, mean over seeds, with 95 % intervals. "
                    "Runs that share a machine's cores with others are slower, all alike.",
                    DataTable(_COLUMNS, tuple(rows)),
                ),
            ),
            draw=partial(
                draw_rows,
                {arm: {"time": own} for arm, own in ratios.items()},
                f"time of an update, times that of {self.baseline}",
            ),
            caption="Time of an update, with 95 % intervals over seeds.",
        )


def _machine(planned: PlannedRun) -> str:
    """Where a run was trained."""
    found = Run(planned.run.path).config.get("provenance", {})
    return str(found.get("accelerator") or found.get("processor") or "unknown")
