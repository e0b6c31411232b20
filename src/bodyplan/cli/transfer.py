"""What robots gain by learning together: alone, together, and joining late."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from bodyplan.cli.output import comma_list, print_json, print_table, require_picture, say
from bodyplan.evaluation.evaluate import Trial
from bodyplan.learn.train import TrainConfig, TrainingDiverged
from bodyplan.progress import progress
from bodyplan.storage import atomic_write


@dataclass(frozen=True)
class Transfer:
    """Train every robot alone and all of them together; writes transfer.json into --out.

    With --leave-out, also pre-train without each of these robots and fine-tune on it, beside a run
    from scratch with as many updates. The same command continues what was interrupted.
    """

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    seeds: int = 3
    """Seeds of every run, from --seed on."""
    leave_out: tuple[str, ...] = ()
    """Robots to join late; `all` for each in turn."""
    finetune_updates: int = 2000
    """Updates of fine-tuning, and of the run from scratch beside it."""
    trial: Annotated[Trial, tyro.conf.arg(name="trial")] = field(default_factory=Trial)
    """How every policy is evaluated."""
    plot: Path | None = None
    """The figure (.svg, .png, .pdf), written over what is there."""
    json: bool = False
    """Answer in JSON."""

    def run(self) -> int:
        """Train, evaluate, print; 1 where a run diverged."""
        if self.plot is not None:
            require_picture(self.plot, "--plot")
        from bodyplan.datasets.dataset import Dataset
        from bodyplan.experiments.transfer import TransferPlan, transfer
        from bodyplan.learn.compilation import enable_compilation_cache

        enable_compilation_cache()
        names = comma_list(self.config.robots)
        config = replace(self.config, robots=() if names == ("all",) else names)
        left_out = comma_list(self.leave_out)
        if left_out == ("all",):
            left_out = config.robots or Dataset.open(config.data).robots
        plan = TransferPlan(config, self.seeds, left_out, self.finetune_updates, self.trial)
        try:
            with progress() as report:
                answer = transfer(plan, report)
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
        _tell(answer)
        say(f"written to {config.out / 'transfer.json'}")
        return 0


def _tell(answer: Mapping[str, Any]) -> None:
    names = [
        name
        for name in ("alone", "together", "gain", "finetuned", "scratch", "head_start")
        if any(name in row for row in answer["robots"].values())
    ]
    rows = [
        {"robot": robot, **{name: _text(row.get(name)) for name in names}}
        for robot, row in (*answer["robots"].items(), ("mean", answer["mean"]))
    ]
    print_table(f"Mean returns, {answer['seeds']} seeds (± 95 %)", rows)


def _text(estimate: Mapping[str, Any] | None) -> str | None:
    if estimate is None:
        return None
    interval = estimate["interval"]
    return f"{estimate['mean']:.1f}" + ("" if interval is None else f" ± {interval:.1f}")
