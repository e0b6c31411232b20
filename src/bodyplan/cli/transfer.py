"""`bodyplan transfer`: compare training together with training alone, and fine-tuning."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from bodyplan.bounds import CountFromOne
from bodyplan.cli.output import comma_list, print_json, print_line, print_table, require_figure_path
from bodyplan.cli.train_arguments import train_arguments
from bodyplan.envs.disturbances import NO_DISTURBANCES, Disturbances
from bodyplan.evaluation.evaluation import EvaluationConfig
from bodyplan.progress import progress
from bodyplan.storage import atomic_write


@dataclass(frozen=True)
class TransferEvaluation(EvaluationConfig):
    """How every policy is evaluated."""

    disturbances: Annotated[Disturbances, tyro.conf.arg(name="conditions")] = NO_DISTURBANCES
    """What disturbs the robots."""


@dataclass(frozen=True)
class Transfer:
    """Train every robot alone and all robots together; write transfer.json into --out.

    With --leave-out, also pre-train without each of these robots, and fine-tune on it. A run from
    scratch with as many updates is trained for comparison. The same command continues interrupted
    runs.
    """

    config: Annotated[train_arguments(), tyro.conf.arg(name="")]  # type: ignore[valid-type]
    seeds: CountFromOne = 3
    """Seeds of every run, from --seed on."""
    leave_out: tuple[str, ...] = ()
    """Robots to fine-tune on after a pre-training without them; `all` for each in turn."""
    finetune_updates: CountFromOne = 2000
    """Updates of fine-tuning, and of the run from scratch that it is compared with."""
    trial: TransferEvaluation = field(default_factory=TransferEvaluation)
    """How every policy is evaluated."""
    plot: Path | None = None
    """A figure to write (.svg, .png, .pdf); an existing file is replaced."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Train, evaluate, print; returns 1 if a run diverged."""
        if self.plot is not None:
            require_figure_path(self.plot, "--plot")
        from bodyplan.datasets.dataset import Dataset
        from bodyplan.experiments.transfer import TransferConfig, measure_transfer
        from bodyplan.learn.compilation import enable_compilation_cache
        from bodyplan.learn.nan_guard import TrainingDiverged

        enable_compilation_cache()
        config = self.config.to_config()
        names = comma_list(config.robots)
        config = replace(config, robots=() if names == ("all",) else names)
        left_out = comma_list(self.leave_out)
        if left_out == ("all",):
            left_out = config.robots or Dataset.open(config.data).robots
        transfer_config = TransferConfig(
            config, self.seeds, left_out, self.finetune_updates, self.trial
        )
        try:
            with progress() as report:
                answer = measure_transfer(transfer_config, report)
        except TrainingDiverged as diverged:
            sys.stderr.write(f"failed: {diverged}\n")
            return 1
        if self.plot is not None:
            from bodyplan.report.transfer_figure import draw_transfer

            with atomic_write(self.plot) as temporary:
                draw_transfer(answer, temporary)
        if self.json:
            print_json(answer)
            return 0
        _print(answer)
        print_line(f"written to {config.out / 'transfer.json'}")
        return 0


def _print(answer: Mapping[str, Any]) -> None:
    names = [
        name
        for name in ("alone", "together", "gain", "finetuned", "scratch", "head_start")
        if any(name in row for row in answer["robots"].values())
    ]
    rows = [
        {"robot": robot, **{name: _interval(row.get(name)) for name in names}}
        for robot, row in (*answer["robots"].items(), ("mean", answer["mean"]))
    ]
    print_table(f"Mean returns, {answer['seeds']} seeds (± 95 %)", rows)


def _interval(estimate: Mapping[str, Any] | None) -> str | None:
    if estimate is None:
        return None
    interval = estimate["interval"]
    return f"{estimate['mean']:.1f}" + ("" if interval is None else f" ± {interval:.1f}")
