"""Means with 95 % confidence intervals, by Student's t."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np


class Estimate(TypedDict):
    """A mean over seeds."""

    mean: float
    interval: float | None
    """Half width of the 95 % confidence interval; None of a single seed."""
    seeds: list[float]


def half_width(standard_error: float, count: int) -> float:
    """Of the interval around a mean of `count` values (the normal one where they are not known)."""
    from scipy.stats import t

    return standard_error * (float(t.ppf(0.975, count - 1)) if count > 1 else 1.96)


def estimate(seeds: Sequence[float]) -> Estimate:
    """The mean over seeds, and how far it may be off."""
    values = np.asarray(seeds, float)
    interval = None
    if len(values) > 1:
        interval = half_width(float(values.std(ddof=1) / np.sqrt(len(values))), len(values))
    return Estimate(mean=float(values.mean()), interval=interval, seeds=values.tolist())
