"""A robot joins late: fine-tuned after pre-training on the others, or trained from scratch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from bodyplan.evaluation.significance import seed_mean
from bodyplan.experiments.paper_arms import ARMS
from bodyplan.experiments.products.learning_curves import return_curve
from bodyplan.experiments.products.product import PlannedRun, Product, Workspace
from bodyplan.experiments.products.training_alone import (
    certain,
    estimate,
    mean_over_robots,
    named,
)
from bodyplan.experiments.transfer import CURVE_POINTS, without_config
from bodyplan.learn.finetune import continued_config, with_updates
from bodyplan.report.data_table import DataTable
from bodyplan.report.html_page import TableColumn
from bodyplan.report.reproduction_page import Findings, PageSection
from bodyplan.report.seed_figures import draw_curve_panels

_COLUMNS = (
    TableColumn("robot", "robot left out"),
    TableColumn("fine-tuned", "fine-tuned", error="fine-tuned interval"),
    TableColumn("from scratch", "from scratch", error="from scratch interval"),
    TableColumn("head start", "head start", error="head start interval", strong=True),
    TableColumn("updates", "updates", digits=0),
)


@dataclass(frozen=True)
class _LeftOut:
    """The runs of a robot that is left out."""

    pretrained: tuple[PlannedRun, ...]
    finetuned: tuple[PlannedRun, ...]
    scratch: tuple[PlannedRun, ...]


@dataclass(frozen=True, kw_only=True)
class LeaveOneOut(Product):
    """An arm on all robots but one, then that one, as long as from scratch."""

    dataset: str
    arm: str

    @property
    def datasets(self) -> Sequence[str]:
        """The one it trains on."""
        return (self.dataset,)

    def runs(self, at: Workspace) -> tuple[PlannedRun, ...]:
        """Pre-training in the first stage; fine-tuning and scratch in the second."""
        return tuple(
            run
            for own in self._runs(at).values()
            for run in (*own.pretrained, *own.finetuned, *own.scratch)
        )

    def _runs(self, at: Workspace) -> dict[str, _LeftOut]:
        return {robot: self._left_out(at, robot) for robot in at.scale.left_out or at.robots}

    def _left_out(self, at: Workspace, robot: str) -> _LeftOut:
        others = tuple(name for name in at.robots if name != robot)
        updates = at.scale.finetune_updates
        every = at.scale.every(CURVE_POINTS, updates)
        pretrained, finetuned, scratch = [], [], []
        for seed in at.seeds:
            training = at.config(ARMS[self.arm], self.dataset, seed)
            before = at.plan(
                f"{self.arm} without {robot}", self.dataset, without_config(training, others)
            )
            late = with_updates(continued_config(training, (robot,)), updates)
            late = replace(late, evaluate_every=every)
            after = replace(late, init_from=before.run.path)
            pretrained.append(before)
            finetuned.append(at.plan(f"{robot} fine-tuned", self.dataset, after, stage=1))
            scratch.append(at.plan(f"{robot} from scratch", self.dataset, late))
        return _LeftOut(tuple(pretrained), tuple(finetuned), tuple(scratch))

    def found(self, at: Workspace) -> Findings:
        """The head start of each robot, and the curves of both."""
        rows, returns, panels = [], {}, {}
        for robot, own in self._runs(at).items():
            late, fresh = at.returns(own.finetuned, robot), at.returns(own.scratch, robot)
            values = {
                "fine-tuned": seed_mean(late),
                "from scratch": seed_mean(fresh),
                "head start": seed_mean([a - b for a, b in zip(late, fresh, strict=True)]),
            }
            returns[robot] = values
            row: dict[str, object] = {"robot": robot, "updates": at.scale.finetune_updates}
            for name, value in values.items():
                row |= {name: value["mean"], f"{name} interval": value["interval"]}
            rows.append(row)
            panels[robot] = {
                "fine-tuned": return_curve(own.finetuned, robot),
                "from scratch": return_curve(own.scratch, robot),
            }
        up, down = certain(returns, "head start")
        mean = mean_over_robots(returns, "head start")
        return Findings(
            (
                f"After {at.scale.finetune_updates:,} updates on the robot that was left out, "
                f"pre-training on the others returns {estimate(mean)} more than none. It is "
                f"better for certain for: {named(up)}; worse for: {named(down)}.",
                "In the paper, pre-training speeds up learning; no copy at hand has its numbers.",
            ),
            (
                PageSection(
                    "Returns after fine-tuning",
                    "Means over seeds with 95 % intervals. Both have the same updates on the "
                    "robot itself; pre-training comes on top.",
                    DataTable(_COLUMNS, tuple(rows)),
                ),
            ),
            draw=partial(draw_curve_panels, panels, ("updates", "return of an episode")),
            caption="Returns over fine-tuning, with 95 % intervals over seeds.",
        )
