"""How many groups the distances between robots suggest: silhouettes and the gap statistic.

The paper tries 2 to 13 groups and recommends few (arXiv 2602.18025, section 5.4). These two scores
depend on the distances alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from bodyplan.grouping.clustering import cut_tree, merge_tree

_EXPLAINED_VARIANCE = 0.99
"""Share of the bodies' variance in the dimensions in which reference points are drawn."""


@dataclass(frozen=True)
class GroupCountScore:
    """How well the robots separate into a number of groups."""

    count: int
    silhouette: float | None
    """Mean over robots, from -1 to 1; None for a single group."""
    gap: float
    """Mean log dispersion within groups of reference points, less that of the robots."""
    gap_error: float
    """Standard error of `gap`, with that of the mean over references."""


def score_group_counts(
    distances: Float[np.ndarray, "R R"],
    linkage: str = "ward",
    seed: int = 0,
    max_groups: int = 20,
    references: int = 100,
) -> list[GroupCountScore]:
    """Scores of each number of groups from 1 to `max_groups`, or to one less than the robots.

    Args:
        distances: between the robots.
        linkage: how clusters are merged.
        seed: of the reference points.
        max_groups: largest number of groups that is scored.
        references: number of reference sets of points without groups, for the gap statistic.

    Raises:
        BodyplanError: `distances` is not a distance matrix, or `linkage` is unknown.
    """
    matrix = np.asarray(distances, float)
    counts = range(1, max(2, min(max_groups + 1, len(matrix))))
    labels = _cuts(matrix, linkage, counts)
    log_dispersions = _log_dispersions(matrix, labels)
    of_references = _reference_dispersions(matrix, linkage, counts, seed, references)
    gaps = of_references.mean(axis=0) - log_dispersions
    errors = of_references.std(axis=0) * np.sqrt(1.0 + 1.0 / references)
    return [
        GroupCountScore(
            count,
            float(silhouettes(matrix, labels[count - 1]).mean()) if count > 1 else None,
            float(gaps[count - 1]),
            float(errors[count - 1]),
        )
        for count in counts
    ]


def suggested_by_silhouette(scores: Sequence[GroupCountScore]) -> int:
    """The number of groups with the highest mean silhouette (Rousseeuw 1987), 1 if none has one."""
    return max(scores, key=lambda each: -2.0 if each.silhouette is None else each.silhouette).count


def suggested_by_gap(scores: Sequence[GroupCountScore]) -> int:
    """The first number of groups whose gap is not clearly below that of one group more.

    Tibshirani, Walther and Hastie (2001), section 3, step 3. The answer can be 1: there are no
    groups, or many groups at equal distances, which the rule overlooks.
    """
    for now, after in pairwise(scores):
        if now.gap >= after.gap - after.gap_error:
            return now.count
    return scores[-1].count


def silhouettes(
    distances: Float[np.ndarray, "R R"], labels: Int[np.ndarray, "R"]
) -> Float[np.ndarray, "R"]:
    """(b - a) / max(a, b) of each robot; 0 for a robot that is alone in its group.

    a is the mean distance to the others of its group, b that to the nearest other group.
    """
    members = _members(labels)
    sizes = members.sum(axis=0)
    sums = distances @ members
    is_own = labels[:, None] == np.arange(len(sizes))
    inside = sums[is_own] / np.maximum(1, sizes[labels] - 1)
    outside = np.where(is_own, np.inf, sums / sizes).min(axis=1)
    larger = np.maximum(inside, outside)
    score = np.divide(outside - inside, larger, out=np.zeros(len(labels)), where=larger > 0.0)
    return np.where(sizes[labels] > 1, score, 0.0)


def _cuts(
    distances: Float[np.ndarray, "R R"], linkage: str, counts: Sequence[int]
) -> list[Int[np.ndarray, "R"]]:
    """The group of each robot for each number of groups."""
    tree = merge_tree(distances, [str(robot) for robot in range(len(distances))], linkage)
    return [cut_tree(tree, count) for count in counts]


def _log_dispersions(
    distances: Float[np.ndarray, "R R"], cuts: Sequence[Int[np.ndarray, "R"]]
) -> Float[np.ndarray, "counts"]:
    """log W of each cut: squared distances within groups over twice the group's size, summed."""
    squares = distances**2
    dispersions = []
    for labels in cuts:
        members = _members(labels)
        within = (members * (squares @ members)).sum(axis=0)
        dispersions.append(float((within / (2.0 * members.sum(axis=0))).sum()))
    return np.log(np.maximum(dispersions, 1e-300))


def _reference_dispersions(
    distances: Float[np.ndarray, "R R"],
    linkage: str,
    counts: Sequence[int],
    seed: int,
    references: int,
) -> Float[np.ndarray, "references counts"]:
    """log W of points drawn uniformly from the box around the robots, along principal axes."""
    from scipy.spatial.distance import pdist, squareform

    coordinates = _principal_coordinates(distances)
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    rng = np.random.default_rng(seed)
    dispersions = []
    for _ in range(references):
        points = rng.uniform(low, high, coordinates.shape)
        point_distances = squareform(pdist(points))
        cuts = _cuts(point_distances, linkage, counts)
        dispersions.append(_log_dispersions(point_distances, cuts))
    return np.array(dispersions)


def _principal_coordinates(
    distances: Float[np.ndarray, "R R"],
) -> Float[np.ndarray, "R dimensions"]:
    """Points with nearly the robots' distances, by classical multidimensional scaling."""
    squares = distances**2
    centred = squares - squares.mean(axis=0) - squares.mean(axis=1)[:, None] + squares.mean()
    values, vectors = np.linalg.eigh(-centred / 2.0)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    explained = np.cumsum(values) / (values.sum() or 1.0)
    kept = 1 + int(np.searchsorted(explained, _EXPLAINED_VARIANCE))
    return vectors[:, :kept] * np.sqrt(values[:kept])


def _members(labels: Int[np.ndarray, "R"]) -> Float[np.ndarray, "R groups"]:
    return (labels[:, None] == np.arange(labels.max() + 1)).astype(float)
