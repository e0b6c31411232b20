"""How often gradients conflict: on other sets, or with other robots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bodyplan.evaluation.significance import seed_mean
from bodyplan.experiments.paper_arms import ARMS
from bodyplan.experiments.products.measured_conflicts import conflicts_of
from bodyplan.experiments.products.product import PlannedRun, Product, Workspace
from bodyplan.report.conflict_shares_figure import draw_conflict_shares
from bodyplan.report.data_table import DataTable
from bodyplan.report.html_page import TableColumn
from bodyplan.report.reproduction_page import Findings, PageSection

_COLUMNS = (
    TableColumn("condition", "condition"),
    TableColumn("share", "negative cosines", "%", digits=1, error="share_interval", strong=True),
    TableColumn("paper", "the paper", "%", digits=1),
    TableColumn("first", "of the first robots", "%", digits=1, error="first_interval"),
    TableColumn("opposed", "pairs opposed", "%", digits=1, error="opposed_interval"),
    TableColumn("cosine", "mean cosine", digits=3, error="cosine_interval"),
    TableColumn("change", "minus the first", "%", digits=1, error="change_interval"),
)


@dataclass(frozen=True, kw_only=True)
class ConflictStudy(Product):
    """Conflicts in an arm's runs, over sets or over sets of robots that grow."""

    arm: str
    sets: tuple[str, ...]
    nested: bool = False
    """Whether sets of robots grow, on the one set of data."""
    reported: Mapping[str, float] = field(default_factory=dict)
    """The paper's shares, by set."""

    @property
    def datasets(self) -> Sequence[str]:
        """Those it trains on."""
        return self.sets

    def runs(self, at: Workspace) -> tuple[PlannedRun, ...]:
        """Of each condition."""
        return tuple(run for own in self._conditions(at).values() for run in own)

    def _conditions(self, at: Workspace) -> dict[str, tuple[PlannedRun, ...]]:
        arm = ARMS[self.arm]
        if not self.nested:
            return {name: at.arm_runs(arm, name) for name in self.sets}
        (dataset,) = self.sets
        fewer = {
            f"{len(robots)} robots": at.arm_runs(arm, dataset, robots=robots)
            for robots in at.scale.nested
        }
        return {**fewer, f"{len(at.robots)} robots": at.arm_runs(arm, dataset)}

    def found(self, at: Workspace) -> Findings:
        """The share of negative cosines in each condition, and how it changes."""
        measured = {name: conflicts_of(runs) for name, runs in self._conditions(at).items()}
        shares = {
            name: seed_mean([own.negative_share for own in runs]) for name, runs in measured.items()
        }
        first = next(iter(measured))
        robots = set(measured[first][0].robots)
        rows: list[dict[str, Any]] = []
        for name, runs in measured.items():
            among = [
                float(
                    sum(s for r, s in zip(own.robots, own.robot_shares, strict=True) if r in robots)
                    / len(robots)
                )
                for own in runs
            ]
            changes = [
                100.0 * (own.negative_share - base.negative_share)
                for own, base in zip(runs, measured[first], strict=True)
            ]
            estimates = {
                "share": seed_mean([100.0 * own.negative_share for own in runs]),
                "first": seed_mean([100.0 * value for value in among]),
                "opposed": seed_mean([100.0 * own.opposed_share for own in runs]),
                "cosine": seed_mean([float(own.pairs.mean()) for own in runs]),
            }
            if name != first:
                estimates["change"] = seed_mean(changes)
            row: dict[str, Any] = {"condition": name, "paper": None, "change": None}
            if name in self.reported:
                row["paper"] = 100.0 * self.reported[name]
            for key, value in estimates.items():
                row |= {key: value["mean"], f"{key}_interval": value["interval"]}
            rows.append(row)
        kept = [own for own in _COLUMNS if self.nested or own.key != "first"]
        kept = [own for own in kept if self.reported or own.key != "paper"]
        return Findings(
            self._sentences(rows),
            (
                PageSection(
                    "Shares of negative cosines",
                    "Over all pairs of robots and all measurements during training; means over "
                    "seeds with 95 % intervals. Pairs are opposed whose mean cosine is negative; "
                    "noise alone makes half of single cosines negative."
                    + (
                        " The first robots are those of the smallest set, against all others of "
                        "the set."
                        if self.nested
                        else ""
                    ),
                    DataTable(tuple(kept), tuple(rows)),
                ),
            ),
            draw=partial(draw_conflict_shares, measured, shares, self.reported),
            caption="Shares with 95 % intervals over seeds, and the cosines they are of.",
        )

    def _sentences(self, rows: list[dict[str, Any]]) -> tuple[str, ...]:
        first, last = rows[0], rows[-1]
        change, half = last["change"], last["change_interval"]
        sure = half is not None and abs(change) > half
        share = f"{abs(change):.1f}" + (f" ± {half:.1f}" if half is not None else "")
        found = (
            f"On {last['condition']}, {last['share']:.1f} % of cosines are negative, "
            f"{share} points {'more' if change > 0.0 else 'less'} than on {first['condition']}"
            + ("." if sure else "; that may be chance.")
        )
        if not self.reported:
            return (found, "In the paper the share rises; no copy at hand has its values.")
        told = ", ".join(
            f"{100.0 * value:.1f} % on {name}" for name, value in self.reported.items()
        )
        return (found, f"The paper: {told}.")
