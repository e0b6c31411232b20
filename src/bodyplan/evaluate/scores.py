"""From episodes to the numbers that are reported."""

from typing import TypedDict

import numpy as np

from bodyplan.evaluate.rollout import Outcome


class Score(TypedDict):
    """One robot's evaluation."""

    return_mean: float
    return_se: float | None
    """Standard error over episodes; None of a single one."""
    length_mean: float
    """Control steps."""
    velocity_error: float
    """m/s."""
    returns: list[float]


def score(outcome: Outcome) -> Score:
    """Means and the standard error over the episodes of one robot."""
    returns = outcome.returns
    several = len(returns) > 1
    return Score(
        return_mean=float(returns.mean()),
        return_se=float(returns.std(ddof=1) / np.sqrt(len(returns))) if several else None,
        length_mean=float(outcome.lengths.mean()),
        velocity_error=float(outcome.velocity_errors.mean()),
        returns=[round(float(value), 4) for value in returns],
    )
