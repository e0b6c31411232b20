"""Distances between thousands of bodies from those to a few of them.

The distances of all bodies to k landmarks are solved, N k problems in place of N (N - 1) / 2. The
rest follows as if the matrix had rank k (Nyström's method; Williams and Seeger, NIPS 2000): with C
the rows of the landmarks and W their own distances, D = C' W^-1 C. No estimate is below a bound
that holds for every plan, and the same bound, which costs no solving, spreads the landmarks out.
What the estimates are worth is measured by `benchmarks/morphology.py`.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from bodyplan.errors import BodyplanError
from bodyplan.grouping.body_graph import BodyGraph
from bodyplan.grouping.body_metric import DEFAULT, Bodies, BodyMetric, comparable_graphs
from bodyplan.grouping.distance_matrix import solved
from bodyplan.progress import OnProgress

_SMALLEST = 1e-3
"""Eigenvalues of the landmarks' distances that are inverted, over the largest."""


def estimated_distances(
    graphs: Sequence[BodyGraph],
    landmarks: int,
    metric: BodyMetric = DEFAULT,
    workers: int | None = None,
    progress: OnProgress | None = None,
) -> Float[np.ndarray, "R R"]:
    """Distances between all pairs of bodies, exact where one of a pair is a landmark.

    Args:
        graphs: the bodies.
        landmarks: how many of them are landmarks; where that is all, every distance is exact.
        metric: what the paper leaves open.
        workers: as for `distance_matrix`.
        progress: as for `distance_matrix`.

    Raises:
        BodyplanError: there are no landmarks, or each pair has a scale of its own.
    """
    if landmarks < 1:
        raise BodyplanError(f"landmarks = {landmarks}; give 1 or more, 64 do for thousands")
    if metric.feature_scale == "pair":
        raise BodyplanError(
            "distances cannot be estimated where every pair has a scale of its own; choose another "
            "feature_scale than 'pair', or give no landmarks"
        )
    bodies = comparable_graphs(graphs, metric)
    bounds = lower_bounds(bodies)
    chosen = spread_out(bounds, min(landmarks, len(graphs)))
    is_chosen = np.isin(np.arange(len(graphs)), chosen)
    first, second = np.triu_indices(len(graphs), 1)
    known = is_chosen[first] | is_chosen[second]
    pairs = np.column_stack([first[known], second[known]])
    distances = solved(bodies, pairs, workers, progress)
    estimates = np.maximum(_completed(distances[chosen], distances[np.ix_(chosen, chosen)]), bounds)
    unknown = ~(is_chosen[:, None] | is_chosen)
    np.fill_diagonal(unknown, False)
    return np.where(unknown, (estimates + estimates.T) / 2.0, distances)


def lower_bounds(bodies: Bodies) -> Float[np.ndarray, "R R"]:
    """What no plan between two bodies can be cheaper than, by Jensen's inequality.

    (1 - alpha) |mean features - mean features| + alpha (mean path - mean path)^2: a plan keeps the
    weights of nodes, so means over it are means over nodes.
    """
    from scipy.spatial.distance import cdist

    alpha = bodies.metric.alpha
    looks = np.array([table.mean(axis=0) for table in bodies.features])
    paths = np.array([tree.mean() for tree in bodies.trees])
    return (1.0 - alpha) * cdist(looks, looks) + alpha * (paths[:, None] - paths) ** 2


def spread_out(distances: Float[np.ndarray, "R R"], count: int) -> Int[np.ndarray, "count"]:
    """The body nearest to all, then each time the one farthest from those chosen."""
    chosen = [int(distances.sum(axis=0).argmin())]
    nearest = distances[chosen[0]]
    while len(chosen) < count:
        nearest = np.where(np.isin(np.arange(len(nearest)), chosen), -1.0, nearest)
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, distances[chosen[-1]])
    return np.array(chosen)


def _completed(
    rows: Float[np.ndarray, "k R"], own: Float[np.ndarray, "k k"]
) -> Float[np.ndarray, "R R"]:
    """The matrix of rank k with these rows; directions that are hardly there are left out."""
    values, vectors = np.linalg.eigh(own)
    there = np.abs(values) > _SMALLEST * max(np.abs(values).max(), 1e-300)
    turned = vectors[:, there].T @ rows
    return turned.T @ (turned / values[there, None])
