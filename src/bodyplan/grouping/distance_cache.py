"""Distances that were computed before: files named by the hash of all that decides them."""

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

EDITION = 1
"""Raised when distances come out otherwise than before."""

Matrix = Float[np.ndarray, "R R"]


def fingerprint(graphs: Sequence[BodyGraph], metric: BodyMetric, landmarks: int | None) -> str:
    """Of the bodies in their order, the choices, and the solver; names of robots have no part."""
    settings = [EDITION, version("POT"), asdict(metric), landmarks]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for graph in graphs:
        digest.update(json.dumps([graph.edges, len(graph.joints), len(graph.feet)]).encode())
        for part in (graph.joints, graph.feet):
            digest.update(np.ascontiguousarray(part, "<f8").tobytes())
    return digest.hexdigest()


def recalled(path: Path, count: int, compute: Callable[[], Matrix]) -> Matrix:
    """The matrix in a file, or else the computed one, which is then kept there.

    A file that is damaged counts as none. Where nothing can be written, or another process is
    writing just now, the matrix is not kept, and nobody is told.

    Args:
        path: the file, which need not be there.
        count: robots.
        compute: gives the matrix.
    """
    found = _read(path, count)
    if found is not None:
        return found
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
        tensors, notes = read_tensors(path)
        matrix = tensors["distances"]
    except (BodyplanError, OSError, KeyError):
        return None
    sound = matrix.shape == (count, count) and notes.get("sha256") == _checksum(matrix)
    return matrix if sound else None


def _checksum(matrix: Matrix) -> str:
    return hashlib.sha256(np.ascontiguousarray(matrix).tobytes()).hexdigest()
