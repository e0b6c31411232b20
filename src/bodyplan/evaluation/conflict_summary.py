"""What measurements of gradient conflict come to, beside the robots' bodies and what they gained.

The paper's three questions (Abe et al., arXiv 2602.18025, section 5): how often robots' gradients
oppose each other; whether they agree the more, the more alike two bodies are; and whether a robot
that agrees with the others gains by learning together with them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from bodyplan.errors import BodyplanError
from bodyplan.evaluation.confidence_intervals import estimate
from bodyplan.evaluation.correlation import mantel, pearson
from bodyplan.grouping.robot_groups import merge_tree
from bodyplan.learn.gradient_conflict import Conflicts

SUBSTANTIAL = 5.0
"""Return by which a robot must gain or lose for its transfer to count; the paper does not say."""
THRESHOLDS = (0.0, 2.5, 5.0, 10.0)
"""Others, to see how much the answer depends on it."""


def similarity(distances: Float[np.ndarray, "R R"]) -> Float[np.ndarray, "R R"]:
    """1 for the two bodies most alike, 0 for the two most unlike, linear in between.

    Raises:
        BodyplanError: there are fewer than three robots, or all pairs are as unlike.
    """
    pairs = distances[np.triu_indices(len(distances), 1)]
    if len(pairs) < 3 or np.ptp(pairs) == 0.0:
        raise BodyplanError("similarity takes three robots or more, not all as unlike")
    scaled = 1.0 - (distances - pairs.min()) / np.ptp(pairs)
    np.fill_diagonal(scaled, 1.0)
    return scaled


def summarise(
    runs: Sequence[Conflicts],
    distances: Float[np.ndarray, "R R"],
    gains: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """All figures of one or more runs that differ in their seeds.

    Args:
        runs: measurements of the same robots.
        distances: between their bodies.
        gains: each robot's return from learning together, less that from learning alone.

    Raises:
        BodyplanError: the runs are of different robots, or there is but one robot.
    """
    robots = runs[0].robots
    if len(robots) < 2:
        raise BodyplanError("conflict takes two robots; train on more than one")
    if any(run.robots != robots for run in runs):
        raise BodyplanError("these runs are of different robots; compare runs of the same ones")
    cosines = np.mean([run.mean_cosines for run in runs], axis=0)
    answer: dict[str, Any] = {
        "robots": list(robots),
        "order": _dendrogram(robots, distances),
        "measurements": [len(run.updates) for run in runs],
        "negative_share": estimate([run.negative_share for run in runs]),
        "opposed_share": estimate([run.opposed_share for run in runs]),
        "mean_cosine": estimate([float(run.pairs.mean()) for run in runs]),
        "per_robot": _per_robot(runs),
        "cosines": cosines.round(6).tolist(),
    }
    if len(robots) > 2:
        answer["embodiment"] = _with_bodies(runs, cosines, similarity(distances))
    if gains is not None:
        agreement = np.mean([run.robot_cosines for run in runs], axis=0)
        answer["transfer"] = _with_transfer(robots, agreement, gains)
    return answer


def _dendrogram(robots: Sequence[str], distances: Float[np.ndarray, "R R"]) -> list[str]:
    """Robots in the order of their bodies' tree, so that alike ones are side by side."""
    from scipy.cluster.hierarchy import leaves_list

    leaves: list[int] = leaves_list(merge_tree(distances, robots)).tolist()
    return [robots[leaf] for leaf in leaves]


def _per_robot(runs: Sequence[Conflicts]) -> dict[str, Any]:
    shares = np.stack([run.robot_shares for run in runs])
    agreement = np.stack([run.robot_cosines for run in runs])
    return {
        robot: {
            "negative_share": estimate(shares[:, place].tolist()),
            "opposed_share": estimate([run.opposed_share for run in runs]),
            "mean_cosine": estimate(agreement[:, place].tolist()),
        }
        for place, robot in enumerate(runs[0].robots)
    }


def _with_bodies(
    runs: Sequence[Conflicts],
    cosines: Float[np.ndarray, "R R"],
    alike: Float[np.ndarray, "R R"],
) -> dict[str, Any]:
    """Of the mean over seeds, and each seed's own r."""
    each = [mantel(alike, run.mean_cosines).r for run in runs]
    return {
        "similarity": alike.round(6).tolist(),
        **mantel(alike, cosines)._asdict(),
        "r_of_seeds": estimate(each),
    }


def _with_transfer(
    robots: Sequence[str], agreement: Float[np.ndarray, "R"], gains: Mapping[str, float]
) -> dict[str, Any]:
    """Of robots that gain or lose substantially, as in the paper; and with other thresholds."""
    missing = [robot for robot in robots if robot not in gains]
    if missing:
        raise BodyplanError(f"no transfer is known of {', '.join(missing)}; measure it too")
    gained = np.array([gains[robot] for robot in robots])
    by_threshold = {}
    for threshold in sorted({*THRESHOLDS, SUBSTANTIAL}):
        counted = np.abs(gained) >= threshold
        row: dict[str, Any] = {"robots": int(counted.sum()), "r": None, "p": None}
        if counted.sum() > 2:
            found = pearson(agreement[counted], gained[counted])
            row |= {"r": found.r, "p": found.p}
        by_threshold[str(threshold)] = row
    return {
        "gains": dict(zip(robots, gained.tolist(), strict=True)),
        "threshold": SUBSTANTIAL,
        "by_threshold": by_threshold,
    }
