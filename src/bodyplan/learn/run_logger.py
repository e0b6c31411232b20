"""The logger of a run: metrics, gradient conflicts, evaluations, and the best policy so far."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from bodyplan.learn.config import TrainConfig
from bodyplan.learn.conflicts import Conflicts
from bodyplan.learn.metric_writers import open_metric_writers
from bodyplan.learn.metrics_file import Seconds, append_line, read_lines, rewind_lines
from bodyplan.learn.policy import Policy
from bodyplan.learn.run import BEST, CONFLICTS, METRICS
from bodyplan.provenance import utc_now


class RunLogger:
    """Writes metrics.jsonl, its copies elsewhere, conflicts.jsonl, and `best/`."""

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        update: int,
        identity: Mapping[str, Any],
        provenance: Mapping[str, Any],
    ) -> None:
        """Log from `update` on; lines about later updates are removed.

        Raises:
            BodyplanError: the folder cannot be written to, or a metric writer is not installed.
        """
        self._robots = tuple(identity["robots"])
        self._folder, self._path, self._made_by = folder, folder / METRICS, provenance
        if config.conflicts_every:
            rewind_lines(folder / CONFLICTS, update)
        self._spent = rewind_lines(self._path, update)
        evaluations = {
            line["update"]: line["evaluation"]
            for line in read_lines(self._path)
            if "evaluation" in line
        }
        self._best = max(map(_mean_return, evaluations.values()), default=-np.inf)
        self._evaluated, self._every = set(evaluations), config.evaluate_every
        self._writers = open_metric_writers(config, folder, update, identity)

    @property
    def provenance(self) -> dict[str, Any]:
        """For a policy's card, at this moment; with the time spent on training until now."""
        return {**self._made_by, "date": utc_now(), **self._spent.card()}

    def interval(
        self, update: int, seconds: Seconds, metrics: Mapping[str, float]
    ) -> dict[str, Any]:
        """Write a line of metrics; returns it."""
        self._spent = self._spent.plus(seconds)
        line = {"update": update, **self._spent.card(), **metrics}
        self._write(update, line)
        return line

    def conflicts(
        self, update: int, gram: Float[np.ndarray, "R R"]
    ) -> dict[str, Float[np.ndarray, "R"]]:
        """Write a line of conflicts.jsonl; returns each robot's metrics of it."""
        measured = Conflicts.of(self._robots, np.array([update]), gram[None])
        for line in measured.lines():
            append_line(self._folder / CONFLICTS, line)
        return {"actor/conflict": measured.robot_shares, "actor/cosine": measured.robot_cosines}

    def lacks_evaluation(self, update: int) -> bool:
        """Whether training was stopped when it should have evaluated the policy next."""
        due = self._every and update and update % self._every == 0
        return bool(due) and update not in self._evaluated

    def evaluation(self, update: int, policy: Policy, outcome: Mapping[str, Any] | None) -> None:
        """Write an evaluation during training; a policy better than all before is kept."""
        if outcome is None:
            return
        if _mean_return(outcome) > self._best:
            self._best = _mean_return(outcome)
            policy.save(self._folder / BEST)
        self._write(update, {"update": update, "evaluation": outcome})

    def _write(self, update: int, line: Mapping[str, Any]) -> None:
        append_line(self._path, line)
        for writer in self._writers:
            writer.write(update, line)

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


def _mean_return(evaluation: Mapping[str, Any]) -> float:
    """Mean over robots; minus infinity where the evaluation has no returns."""
    returns = [score["return_mean"] for score in evaluation.values() if "return_mean" in score]
    return float(np.mean(returns)) if returns else -np.inf
