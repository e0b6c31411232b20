"""The record of a run for its report: config, metrics and evaluation, as far as they exist."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from bodyplan.datasets.format import CARD
from bodyplan.evaluation.evaluation import Evaluation
from bodyplan.learn.metrics_file import read_lines
from bodyplan.learn.policy_files import POLICY_FOLDER, read_policy_card
from bodyplan.learn.run import CONFLICTS, METRICS, Run
from bodyplan.report.charts import Curve


@dataclass(frozen=True, eq=False)
class ConflictRecord:
    """What a run measured of the cosines between its robots' gradients."""

    robots: tuple[str, ...]
    updates: Int[np.ndarray, "T"]
    pairs: Float[np.ndarray, "T P"]
    """Cosines of all pairs of robots, row by row."""

    @classmethod
    def read(cls, path: Path, robots: tuple[str, ...]) -> "ConflictRecord | None":
        """Read conflicts.jsonl; None where there is none, or where it is not of these robots.

        `bodyplan.learn.gradient_conflict` reads it as well, but imports JAX.
        """
        count = len(robots) * (len(robots) - 1) // 2
        lines = [line for line in read_lines(path) if len(line.get("cosines") or ()) == count]
        if not lines or not count:
            return None
        pairs = np.array([line["cosines"] for line in lines], float)
        return cls(robots, np.array([line["update"] for line in lines]), pairs)

    @property
    def mean_cosines(self) -> Float[np.ndarray, "R R"]:
        """Over the measurements, with ones on the diagonal."""
        matrix = np.eye(len(self.robots))
        rows, columns = np.triu_indices(len(self.robots), 1)
        matrix[rows, columns] = matrix[columns, rows] = self.pairs.mean(axis=0)
        return matrix


@dataclass(frozen=True)
class RunRecord:
    """The files of a run; what has not been written yet is empty."""

    path: Path
    config: dict[str, Any]
    metrics: tuple[dict[str, Any], ...]
    """Lines of metrics.jsonl, in order of updates."""
    evaluation: dict[str, Any]
    """Content of evaluation.json."""

    @classmethod
    def read(cls, path: str | Path) -> "RunRecord":
        """Read a run folder.

        Raises:
            BodyplanError: the folder holds no run, or a file in it is damaged.
        """
        path = Path(path)
        evaluation, config = path / "evaluation.json", Run(path).config
        return cls(
            path=path,
            config=config,
            metrics=tuple(sorted(read_lines(path / METRICS), key=lambda line: line["update"])),
            evaluation=_of_robots(evaluation, config["robots"]) if evaluation.is_file() else {},
        )

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.resolve().name

    @property
    def robots(self) -> tuple[str, ...]:
        """Robots of the run, in its order."""
        return tuple(self.config.get("robots") or self.scores)

    @property
    def models(self) -> dict[str, str]:
        """Paths of the user's own robots by name, from the card of the policy or of the data."""
        return Run(self.path).models if "data" in self.config else {}

    @property
    def policy_card(self) -> dict[str, Any]:
        """The card of the trained policy; empty while there is none."""
        card = self.path / POLICY_FOLDER / CARD
        return read_policy_card(card.parent) if card.is_file() else {}

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Groups of robots that share an actor update; one group of all robots by default."""
        return tuple(tuple(group) for group in self.config.get("groups") or [self.robots])

    @property
    def scores(self) -> dict[str, dict[str, Any]]:
        """Scores of each robot in the evaluation."""
        return self.evaluation.get("robots") or {}

    @property
    def conflicts(self) -> ConflictRecord | None:
        """Measurements of gradient conflict during training; None where there are none."""
        return ConflictRecord.read(self.path / CONFLICTS, self.robots)

    def curve(self, key: str) -> Curve:
        """Updates and values of one metric; empty where it was not logged.

        A metric that was logged for each robot is averaged over robots.
        """
        own = [f"{key}/{robot}" for robot in self.robots]
        points = []
        for line in self.metrics:
            values = [number(line.get(name)) for name in ([key] if key in line else own)]
            known = [value for value in values if value is not None]
            points.append((float(line["update"]), sum(known) / len(known) if known else None))
        return _columns(points)

    def curves(self, key: str) -> dict[str, Curve]:
        """A metric of each robot, logged as `<key>/<robot>`."""
        found = {robot: self.curve(f"{key}/{robot}") for robot in self.robots}
        return {robot: curve for robot, curve in found.items() if curve[0]}

    def metric_keys(self) -> list[str]:
        """Names of all numbers in metrics.jsonl, in the order in which they appear."""
        keys = (key for line in self.metrics for key in line if number(line[key]) is not None)
        return list(dict.fromkeys(keys))

    def evaluations(self, key: str = "return_mean") -> dict[str, Curve]:
        """A score of each robot in the evaluations during training."""
        lines = [line for line in self.metrics if isinstance(line.get("evaluation"), dict)]
        found = {
            robot: _columns(
                [
                    (
                        float(line["update"]),
                        number(line["evaluation"].get(robot, {}).get(key)),
                    )
                    for line in lines
                ]
            )
            for robot in self.robots
        }
        return {robot: curve for robot, curve in found.items() if curve[0]}


def _of_robots(path: Path, robots: Sequence[str]) -> dict[str, Any]:
    """The content of evaluation.json, if it is about the run's robots; empty if not.

    Older versions wrote there whichever robots were asked about.
    """
    document = Evaluation.load(path).document
    return document if set(document["robots"]) <= set(robots) else {}


def number(value: Any) -> float | None:
    """The value if it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def flatten_settings(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings of a nested configuration, under dotted names."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from flatten_settings(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _columns(points: list[tuple[float, float | None]]) -> Curve:
    known = [(x, y) for x, y in points if y is not None]
    return [x for x, _ in known], [y for _, y in known]
