"""The Fused Gromov-Wasserstein distance between two graphs, by conditional gradient.

The values are those of POT's `ot.gromov.fused_gromov_wasserstein2` with `loss_fun="square_loss"`
and `symmetric=True`, from the same start and with the same stopping rule, at a third of its time: a
body has some twenty nodes, and most of POT's time on graphs that small goes into checks around the
arithmetic. The transport problem of each iteration is solved by POT's own network simplex.
"""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float

Features = Float[np.ndarray, "n m"]
TreeDistances = Float[np.ndarray, "_ _"]
Coupling = Float[np.ndarray, "n m"]

_ITERATIONS, _SIMPLEX_ITERATIONS = 10_000, 100_000
_TOLERANCE = 1e-9  # of the value, absolute and relative


def product(features: Features, first: TreeDistances, second: TreeDistances) -> list[Coupling]:
    """Every node over all others alike: POT's own start."""
    return [np.outer(*_weights(features))]


def several(features: Features, first: TreeDistances, second: TreeDistances) -> list[Coupling]:
    """POT's start, the best plan for the features alone, and that for features and depth.

    Depth is the number of edges to the torso, which is node 0 of both.
    """
    depth = np.abs(first[0][:, None] - second[0])
    weights = _weights(features)
    return [
        np.outer(*weights),
        _cheapest(*weights, features),
        _cheapest(*weights, features + depth),
    ]


INITIAL_COUPLINGS: Mapping[
    str, Callable[[Features, TreeDistances, TreeDistances], list[Coupling]]
] = {
    "product": product,
    "several": several,
}
"""Where the descent begins; of several ends the lowest counts."""


def fused_gromov_wasserstein(
    features: Float[np.ndarray, "n m"],
    first: Float[np.ndarray, "n n"],
    second: Float[np.ndarray, "m m"],
    alpha: float,
    start: str = "product",
) -> float:
    """(1 - alpha) <T, features> + alpha sum (first - second)^2 T T, minimised over plans T.

    Nodes weigh the same. The problem is not convex: a descent finds a local minimum, the same one
    every time.

    Args:
        features: cost of laying a node of the first graph over one of the second.
        first: distances within the first graph, symmetric.
        second: distances within the second graph, symmetric.
        alpha: weight of structure against features.
        start: a name in `INITIAL_COUPLINGS`.
    """
    features = np.ascontiguousarray(features, np.float64)  # as the network simplex wants it
    plans = INITIAL_COUPLINGS[start](features, first, second)
    return max(0.0, min(_descend(features, first, second, alpha, plan) for plan in plans))


def _descend(
    features: Features, first: TreeDistances, second: TreeDistances, alpha: float, plan: Coupling
) -> float:
    """The value at the end of a conditional gradient descent from `plan`.

    Follows Vayer et al. (arXiv 1805.09114), algorithms 1 and 2. The quadratic term of the value is
    sum (first^2 + second^2) T T - 2 <first T second, T>, and the part of it that is squared is the
    same for all plans of these weights, so one product of three matrices is all that an iteration
    needs: for the exact line search and, added up, for the next gradient.
    """
    p, q = _weights(features)
    squares = ((first**2) @ p)[:, None] + (second**2) @ q
    linear = (1.0 - alpha) * features
    fixed = linear + 2.0 * alpha * squares
    doubled = 2.0 * second
    crossed = first @ plan @ doubled
    value = float(np.vdot(linear + alpha * (squares - crossed), plan))
    for _ in range(_ITERATIONS):
        direction = _cheapest(p, q, fixed - 2.0 * alpha * crossed) - plan
        change = first @ direction @ doubled
        curvature = -alpha * float(np.vdot(change, direction))
        slope = float(np.vdot(linear, direction)) - 2.0 * alpha * float(np.vdot(change, plan))
        step = _lowest(curvature, slope)
        gain = step * (curvature * step + slope)
        plan = plan + step * direction
        crossed = crossed + step * change
        value += gain
        if abs(gain) < _TOLERANCE or abs(gain) < _TOLERANCE * abs(value):
            break
    return value


def _lowest(curvature: float, slope: float) -> float:
    """Where curvature x^2 + slope x is lowest for x from 0 to 1."""
    if curvature > 0.0:
        return min(1.0, max(0.0, -slope / (2.0 * curvature)))
    return 1.0 if curvature + slope < 0.0 else 0.0


def _weights(features: Features) -> tuple[np.ndarray, np.ndarray]:
    n, m = features.shape
    p, q = np.full(n, 1.0 / n), np.full(m, 1.0 / m)
    return p, q * (p.sum() / q.sum())


def _cheapest(p: np.ndarray, q: np.ndarray, cost: Features) -> Coupling:
    """The plan of least cost, a corner of all plans."""
    from ot.lp.emd_wrap import emd_c

    return emd_c(p, q, cost, _SIMPLEX_ITERATIONS, 1)[0]
