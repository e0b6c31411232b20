"""Means over seeds: what several runs that differ in their seeds score together."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bodyplan.evaluation.evaluation import MEAN_SCORES, Evaluation


def seed_means(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """The mean over seeds of each score's mean over robots.

    `return_se` is the standard error of `return_mean` over seeds, the paper's measure; None for a
    single seed. A score that some seed lacks is None.
    """
    columns: dict[str, list[Any]] = {
        name: [own.mean.get(name) for own in evaluations] for name in MEAN_SCORES
    }
    means: dict[str, Any] = {
        name: None if None in values else np.mean(values, axis=0).tolist()
        for name, values in columns.items()
    }
    returns, count = columns["return_mean"], len(evaluations)
    several = count > 1 and None not in returns
    means["return_se"] = float(np.std(returns, ddof=1) / np.sqrt(count)) if several else None
    return means
