"""Whole episodes under a policy, all of a robot's side by side.

A fixed number of episodes, one for each simulated robot, each lived to its own end: nothing is
reset on the way, so short and long episodes count alike.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from bodyplan.envs.environment import Environment
from bodyplan.envs.walking import Observation

Policy = Callable[[Observation], Float[np.ndarray, "N J"]]


class Outcome(NamedTuple):
    """E finished episodes."""

    returns: Float[np.ndarray, "E"]
    lengths: Int[np.ndarray, "E"]
    velocity_errors: Float[np.ndarray, "E"]
    """Mean distance between wanted and actual (vx, vy) over the episode, m/s."""


def rollout(environment: Environment, policy: Policy) -> Outcome:
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
