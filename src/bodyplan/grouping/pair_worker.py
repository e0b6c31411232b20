"""A share of pairs solved by a process of its own: `python -m ... job.npz values.npy`."""

import sys
from pathlib import Path

import numpy as np

from bodyplan.grouping.parallel_pairs import read_job, solve


def solve_job(job: str, values: str) -> None:
    """Solve the pairs of a job and write their distances."""
    np.save(values, solve(*read_job(Path(job))))


if __name__ == "__main__":
    solve_job(*sys.argv[1:])
