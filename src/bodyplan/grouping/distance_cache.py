"""The cache of distance matrices: files named by a hash of all that decides the distances."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bodyplan.errors import BodyplanError
from bodyplan.grouping.body_graph import BodyGraph
from bodyplan.grouping.body_metric import BodyMetric
from bodyplan.locking import writer_lock
from bodyplan.storage import read_tensors, write_tensors

CACHE_VERSION = 1
"""Raise it when the same input gives other distances than before."""

Matrix = Float[np.ndarray, "R R"]


def cache_key(graphs: Sequence[BodyGraph], metric: BodyMetric, landmarks: int | None) -> str:
    """SHA-256 of the bodies in their order, the metric and the solver; names are left out."""
    settings = [CACHE_VERSION, version("POT"), asdict(metric), landmarks]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for graph in graphs:
        digest.update(json.dumps([graph.edges, len(graph.joints), len(graph.feet)]).encode())
        for part in (graph.joints, graph.feet):
            digest.update(np.ascontiguousarray(part, "<f8").tobytes())
    return digest.hexdigest()


def read_or_compute(path: Path, count: int, compute: Callable[[], Matrix]) -> Matrix:
    """The matrix in a file; where there is none, the computed matrix, which is written there.

    A damaged file is treated as missing. If the file cannot be written, or another process is
    writing it, the matrix is returned all the same.

    Args:
        path: the file.
        count: number of robots.
        compute: returns the matrix.
    """
    cached = _read(path, count)
    if cached is not None:
        return cached
    matrix = compute()
    try:
        with writer_lock(path):
            write_tensors(path, {"distances": matrix}, {"sha256": _checksum(matrix)})
    except (BodyplanError, OSError):
        return matrix
    return matrix


def _read(path: Path, count: int) -> Matrix | None:
    if not path.is_file():
        return None
    try:
        tensors, metadata = read_tensors(path)
        matrix = tensors["distances"]
    except (BodyplanError, OSError, KeyError):
        return None
    is_sound = matrix.shape == (count, count) and metadata.get("sha256") == _checksum(matrix)
    return matrix if is_sound else None


def _checksum(matrix: Matrix) -> str:
    return hashlib.sha256(np.ascontiguousarray(matrix).tobytes()).hexdigest()
