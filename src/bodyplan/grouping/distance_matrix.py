"""Distances between all pairs of many bodies, computed on all cores."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import numpy as np
from jaxtyping import Float, Int

from bodyplan import machine
from bodyplan.grouping.body_graph import BodyGraph
from bodyplan.grouping.body_metric import (
    DEFAULT_METRIC,
    BodyMetric,
    NormalisedGraphs,
    normalise_graphs,
)
from bodyplan.grouping.fused_gromov_wasserstein import fused_gromov_wasserstein
from bodyplan.progress import OnProgress

Pairs = Int[np.ndarray, "P 2"]
PairDistances = Float[np.ndarray, "P"]

_PAIRS_PER_WORKER = 5_000  # with fewer, processes take longer to start than they save
_PAIRS_PER_REPORT = 500
_CHUNKS_PER_WORKER = 16
_IDLE_SECONDS = 30  # after which a worker ends
_UNUSED_BACKENDS = {
    f"POT_BACKEND_DISABLE_{name}": "1" for name in ("PYTORCH", "JAX", "TENSORFLOW", "CUPY")
}
"""POT would import them for arrays of theirs, which takes seconds."""


def distance_matrix(
    graphs: Sequence[BodyGraph],
    metric: BodyMetric = DEFAULT_METRIC,
    workers: int | None = None,
    progress: OnProgress | None = None,
) -> Float[np.ndarray, "R R"]:
    """Fused Gromov-Wasserstein distances between all pairs of bodies.

    The matrix is symmetric with a zero diagonal. It does not depend on the order of robots, the
    numbering of their parts or the number of workers. Scales are taken over the given robots, so
    compare distances within a matrix, not between matrices.

    Args:
        graphs: the bodies.
        metric: what the paper leaves open.
        workers: number of processes; by default all cores, if there are enough pairs for them.
        progress: called now and then with the number of pairs done.
    """
    pairs = np.column_stack(np.triu_indices(len(graphs), 1))
    return solve_pairs(normalise_graphs(graphs, metric), pairs, workers, progress)


def solve_pairs(
    graphs: NormalisedGraphs,
    pairs: Pairs,
    workers: int | None = None,
    progress: OnProgress | None = None,
) -> Float[np.ndarray, "R R"]:
    """The symmetric matrix with the distances of some pairs and zeros elsewhere.

    Args:
        graphs: the bodies.
        pairs: indices of two bodies in each row.
        workers: as for `distance_matrix`.
        progress: as for `distance_matrix`.
    """
    if workers is None:
        workers = min(machine.available_cores(), len(pairs) // _PAIRS_PER_WORKER)
    chunk_size = _PAIRS_PER_REPORT
    if workers > 1:
        chunk_size = max(chunk_size, len(pairs) // (_CHUNKS_PER_WORKER * workers))
    chunks = np.array_split(pairs, max(1, -(-len(pairs) // chunk_size)))
    if workers > 1:
        solved = _solve_in_parallel(graphs, chunks, workers)
    else:
        solved = (pair_distances(graphs, chunk) for chunk in chunks)
    distances = np.zeros((len(graphs.features), len(graphs.features)))
    done = 0
    for chunk, values in zip(chunks, solved, strict=True):
        distances[tuple(chunk.T)] = values
        done += len(chunk)
        if progress is not None and len(chunks) > 1:
            progress("pairs of bodies", done, len(pairs))
    return distances + distances.T


def pair_distances(graphs: NormalisedGraphs, pairs: Pairs) -> PairDistances:
    """The distance of each pair, computed in this process."""
    metric, rank = graphs.metric, graphs.rank
    values = np.zeros(len(pairs))
    for index, (r, s) in enumerate(pairs.tolist()):
        if rank[r] > rank[s]:  # both orders are the same problem; only one of them is solved
            r, s = s, r
        values[index] = fused_gromov_wasserstein(
            graphs.feature_costs(r, s),
            graphs.path_lengths[r],
            graphs.path_lengths[s],
            metric.alpha,
            metric.start,
        )
    return values


def _solve_in_parallel(
    graphs: NormalisedGraphs, chunks: Sequence[Pairs], workers: int
) -> Iterator[PairDistances]:
    """The distances of each chunk in order, from processes: the solver holds Python's lock.

    If a worker is killed, this process computes what is missing.
    """
    from joblib import Parallel, delayed

    run = Parallel(
        n_jobs=workers,
        backend="loky",
        return_as="generator",
        batch_size=1,
        max_nbytes=None,
        idle_worker_timeout=_IDLE_SECONDS,
        initializer=_start_worker,
        initargs=(os.getpid(),),
    )
    solved = 0
    try:
        with _interrupt_ignored():
            results = run(delayed(pair_distances)(graphs, chunk) for chunk in chunks)
        for values in results:
            yield values
            solved += 1
    except BrokenProcessPool:
        for chunk in chunks[solved:]:
            yield pair_distances(graphs, chunk)


@contextmanager
def _interrupt_ignored() -> Iterator[None]:
    """Ignore Ctrl-C for a moment, so that processes which start meanwhile ignore it for good.

    A terminal sends it to them as well, and each would say where it was interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _start_worker(parent: int) -> None:
    """Let POT start faster, and end this process with its parent, even if that is killed."""
    os.environ.update(_UNUSED_BACKENDS)
    threading.Thread(target=_end_with, args=[parent], daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)
