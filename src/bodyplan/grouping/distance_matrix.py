"""Distances between all pairs of many bodies, on as many cores as there are."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from bodyplan import machine
from bodyplan.grouping.body_graph import BodyGraph
from bodyplan.grouping.body_metric import DEFAULT, Bodies, BodyMetric, comparable_graphs
from bodyplan.grouping.parallel_pairs import TOLD, Pairs, share_out, solve
from bodyplan.progress import OnProgress

PAIRS_A_WORKER = 5_000
"""Below this, a process takes longer to start than to help."""


def distance_matrix(
    graphs: Sequence[BodyGraph],
    metric: BodyMetric = DEFAULT,
    workers: int | None = None,
    progress: OnProgress | None = None,
) -> Float[np.ndarray, "R R"]:
    """Fused Gromov-Wasserstein distances between all pairs of bodies.

    Symmetric with a zero diagonal, and the same whatever the order of robots, the numbering of
    their parts and the number of workers. Scaling is over the robots given, so a distance belongs
    to its set of robots: compare within a matrix, not between matrices.

    Args:
        graphs: the bodies.
        metric: what the paper leaves open.
        workers: processes to share the pairs among; all cores, where that is worth while, if not
            given.
        progress: called now and then with the pairs done.
    """
    pairs = np.column_stack(np.triu_indices(len(graphs), 1))
    return solved(comparable_graphs(graphs, metric), pairs, workers, progress)


def solved(
    bodies: Bodies, pairs: Pairs, workers: int | None = None, progress: OnProgress | None = None
) -> Float[np.ndarray, "R R"]:
    """The symmetric matrix with the distances of these pairs, zero where there is no pair."""
    if workers is None:
        workers = min(machine.available_cores(), len(pairs) // PAIRS_A_WORKER)
    if workers > 1:
        values = share_out(bodies, pairs, workers, progress)
    else:
        values = solve(bodies, pairs, progress)
    if progress is not None and len(pairs) > TOLD:
        progress("pairs of bodies", len(pairs), len(pairs))
    distances = np.zeros((len(bodies.trees), len(bodies.trees)))
    distances[tuple(pairs.T)] = values
    return distances + distances.T
