"""Whole episodes under a policy, all of a robot's side by side.

A fixed number of episodes, one for each simulated robot, each lived to its own end: nothing is
reset on the way, so short and long episodes count alike.
"""

from collections.abc import Callable
from typing import NamedTuple, TypedDict

import numpy as np
from jaxtyping import Float, Int

from bodyplan.envs.environment import Environment
from bodyplan.envs.walking_task import Observation

ActFunction = Callable[[Observation], Float[np.ndarray, "N J"]]


class Outcome(NamedTuple):
    """E finished episodes."""

    returns: Float[np.ndarray, "E"]
    lengths: Int[np.ndarray, "E"]
    velocity_errors: Float[np.ndarray, "E"]
    """Mean distance between wanted and actual (vx, vy) over the episode, m/s."""


def rollout(environment: Environment, policy: ActFunction) -> Outcome:
    """Live one episode with each robot of the environment, from a fresh reset."""
    count = environment.num_envs
    returns, errors = np.zeros(count), np.zeros(count)
    lengths, alive = np.zeros(count, np.int64), np.ones(count, bool)
    observation = environment.reset()
    wanted = environment.command[:, :2]
    while alive.any():
        step = environment.step(policy(observation))
        observation = step.observation
        returns += np.where(alive, step.reward, 0.0)
        errors += np.where(alive, np.linalg.norm(step.velocity[:, :2] - wanted, axis=1), 0.0)
        lengths += alive
        alive &= ~(step.terminated | step.truncated)
    return Outcome(returns, lengths, errors / lengths)


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
