"""Summary of gradient conflict: how often gradients oppose, and its relation to bodies and gains.

These are three questions of the paper (Abe et al., arXiv 2602.18025, section 5). How often do the
gradients of two robots oppose each other? Do gradients agree more where bodies are more similar?
Does a robot gain more by learning with the others if its gradients agree with theirs?
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from bodyplan.errors import BodyplanError
from bodyplan.evaluation.significance import mantel, pearson, seed_mean
from bodyplan.grouping.clustering import merge_tree
from bodyplan.learn.conflicts import Conflicts

SUBSTANTIAL_GAIN = 5.0
"""Least gain or loss in return for a robot to count; the paper does not state its threshold."""
GAIN_THRESHOLDS = (0.0, 2.5, 5.0, 10.0)
"""Other thresholds, which show how much the correlation depends on the choice."""


def similarity(distances: Float[np.ndarray, "R R"]) -> Float[np.ndarray, "R R"]:
    """Similarities of bodies: 1 for the closest pair, 0 for the farthest, linear in between.

    Raises:
        BodyplanError: there are fewer than three robots, or all distances are equal.
    """
    pairs = distances[np.triu_indices(len(distances), 1)]
    if len(pairs) < 3 or np.ptp(pairs) == 0.0:
        raise BodyplanError("similarity needs three robots or more, with different distances")
    scaled = 1.0 - (distances - pairs.min()) / np.ptp(pairs)
    np.fill_diagonal(scaled, 1.0)
    return scaled


def summarise_conflicts(
    runs: Sequence[Conflicts],
    distances: Float[np.ndarray, "R R"],
    gains: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Summarise the measurements of one or more runs that differ in their seeds.

    Args:
        runs: measurements of the same robots.
        distances: distances between their bodies.
        gains: for each robot, its return from learning together minus that from learning alone.

    Raises:
        BodyplanError: the runs have different robots, or there is only one robot.
    """
    robots = runs[0].robots
    if len(robots) < 2:
        raise BodyplanError("conflict needs two robots or more; train on more than one robot")
    if any(run.robots != robots for run in runs):
        raise BodyplanError("these runs have different robots; compare runs of the same robots")
    cosines = np.mean([run.mean_cosines for run in runs], axis=0)
    summary: dict[str, Any] = {
        "robots": list(robots),
        "order": _dendrogram_order(robots, distances),
        "measurements": [len(run.updates) for run in runs],
        "negative_share": seed_mean([run.negative_share for run in runs]),
        "opposed_share": seed_mean([run.opposed_share for run in runs]),
        "mean_cosine": seed_mean([float(run.pairs.mean()) for run in runs]),
        "per_robot": _per_robot(runs),
        "cosines": cosines.round(6).tolist(),
    }
    if len(robots) > 2:
        summary["embodiment"] = _against_similarity(runs, cosines, similarity(distances))
    if gains is not None:
        robot_cosines = np.mean([run.robot_cosines for run in runs], axis=0)
        summary["transfer"] = _against_gains(robots, robot_cosines, gains)
    return summary


def _dendrogram_order(robots: Sequence[str], distances: Float[np.ndarray, "R R"]) -> list[str]:
    """Robots in the order of the dendrogram, in which similar robots are neighbours."""
    from scipy.cluster.hierarchy import leaves_list

    leaves: list[int] = leaves_list(merge_tree(distances, robots)).tolist()
    return [robots[leaf] for leaf in leaves]


def _per_robot(runs: Sequence[Conflicts]) -> dict[str, Any]:
    negative = np.stack([run.robot_shares for run in runs])
    opposed = np.stack([_opposed_shares(run.mean_cosines) for run in runs])
    cosines = np.stack([run.robot_cosines for run in runs])
    return {
        robot: {
            "negative_share": seed_mean(negative[:, index].tolist()),
            "opposed_share": seed_mean(opposed[:, index].tolist()),
            "mean_cosine": seed_mean(cosines[:, index].tolist()),
        }
        for index, robot in enumerate(runs[0].robots)
    }


def _opposed_shares(mean_cosines: Float[np.ndarray, "R R"]) -> Float[np.ndarray, "R"]:
    """For each robot, the share of its pairs whose mean cosine is negative."""
    return (mean_cosines < 0.0).sum(axis=1) / (len(mean_cosines) - 1)  # the diagonal is 1


def _against_similarity(
    runs: Sequence[Conflicts],
    cosines: Float[np.ndarray, "R R"],
    similarities: Float[np.ndarray, "R R"],
) -> dict[str, Any]:
    """Correlation of mean cosines with the similarity of bodies; also the r of each seed alone."""
    each = [mantel(similarities, run.mean_cosines).r for run in runs]
    return {
        "similarity": similarities.round(6).tolist(),
        **mantel(similarities, cosines)._asdict(),
        "r_of_seeds": seed_mean(each),
    }


def _against_gains(
    robots: Sequence[str], robot_cosines: Float[np.ndarray, "R"], gains: Mapping[str, float]
) -> dict[str, Any]:
    """Correlation of mean cosines with gains, over robots with a gain or loss above a threshold."""
    missing = [robot for robot in robots if robot not in gains]
    if missing:
        raise BodyplanError(
            f"the transfer of {', '.join(missing)} is missing; run `bodyplan transfer` with it"
        )
    gained = np.array([gains[robot] for robot in robots])
    by_threshold = {}
    for threshold in sorted({*GAIN_THRESHOLDS, SUBSTANTIAL_GAIN}):
        counted = np.abs(gained) >= threshold
        row: dict[str, Any] = {"robots": int(counted.sum()), "r": None, "p": None}
        if counted.sum() > 2:
            found = pearson(robot_cosines[counted], gained[counted])
            row |= {"r": found.r, "p": found.p}
        by_threshold[str(threshold)] = row
    return {
        "gains": dict(zip(robots, gained.tolist(), strict=True)),
        "threshold": SUBSTANTIAL_GAIN,
        "by_threshold": by_threshold,
    }
