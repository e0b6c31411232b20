"""Correlations between what two matrices say of the same pairs of robots.

Pairs that share a robot are not independent, so the usual p value of Pearson's r flatters. Mantel's
test (Mantel 1967) asks instead how often r is as large when one matrix's robots change places.
"""

from itertools import permutations as all_orders
from math import factorial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from bodyplan.errors import BodyplanError

PERMUTATIONS = 9999


class Correlation(NamedTuple):
    """Pearson's r, and how surprising it is."""

    r: float
    p: float
    """Two-sided, for independent points."""
    mantel_p: float | None
    """Two-sided, for pairs of robots; None where the points are no pairs."""
    points: int


def pearson(x: Float[np.ndarray, "n"], y: Float[np.ndarray, "n"]) -> Correlation:
    """Correlation of independent points.

    Raises:
        BodyplanError: there are fewer than three points, or all are alike in x or in y.
    """
    from scipy.stats import pearsonr

    if len(x) < 3 or np.ptp(x) == 0.0 or np.ptp(y) == 0.0:
        raise BodyplanError(
            f"{len(x)} points leave no correlation; three are needed, not all alike"
        )
    found = pearsonr(x, y)
    return Correlation(float(found.statistic), float(found.pvalue), None, len(x))


def mantel(
    first: Float[np.ndarray, "R R"],
    second: Float[np.ndarray, "R R"],
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Correlation:
    """Correlation of two symmetric matrices above their diagonals.

    Args:
        first: symmetric; its robots stay where they are.
        second: symmetric; its robots change places.
        permutations: random orders of the robots; all orders where there are no more than these.
        seed: decides them.

    Raises:
        BodyplanError: there are fewer than three robots, or one matrix says the same of all pairs.
    """
    places = np.triu_indices(len(first), 1)
    plain = pearson(first[places], second[places])
    orders = _orders(len(first), permutations, seed)
    rows, columns = orders[:, places[0]], orders[:, places[1]]
    shuffled = second[rows, columns]
    centred = first[places] - first[places].mean()
    # The second matrix's mean and deviation are the same in any order.
    deviation = second[places].std() * np.linalg.norm(centred) * np.sqrt(len(centred))
    found = shuffled @ centred / deviation
    as_large = int((np.abs(found) >= abs(plain.r) - 1e-12).sum())
    exact = len(orders) == factorial(len(first))
    p = as_large / len(orders) if exact else (1 + as_large) / (1 + len(orders))
    return plain._replace(mantel_p=p)


def _orders(robots: int, permutations: int, seed: int) -> Int[np.ndarray, "orders R"]:
    if factorial(robots) <= permutations:
        return np.array(list(all_orders(range(robots))))
    rng = np.random.default_rng(seed)
    return np.argsort(rng.random((permutations, robots)), axis=1)
