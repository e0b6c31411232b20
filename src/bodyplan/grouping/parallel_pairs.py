"""Pairs of bodies shared among processes.

The solver holds Python's lock, so threads would take turns. A worker is this interpreter on
`worker.py`, fed and answered through arrays in a temporary folder: scripts need no guard around
their main part, nothing is pickled, and a worker whose parent was killed ends with its share.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from bodyplan.grouping.body_metric import Bodies, BodyMetric
from bodyplan.grouping.fused_gromov_wasserstein import fused_gromov_wasserstein
from bodyplan.progress import OnProgress

Pairs = Int[np.ndarray, "P 2"]
Values = Float[np.ndarray, "P"]

_WORKER = "bodyplan.grouping.pair_worker"
TOLD = 500
"""Pairs between two words of progress."""
_BACKENDS = ("PYTORCH", "JAX", "TENSORFLOW", "CUPY")
"""What POT would import for arrays that we never give it; it takes seconds."""


def solve(bodies: Bodies, pairs: Pairs, progress: OnProgress | None = None) -> Values:
    """The distance of each pair, here and one after the other."""
    metric, rank = bodies.metric, bodies.rank
    values = np.zeros(len(pairs))
    for index, (r, s) in enumerate(pairs.tolist()):
        if rank[r] > rank[s]:  # both orders are one problem, solved in one of them
            r, s = s, r
        values[index] = fused_gromov_wasserstein(
            bodies.costs(r, s), bodies.trees[r], bodies.trees[s], metric.alpha, metric.start
        )
        if progress is not None and (index + 1) % TOLD == 0:
            progress("pairs of bodies", index + 1, len(pairs))
    return values


def share_out(
    bodies: Bodies, pairs: Pairs, workers: int, progress: OnProgress | None = None
) -> Values:
    """The distance of each pair; every `workers`-th of them by each of as many processes.

    This process takes a share too, and those of workers that fail. Progress is reckoned from its
    own share.
    """
    shares = [pairs[index::workers] for index in range(workers)]
    values = np.zeros(len(pairs))
    with tempfile.TemporaryDirectory(prefix="bodyplan-") as name, _running() as processes:
        folder = Path(name)
        for index, share in enumerate(shares[1:], 1):
            write_job(folder / f"{index}.npz", bodies, share)
            processes[index] = _start(folder / f"{index}.npz", folder / f"{index}.npy")
        values[::workers] = solve(bodies, shares[0], _reckoned(progress, len(pairs)))
        for index, process in processes.items():
            done = process.wait() == 0
            values[index::workers] = (
                np.load(folder / f"{index}.npy") if done else solve(bodies, shares[index])
            )
    return values


def write_job(path: Path, bodies: Bodies, pairs: Pairs) -> None:
    """Write a share for a worker."""
    np.savez(
        path,
        features=np.vstack(bodies.features),
        trees=np.concatenate([tree.ravel() for tree in bodies.trees]),
        sizes=[len(tree) for tree in bodies.trees],
        rank=bodies.rank,
        metric=json.dumps(asdict(bodies.metric)),
        pairs=pairs,
    )


def read_job(path: Path) -> tuple[Bodies, Pairs]:
    """Read what `write_job` wrote."""
    with np.load(path) as job:
        sizes = job["sizes"]
        features = np.split(job["features"], np.cumsum(sizes)[:-1])
        trees = np.split(job["trees"], np.cumsum(sizes**2)[:-1])
        bodies = Bodies(
            features=features,
            trees=[tree.reshape(size, size) for tree, size in zip(trees, sizes, strict=True)],
            rank=job["rank"].tolist(),
            metric=BodyMetric(**json.loads(str(job["metric"]))),
        )
        return bodies, job["pairs"]


@contextmanager
def _running() -> Iterator[dict[int, "subprocess.Popen[bytes]"]]:
    """Processes by share; none of them outlives the block."""
    processes: dict[int, subprocess.Popen[bytes]] = {}
    try:
        yield processes
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


def _start(job: Path, values: Path) -> "subprocess.Popen[bytes]":
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    lean = {f"POT_BACKEND_DISABLE_{name}": "1" for name in _BACKENDS}
    found = {"PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", _WORKER, str(job), str(values)],
        env=os.environ | single | lean | found,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _reckoned(progress: OnProgress | None, total: int) -> OnProgress | None:
    if progress is None:
        return None
    return lambda task, done, share, note="": progress(task, total * done // share, total)
