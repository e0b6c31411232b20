"""How many groups robots fall into: silhouettes, and the gap statistic.

The paper tries 2 to 13 groups and recommends few (arXiv 2602.18025, section 5.4); these two numbers
say what the distances alone have to say about it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from bodyplan.grouping.robot_groups import cut, merge_tree

MOST = 20
"""Groups that are tried at most."""
REFERENCES = 100
"""Sets of points without groups, for the gap statistic."""
_EXPLAINED = 0.99
"""Of the bodies' spread, by the dimensions in which reference points are drawn."""


@dataclass(frozen=True)
class Separation:
    """How well so many groups are set apart."""

    count: int
    silhouette: float | None
    """Mean over robots, from -1 to 1; there is none for a single group."""
    gap: float
    """Log dispersion within groups of points without groups, less that of the robots."""
    gap_error: float
    """One standard error of `gap`, counting that the references are a sample."""


def separations(
    distances: Float[np.ndarray, "R R"], linkage: str = "ward", seed: int = 0
) -> list[Separation]:
    """One for each number of groups from 1 to `MOST`, or to one less than there are robots.

    Args:
        distances: between the robots.
        linkage: how clusters are merged.
        seed: of the reference points.

    Raises:
        BodyplanError: `distances` is no distance matrix, or `linkage` is unknown.
    """
    matrix = np.asarray(distances, float)
    counts = range(1, max(2, min(MOST + 1, len(matrix))))
    labels = _cuts(matrix, linkage, counts)
    own = _dispersions(matrix, labels)
    references = _reference_dispersions(matrix, linkage, counts, seed)
    gaps = references.mean(axis=0) - own
    errors = references.std(axis=0) * np.sqrt(1.0 + 1.0 / REFERENCES)
    return [
        Separation(
            count,
            float(silhouettes(matrix, labels[count - 1]).mean()) if count > 1 else None,
            float(gaps[count - 1]),
            float(errors[count - 1]),
        )
        for count in counts
    ]


def suggested_by_silhouette(found: Sequence[Separation]) -> int:
    """The number of groups of the highest mean silhouette (Rousseeuw 1987), 1 if there is none."""
    return max(found, key=lambda each: -2.0 if each.silhouette is None else each.silhouette).count


def suggested_by_gap(found: Sequence[Separation]) -> int:
    """The first number of groups with a gap that one more does not clearly widen.

    Tibshirani, Walther and Hastie (2001), section 3, step 3. It can be 1: no groups
    at all, or many that are equally far from each other, which the rule does not see.
    """
    for now, after in pairwise(found):
        if now.gap >= after.gap - after.gap_error:
            return now.count
    return found[-1].count


def silhouettes(
    distances: Float[np.ndarray, "R R"], labels: Int[np.ndarray, "R"]
) -> Float[np.ndarray, "R"]:
    """(b - a) / max(a, b) of each robot; 0 for one that is alone in its group.

    a is the mean distance from the others of its group, b that from the nearest other group.
    """
    members = _members(labels)
    sizes = members.sum(axis=0)
    sums = distances @ members
    own = labels[:, None] == np.arange(len(sizes))
    inside = sums[own] / np.maximum(1, sizes[labels] - 1)
    outside = np.where(own, np.inf, sums / sizes).min(axis=1)
    larger = np.maximum(inside, outside)
    score = np.divide(outside - inside, larger, out=np.zeros(len(labels)), where=larger > 0.0)
    return np.where(sizes[labels] > 1, score, 0.0)


def _cuts(
    distances: Float[np.ndarray, "R R"], linkage: str, counts: Sequence[int]
) -> list[Int[np.ndarray, "R"]]:
    tree = merge_tree(distances, [str(robot) for robot in range(len(distances))], linkage)
    return [cut(tree, count) for count in counts]


def _dispersions(
    distances: Float[np.ndarray, "R R"], cuts: Sequence[Int[np.ndarray, "R"]]
) -> Float[np.ndarray, "counts"]:
    """Logarithms of squared distances within groups, summed, over twice each group's size."""
    squares = distances**2
    found = []
    for labels in cuts:
        members = _members(labels)
        within = (members * (squares @ members)).sum(axis=0)
        found.append(float((within / (2.0 * members.sum(axis=0))).sum()))
    return np.log(np.maximum(found, 1e-300))


def _reference_dispersions(
    distances: Float[np.ndarray, "R R"], linkage: str, counts: Sequence[int], seed: int
) -> Float[np.ndarray, "references counts"]:
    """Of points drawn evenly from the box around the robots, along their principal axes."""
    from scipy.spatial.distance import pdist, squareform

    places = _places(distances)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(REFERENCES):
        points = rng.uniform(places.min(axis=0), places.max(axis=0), places.shape)
        apart = squareform(pdist(points))
        found.append(_dispersions(apart, _cuts(apart, linkage, counts)))
    return np.array(found)


def _places(distances: Float[np.ndarray, "R R"]) -> Float[np.ndarray, "R dimensions"]:
    """Points about as far apart as the robots, by classical multidimensional scaling."""
    squares = distances**2
    centred = squares - squares.mean(axis=0) - squares.mean(axis=1)[:, None] + squares.mean()
    values, vectors = np.linalg.eigh(-centred / 2.0)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    shares = np.cumsum(values) / (values.sum() or 1.0)
    kept = 1 + int(np.searchsorted(shares, _EXPLAINED))
    return vectors[:, :kept] * np.sqrt(values[:kept])


def _members(labels: Int[np.ndarray, "R"]) -> Float[np.ndarray, "R groups"]:
    return (labels[:, None] == np.arange(labels.max() + 1)).astype(float)
