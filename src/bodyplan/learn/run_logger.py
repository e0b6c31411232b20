"""What a run's folder is told as training goes on: metrics, conflicts, evaluations, the best."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from bodyplan.learn.config import TrainConfig
from bodyplan.learn.gradient_conflict import Conflicts
from bodyplan.learn.metric_writers import open_metric_writers
from bodyplan.learn.metrics_file import append_line, read_lines, rewind_lines
from bodyplan.learn.policy import Policy
from bodyplan.learn.run import BEST, CONFLICTS, METRICS


class RunLogger:
    """metrics.jsonl and its mirrors, conflicts.jsonl, and `best/`."""

    def __init__(
        self, config: TrainConfig, folder: Path, update: int, identity: Mapping[str, Any]
    ) -> None:
        """From `update` on; what was told of later updates is taken back.

        Raises:
            BodyplanError: the folder cannot be written to, or a mirror is not installed.
        """
        self._robots = tuple(identity["robots"])
        self._folder, self._path = folder, folder / METRICS
        if config.conflicts_every:
            rewind_lines(folder / CONFLICTS, update)
        self._wall = rewind_lines(self._path, update)
        told = [line["evaluation"] for line in read_lines(self._path) if "evaluation" in line]
        self._best = max(map(_mean_return, told), default=-np.inf)
        self._mirrors = open_metric_writers(config, folder, update, identity)

    def interval(self, update: int, seconds: float, metrics: Mapping[str, float]) -> dict[str, Any]:
        """A line of metrics; returns it."""
        self._wall += seconds
        line = {"update": update, "wall_s": round(self._wall, 3), **metrics}
        self._tell(update, line)
        return line

    def conflicts(
        self, update: int, gram: Float[np.ndarray, "R R"]
    ) -> dict[str, Float[np.ndarray, "R"]]:
        """A line of conflicts.jsonl; returns what the metrics tell of it, robot by robot."""
        measured = Conflicts.of(self._robots, np.array([update]), gram[None])
        for line in measured.lines():
            append_line(self._folder / CONFLICTS, line)
        return {"actor/conflict": measured.robot_shares, "actor/cosine": measured.robot_cosines}

    def evaluation(self, update: int, policy: Policy, outcome: Mapping[str, Any] | None) -> None:
        """An evaluation on the way; a policy better than all before is kept."""
        if outcome is None:
            return
        if _mean_return(outcome) > self._best:
            self._best = _mean_return(outcome)
            policy.save(self._folder / BEST)
        self._tell(update, {"update": update, "evaluation": outcome})

    def _tell(self, update: int, line: Mapping[str, Any]) -> None:
        append_line(self._path, line)
        for mirror in self._mirrors:
            mirror.tell(update, line)

    def close(self) -> None:
        for mirror in self._mirrors:
            mirror.close()


def _mean_return(evaluation: Mapping[str, Any]) -> float:
    """Over robots; nothing is worse than an evaluation that tells none."""
    returns = [score["return_mean"] for score in evaluation.values() if "return_mean" in score]
    return float(np.mean(returns)) if returns else -np.inf
