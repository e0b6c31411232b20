"""Metric writers: copies of metrics.jsonl in TensorBoard and in Weights & Biases.

The file in the run's folder stays the truth. Where a run resumes from an earlier checkpoint,
TensorBoard follows; Weights & Biases keeps what it received first, which is the same on a CPU.
"""

import hashlib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from bodyplan.errors import BodyplanError
from bodyplan.learn.config import TrainConfig

TENSORBOARD = "tensorboard"


class MetricWriter(Protocol):
    """Receives the metrics of a run."""

    def write(self, update: int, line: Mapping[str, Any]) -> None:
        """One line of metrics.jsonl."""
        ...

    def close(self) -> None:
        """The run has ended, or stopped."""
        ...


class TensorBoard:
    """Event files in the run's folder."""

    def __init__(self, folder: Path, update: int) -> None:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder / TENSORBOARD), purge_step=update + 1)

    def write(self, update: int, line: Mapping[str, Any]) -> None:
        for name, value in flat_metrics(line).items():
            self._writer.add_scalar(name, value, update)

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases:
    """A run of a project; its id follows from the folder, so that a resumed run continues there."""

    def __init__(self, project: str, folder: Path, settings: Mapping[str, Any]) -> None:
        """Start the run there, or resume it."""
        import wandb

        where = str(folder.resolve())
        self._run = wandb.init(
            project=project,
            name=folder.name,
            id=hashlib.sha256(where.encode()).hexdigest()[:16],
            dir=where,
            config=dict(settings),
            resume="allow",
        )

    def write(self, update: int, line: Mapping[str, Any]) -> None:
        self._run.log(flat_metrics(line), step=update)

    def close(self) -> None:
        self._run.finish()


def require_metric_writers(config: TrainConfig) -> None:
    """Check that what a configuration asks for is there, before anything is written.

    Raises:
        BodyplanError: a package is not installed.
    """
    asked = {"tensorboardX": config.tensorboard, "wandb": config.wandb}
    for package, wanted in asked.items():
        if not wanted:
            continue
        try:
            import_module(package)
        except ImportError as error:
            raise BodyplanError(
                f"{package} is not installed; `pip install 'bodyplan[track]'` brings it, or leave "
                f"--{'wandb' if package == 'wandb' else 'tensorboard'} out"
            ) from error


def open_metric_writers(
    config: TrainConfig, folder: Path, update: int, settings: Mapping[str, Any]
) -> list[MetricWriter]:
    """The writers that a configuration asks for, as of `update`."""
    writers: list[MetricWriter] = []
    if config.tensorboard:
        writers.append(TensorBoard(folder, update))
    if config.wandb:
        writers.append(WeightsAndBiases(config.wandb, folder, settings))
    return writers


def flat_metrics(line: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of a line under flat names, such as `evaluation/hexapod/return_mean`."""
    flat: dict[str, float] = {}
    for name, value in line.items():
        if isinstance(value, Mapping):
            flat |= flat_metrics(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and name != "update":
            flat[prefix + name] = float(value)
    return flat
