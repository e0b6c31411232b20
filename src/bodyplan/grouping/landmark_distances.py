"""Approximate distances between thousands of bodies, from exact ones to a few landmarks.

Distances of all N bodies to k landmarks are computed exactly: N k problems in place of
N (N - 1) / 2. The rest follows as if the matrix had rank k (Nyström's method; Williams and Seeger,
NIPS 2000). With C the rows of the landmarks and W their own distances, D = C' W^-1 C. A lower bound
that needs no solver selects the landmarks, and no estimate falls below it. The accuracy of the
estimates is measured by `benchmarks/morphology.py`.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from bodyplan.errors import BodyplanError
from bodyplan.grouping.body_graph import BodyGraph
from bodyplan.grouping.body_metric import (
    DEFAULT_METRIC,
    BodyMetric,
    NormalisedGraphs,
    normalise_graphs,
)
from bodyplan.grouping.distance_matrix import solve_pairs
from bodyplan.progress import OnProgress

_SMALLEST_EIGENVALUE = 1e-3
"""Of the landmarks' distances that is inverted, over the largest."""


def landmark_distances(
    graphs: Sequence[BodyGraph],
    landmarks: int,
    metric: BodyMetric = DEFAULT_METRIC,
    workers: int | None = None,
    progress: OnProgress | None = None,
) -> Float[np.ndarray, "R R"]:
    """Distances between all pairs of bodies; those to landmarks are exact, the rest estimated.

    Args:
        graphs: the bodies.
        landmarks: number of landmarks; with as many as bodies, every distance is exact.
        metric: what the paper leaves open.
        workers: as for `distance_matrix`.
        progress: as for `distance_matrix`.

    Raises:
        BodyplanError: `landmarks` is below 1, or `feature_scale` is `pair`.
    """
    if landmarks < 1:
        raise BodyplanError(f"landmarks = {landmarks}; give 1 or more, for example 64")
    if metric.feature_scale == "pair":
        raise BodyplanError(
            "landmarks need one scale for all pairs; choose another feature_scale than 'pair', or "
            "give no landmarks"
        )
    normalised = normalise_graphs(graphs, metric)
    bounds = lower_bounds(normalised)
    chosen = farthest_point_sampling(bounds, min(landmarks, len(graphs)))
    is_chosen = np.isin(np.arange(len(graphs)), chosen)
    first, second = np.triu_indices(len(graphs), 1)
    exact = is_chosen[first] | is_chosen[second]
    pairs = np.column_stack([first[exact], second[exact]])
    distances = solve_pairs(normalised, pairs, workers, progress)
    completed = _nystroem(distances[chosen], distances[np.ix_(chosen, chosen)])
    estimates = np.maximum(completed, bounds)
    is_estimated = ~(is_chosen[:, None] | is_chosen)
    np.fill_diagonal(is_estimated, False)
    return np.where(is_estimated, (estimates + estimates.T) / 2.0, distances)


def lower_bounds(graphs: NormalisedGraphs) -> Float[np.ndarray, "R R"]:
    """A lower bound of the cost of every coupling of two bodies, by Jensen's inequality.

    (1 - alpha) |mean features - mean features| + alpha (mean path - mean path)^2: a coupling keeps
    the weights of nodes, so means over it are means over nodes.
    """
    from scipy.spatial.distance import cdist

    alpha = graphs.metric.alpha
    features = np.array([table.mean(axis=0) for table in graphs.features])
    paths = np.array([lengths.mean() for lengths in graphs.path_lengths])
    return (1.0 - alpha) * cdist(features, features) + alpha * (paths[:, None] - paths) ** 2


def farthest_point_sampling(
    distances: Float[np.ndarray, "R R"], count: int
) -> Int[np.ndarray, "count"]:
    """Indices of the body nearest to all, then repeatedly of the one farthest from those chosen."""
    chosen = [int(distances.sum(axis=0).argmin())]
    nearest = distances[chosen[0]]
    while len(chosen) < count:
        nearest = np.where(np.isin(np.arange(len(nearest)), chosen), -1.0, nearest)
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, distances[chosen[-1]])
    return np.array(chosen)


def _nystroem(
    rows: Float[np.ndarray, "k R"], landmark_block: Float[np.ndarray, "k k"]
) -> Float[np.ndarray, "R R"]:
    """The matrix of rank k with these rows; directions of tiny eigenvalues are left out."""
    values, vectors = np.linalg.eigh(landmark_block)
    kept = np.abs(values) > _SMALLEST_EIGENVALUE * max(np.abs(values).max(), 1e-300)
    projected = vectors[:, kept].T @ rows
    return projected.T @ (projected / values[kept, None])
