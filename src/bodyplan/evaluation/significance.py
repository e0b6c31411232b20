"""Significance: 95 % intervals of means and differences, Pearson's r, Mantel's test of robots.

Pairs that share a robot are not independent, so the usual p value of Pearson's r is too small for
them. Mantel's test (Mantel 1967) permutes the robots of one matrix instead, and counts how often r
is as large.
"""

from collections.abc import Sequence
from itertools import permutations as all_permutations
from math import factorial
from typing import NamedTuple, TypedDict

import numpy as np
from jaxtyping import Float, Int

from bodyplan.errors import BodyplanError

NUM_PERMUTATIONS = 9999
"""Of Mantel's test."""


class SeedMean(TypedDict):
    """A mean over seeds with its confidence interval."""

    mean: float
    interval: float | None
    """Half width of the 95 % confidence interval; None for a single seed."""
    seeds: list[float]
    """The value of each seed."""


def seed_mean(seeds: Sequence[float]) -> SeedMean:
    """The mean over seeds and its 95 % confidence interval, by Student's t."""
    values = np.asarray(seeds, float)
    interval = None
    if len(values) > 1:
        interval = half_width(float(values.std(ddof=1) / np.sqrt(len(values))), len(values))
    return SeedMean(mean=float(values.mean()), interval=interval, seeds=values.tolist())


def half_width(standard_error: float, count: int) -> float:
    """Half width of the 95 % confidence interval around a mean of `count` values, by Student's t.

    Where the count is unknown (0 or 1), it is that of the normal distribution.
    """
    from scipy.stats import t

    return standard_error * (float(t.ppf(0.975, count - 1)) if count > 1 else 1.96)


class Differences(NamedTuple):
    """Differences of two means, for each of K columns."""

    mean: Float[np.ndarray, "K"]
    """Of the first, minus that of the second."""
    half_width: Float[np.ndarray, "K"] | None
    """Half widths of the 95 % confidence intervals; None where a mean is of a single value."""
    p: Float[np.ndarray, "K"] | None
    """Two-sided, of a difference of zero."""


def mean_differences(
    first: Float[np.ndarray, "S K"], second: Float[np.ndarray, "T K"], paired: bool
) -> Differences:
    """Differences of the columns' means, by Student's t if rows are pairs, else by Welch's.

    Args:
        first: S values for each of K columns.
        second: T values; where rows are pairs, T is S.
        paired: whether row s of both belongs together.
    """
    from scipy.stats import t

    difference = first.mean(axis=0) - second.mean(axis=0)
    if min(len(first), len(second)) < 2:
        return Differences(difference, None, None)
    if paired:
        variance = (first - second).var(axis=0, ddof=1) / len(first)
        freedom = np.full(len(difference), len(first) - 1.0)
    else:
        own, other = (rows.var(axis=0, ddof=1) / len(rows) for rows in (first, second))
        variance = own + other
        parts = own**2 / (len(first) - 1) + other**2 / (len(second) - 1)
        freedom = np.full(len(difference), len(first) + len(second) - 2.0)
        np.divide(variance**2, parts, out=freedom, where=parts > 0.0)  # Welch-Satterthwaite
    error = np.sqrt(variance)
    # Where nothing varies, any difference is beyond doubt.
    size = np.where(difference == 0.0, 0.0, np.inf)
    np.divide(np.abs(difference), error, out=size, where=error > 0.0)
    half_widths = error * np.asarray(t.ppf(0.975, freedom))
    return Differences(difference, half_widths, 2.0 * np.asarray(t.sf(size, freedom)))


def holm(p: Float[np.ndarray, "K"]) -> Float[np.ndarray, "K"]:
    """P values of K tests at once, after Holm (1979).

    If none of the K differences is real, the chance that any of these is below 0.05 is at most 5 %.
    """
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(stepped)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


class Correlation(NamedTuple):
    """Pearson's r and its p values."""

    r: float
    p: float
    """Two-sided, for independent points."""
    mantel_p: float | None
    """Two-sided, for pairs of robots; None where points are not pairs."""
    points: int
    """Number of points."""


def pearson(x: Float[np.ndarray, "n"], y: Float[np.ndarray, "n"]) -> Correlation:
    """Pearson's correlation of independent points.

    Raises:
        BodyplanError: there are fewer than three points, or x or y is constant.
    """
    from scipy.stats import pearsonr

    if len(x) < 3 or np.ptp(x) == 0.0 or np.ptp(y) == 0.0:
        raise BodyplanError(
            f"{len(x)} points have no correlation; give three or more that are not all equal"
        )
    found = pearsonr(x, y)
    return Correlation(float(found.statistic), float(found.pvalue), None, len(x))


def mantel(
    first: Float[np.ndarray, "R R"],
    second: Float[np.ndarray, "R R"],
    permutations: int = NUM_PERMUTATIONS,
    seed: int = 0,
) -> Correlation:
    """Correlation of two symmetric matrices above their diagonals, with Mantel's p value.

    Args:
        first: symmetric; its robots keep their order.
        second: symmetric; its robots are permuted.
        permutations: number of random permutations; where all permutations are no more than
            this, all are used.
        seed: seed of the random permutations.

    Raises:
        BodyplanError: there are fewer than three robots, or a matrix is constant.
    """
    upper = np.triu_indices(len(first), 1)
    plain = pearson(first[upper], second[upper])
    orders = _robot_permutations(len(first), permutations, seed)
    permuted = second[orders[:, upper[0]], orders[:, upper[1]]]
    centred = first[upper] - first[upper].mean()
    # r of each permutation; the mean and std of the second matrix are the same for all of them.
    scale = second[upper].std() * np.linalg.norm(centred) * np.sqrt(len(centred))
    r = permuted @ centred / scale
    as_large = int((np.abs(r) >= abs(plain.r) - 1e-12).sum())
    exact = len(orders) == factorial(len(first))
    p = as_large / len(orders) if exact else (1 + as_large) / (1 + len(orders))
    return plain._replace(mantel_p=p)


def _robot_permutations(robots: int, permutations: int, seed: int) -> Int[np.ndarray, "orders R"]:
    if factorial(robots) <= permutations:
        return np.array(list(all_permutations(range(robots))))
    rng = np.random.default_rng(seed)
    return np.argsort(rng.random((permutations, robots)), axis=1)
