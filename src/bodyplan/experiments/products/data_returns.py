"""The returns that datasets hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.statistics import robot_statistics
from bodyplan.experiments.paper_numbers import reported_means
from bodyplan.experiments.products.product import Product, Workspace
from bodyplan.report.data_table import DataTable
from bodyplan.report.html_page import TableColumn
from bodyplan.report.reproduction_page import Findings, PageSection
from bodyplan.report.return_histograms import draw_return_histograms

_COLUMNS = (
    TableColumn("set", "set"),
    TableColumn("robot", "robot"),
    TableColumn("episodes", "episodes", digits=0),
    TableColumn("here", "mean return", strong=True),
    TableColumn("paper", "the authors' release"),
)


@dataclass(frozen=True, kw_only=True)
class DataReturns(Product):
    """Histograms of steps by return, and mean returns of episodes."""

    sets: tuple[str, ...]

    @property
    def datasets(self) -> Sequence[str]:
        """Those it shows."""
        return self.sets

    def found(self, at: Workspace) -> Findings:
        """Each robot's mean return in each set."""
        datasets = {name: Dataset.open(at.data(name)) for name in self.sets}
        reported = reported_means(self.name)
        rows: list[dict[str, Any]] = [
            {
                "set": name,
                "robot": robot,
                "episodes": len(dataset[robot].returns),
                "here": float(dataset[robot].returns.mean()),
                "paper": reported.get(name, {}).get(robot),
            }
            for name, dataset in datasets.items()
            for robot in dataset.robots
        ]
        known = [row for row in rows if row["paper"] is not None]
        statistics = {
            name: [robot_statistics(dataset, robot) for robot in dataset.robots]
            for name, dataset in datasets.items()
        }
        return Findings(
            (
                f"Over the {len(known)} robots that are known of the authors' release, an episode "
                f"of expert replay returned {fmean(row['here'] for row in known):.1f} here and "
                f"{fmean(row['paper'] for row in known):.1f} there.",
                "The experts are others, and so are the conditions in which they were recorded.",
            ),
            (
                PageSection(
                    "Mean returns",
                    "Of the episodes in each set. Data are as they are, and have no interval.",
                    DataTable(_COLUMNS, tuple(rows)),
                ),
            ),
            draw=partial(draw_return_histograms, statistics),
            caption="Shares of steps by the return of their episode; lines are the experts'.",
        )
