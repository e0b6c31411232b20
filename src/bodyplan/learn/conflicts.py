"""Conflicts: the cosines between robots' actor gradients that a run has measured.

Two robots are in conflict where the cosine between their gradients is negative (Abe et al., arXiv
2602.18025, section 5).

    conflicts.jsonl    {"update", "norms": [R], "cosines": [R (R - 1) / 2]}, pairs row by row
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from bodyplan.errors import BodyplanError
from bodyplan.learn.metrics_file import read_lines
from bodyplan.learn.run import CONFLICTS, Run


@dataclass(frozen=True, eq=False)
class Conflicts:
    """Measurements of R robots' gradients at T moments."""

    robots: tuple[str, ...]
    updates: Int[np.ndarray, "T"]
    """Updates done when each was taken."""
    norms: Float[np.ndarray, "T R"]
    cosines: Float[np.ndarray, "T R R"]
    """Symmetric, ones on the diagonal."""

    @classmethod
    def of(
        cls,
        robots: Sequence[str],
        updates: Int[np.ndarray, "T"],
        grams: Float[np.ndarray, "T R R"],
    ) -> "Conflicts":
        """From inner products of gradients; a gradient that vanishes has cosines of 0."""
        products, own = np.asarray(grams, float), np.arange(len(robots))
        norms = np.sqrt(np.diagonal(products, axis1=1, axis2=2))
        lengths = norms[:, :, None] * norms[:, None, :]
        angles = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0.0)
        angles[:, own, own] = 1.0
        return cls(tuple(robots), np.asarray(updates), norms, np.clip(angles, -1.0, 1.0))

    @classmethod
    def read(cls, run: Run) -> "Conflicts":
        """What a run measured on its way.

        Raises:
            BodyplanError: it measured nothing, or its file is damaged.
        """
        path, robots = run.path / CONFLICTS, tuple(run.config["robots"])
        lines = read_lines(path)
        if not lines:
            raise BodyplanError(
                f"{run.path} has no measurements of conflicts on its way; train with "
                "--conflicts-every 100, or give --data to measure what it has learned"
            )
        try:
            norms = np.array([line["norms"] for line in lines], float)
            pairs = np.array([line["cosines"] for line in lines], float)
            angles = np.stack([_matrix(row, len(robots)) for row in pairs])
            if norms.shape != angles.shape[:2]:
                raise ValueError("norms of another number of robots")
        except (KeyError, TypeError, ValueError) as error:
            raise BodyplanError(
                f"{path} is damaged or of other robots ({error}); train the run again"
            ) from error
        return cls(robots, np.array([line["update"] for line in lines]), norms, angles)

    def lines(self) -> list[dict[str, Any]]:
        """As conflicts.jsonl has them."""
        rows, columns = _places(len(self.robots))
        return [
            {
                "update": int(update),
                "norms": [float(f"{norm:.6g}") for norm in norms],
                "cosines": [round(float(value), 6) for value in angles[rows, columns]],
            }
            for update, norms, angles in zip(self.updates, self.norms, self.cosines, strict=True)
        ]

    @property
    def pairs(self) -> Float[np.ndarray, "T P"]:
        """Cosines of all R (R - 1) / 2 pairs of robots."""
        rows, columns = _places(len(self.robots))
        return self.cosines[:, rows, columns]

    @property
    def negative_share(self) -> float:
        """Of all pairs in all measurements: the paper's measure of conflict."""
        return float((self.pairs < 0.0).mean())

    @property
    def opposed_share(self) -> float:
        """Of pairs, those whose cosine is negative on average over the measurements.

        A batch's gradient is its expectation and noise, and noise alone is negative half of the
        time: where training has converged, `negative_share` is high without anyone's being opposed.
        """
        return float((self.pairs.mean(axis=0) < 0.0).mean())

    @property
    def mean_cosines(self) -> Float[np.ndarray, "R R"]:
        """Over the measurements."""
        return self.cosines.mean(axis=0)

    @property
    def robot_cosines(self) -> Float[np.ndarray, "R"]:
        """Each robot's mean cosine with the others."""
        count = len(self.robots)
        return (self.mean_cosines.sum(axis=1) - 1.0) / max(count - 1, 1)

    @property
    def robot_shares(self) -> Float[np.ndarray, "R"]:
        """Of the others, those that each robot is in conflict with, on average."""
        count = len(self.robots)
        return (self.cosines < 0.0).mean(axis=0).sum(axis=1) / max(count - 1, 1)


def _places(robots: int) -> tuple[np.ndarray, np.ndarray]:
    """Above the diagonal."""
    return np.triu_indices(robots, 1)


def _matrix(pairs: Float[np.ndarray, "P"], robots: int) -> Float[np.ndarray, "R R"]:
    matrix = np.eye(robots)
    matrix[_places(robots)] = pairs
    return matrix + np.triu(matrix, 1).T
