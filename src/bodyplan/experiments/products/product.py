"""A table or figure of the paper: which runs it needs, and what it makes of them.

A product is data: a frozen dataclass of one of the kinds in this folder. Its runs are named by what
decides their results. So products that need the same run share it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from bodyplan.datasets.format import CARD
from bodyplan.evaluation.compare import compare
from bodyplan.evaluation.comparison import Comparison
from bodyplan.evaluation.evaluated_runs import EVALUATION
from bodyplan.evaluation.evaluation import Evaluation, EvaluationConfig
from bodyplan.experiments.experiment_run import ExperimentRun
from bodyplan.experiments.paper_arms import PaperArm
from bodyplan.experiments.scales import ReproductionScale
from bodyplan.experiments.sweep import RUNS
from bodyplan.learn.config import TrainConfig
from bodyplan.report.reproduction_page import Findings
from bodyplan.robots.registry import packaged_robots

DATASETS = "data"
EVALUATION_SEED = 1
_UNKNOWN = "data-not-built-yet"
"""Folder of a run whose data do not exist, so that its own name is not known."""


@dataclass(frozen=True)
class PlannedRun:
    """A run that a product needs."""

    dataset: str
    """Recipe and command, as in `suboptimal70-forward`."""
    run: ExperimentRun
    stage: int = 0
    """Runs of a later stage start from those of earlier ones."""


@dataclass(frozen=True)
class Workspace:
    """Where the runs and data of a scale are."""

    scale: ReproductionScale
    out: Path

    @cached_property
    def robots(self) -> tuple[str, ...]:
        """Names of the scale's robots."""
        return self.scale.robots or packaged_robots()

    @property
    def seeds(self) -> range:
        """Of every arm."""
        return range(self.scale.seeds)

    def data(self, dataset: str) -> Path:
        """Folder of a set."""
        return self.out / DATASETS / dataset

    def is_built(self, dataset: str) -> bool:
        """Whether a set exists."""
        return (self.data(dataset) / CARD).is_file()

    def config(self, arm: PaperArm, dataset: str, seed: int, **changes: Any) -> TrainConfig:
        """The training of an arm on a set."""
        return replace(self.scale.config(arm, self.data(dataset), seed), **changes)

    def plan(self, name: str, dataset: str, config: TrainConfig, stage: int = 0) -> PlannedRun:
        """A run in the folder that its settings and data name."""
        evaluation, folder = (
            EvaluationConfig(self.scale.episodes, EVALUATION_SEED),
            self.out / RUNS,
        )
        if self.is_built(dataset):
            return PlannedRun(dataset, ExperimentRun.of(name, config, evaluation, folder), stage)
        return PlannedRun(
            dataset,
            ExperimentRun(name, replace(config, out=folder / _UNKNOWN), evaluation),
            stage,
        )

    def arm_runs(self, arm: PaperArm, dataset: str, **changes: Any) -> tuple[PlannedRun, ...]:
        """An arm's runs on a set, one for each seed.

        Args:
            arm: the method.
            dataset: the set.
            changes: of the arm's settings.
        """
        return tuple(
            self.plan(arm.name, dataset, self.config(arm, dataset, seed, **changes))
            for seed in self.seeds
        )

    def returns(self, runs: Iterable[PlannedRun], robot: str) -> list[float]:
        """A robot's mean return in each run's evaluation."""
        return [
            float(Evaluation.load(own.run.path / EVALUATION)[robot]["return_mean"]) for own in runs
        ]

    def compared(self, runs: Iterable[PlannedRun], baseline: str) -> Comparison:
        """The comparison of arms, by the names of their runs."""
        arms: dict[str, list[str]] = {}
        for own in runs:
            arms.setdefault(own.run.name, []).append(str(own.run.path))
        return compare(arms, baseline=baseline)


@dataclass(frozen=True, kw_only=True)
class Product(ABC):
    """A table or figure."""

    name: str
    """As `table3` or `figure2`."""
    title: str
    question: str
    """What it answers; the page tells what is found."""
    doubt: str = ""
    """What is not known of the paper's own, in sentences; nothing where all that matters is."""

    trained: ClassVar[bool] = True
    """Whether the kind needs data or runs, so that the scale matters."""

    @property
    def datasets(self) -> Sequence[str]:
        """The sets that it needs."""
        return ()

    def runs(self, at: Workspace) -> tuple[PlannedRun, ...]:
        """The runs that it needs."""
        return ()

    @abstractmethod
    def found(self, at: Workspace) -> Findings:
        """What it says, once its data and runs exist."""
