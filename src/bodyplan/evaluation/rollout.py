"""Rollouts: whole episodes under a policy, side by side, and their scores.

There is one episode for each simulated robot, and each runs to its own end. Nothing is reset in
between, so short and long episodes count alike.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol, TypedDict, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int
from threadpoolctl import threadpool_limits

from bodyplan.envs.environment import Environment
from bodyplan.envs.walking_task import Observation
from bodyplan.robots.descriptors import RobotDescriptor

ActFunction = Callable[[Observation], Float[np.ndarray, "N J"]]
"""From an observation of all N robots to their actions."""


@runtime_checkable
class CrossEmbodimentPolicy(Protocol):
    """A policy that acts on any robot, given the robot's descriptor."""

    def act(
        self, observation: Observation, descriptor: RobotDescriptor
    ) -> Float[np.ndarray, "N J"]:
        """Mean actions; the descriptor has a leading axis of N where the N bodies differ."""
        ...


class RolloutOutcome(NamedTuple):
    """E finished episodes."""

    returns: Float[np.ndarray, "E"]
    """Sum of rewards."""
    lengths: Int[np.ndarray, "E"]
    """Control steps."""
    velocity_errors: Float[np.ndarray, "E"]
    """Mean distance between wanted and actual (vx, vy) over the episode, m/s."""
    velocities: Float[np.ndarray, "E 2"]
    """Mean (vx, vy) of the trunk in its own frame over the episode, m/s."""
    falls: Bool[np.ndarray, "E"]
    """Whether the episode ended in a fall."""


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Multiply matrices on one thread, in this process, within the block.

    The products of one step are too small to share. Threads that wait for each other would take
    longer, and the bits would depend on how many there are.
    """
    with threadpool_limits(1, "blas"):
        yield


def rollout(environment: Environment, policy: ActFunction) -> RolloutOutcome:
    """Run one episode of each robot of the environment, from a fresh reset."""
    count = environment.num_envs
    returns, errors, velocities = np.zeros(count), np.zeros(count), np.zeros((count, 2))
    lengths, falls = np.zeros(count, np.int64), np.zeros(count, bool)
    alive = np.ones(count, bool)
    observation = environment.reset()
    wanted = environment.command[:, :2]
    while alive.any():
        step = environment.step(policy(observation))
        observation, velocity = step.observation, step.velocity[:, :2]
        # What follows the end of an episode does not count.
        returns += np.where(alive, step.reward, 0.0)
        errors += np.where(alive, np.linalg.norm(velocity - wanted, axis=1), 0.0)
        velocities += np.where(alive[:, None], velocity, 0.0)
        lengths += alive
        falls |= alive & step.terminated
        alive &= ~(step.terminated | step.truncated)
    return RolloutOutcome(returns, lengths, errors / lengths, velocities / lengths[:, None], falls)


class RolloutScore(TypedDict):
    """The scores of one robot's episodes."""

    return_mean: float
    return_se: float | None
    """Standard error over episodes; None for a single episode."""
    length_mean: float
    """Control steps."""
    fall_share: float
    """Share of the episodes that ended in a fall, from 0 to 1."""
    velocity: list[float]
    """Mean (vx, vy) over all steps, in the trunk's frame, m/s."""
    velocity_error: float
    """Mean over episodes of the mean distance between wanted and actual (vx, vy), m/s."""
    returns: list[float]
    """The return of each episode."""


def score(outcome: RolloutOutcome) -> RolloutScore:
    """Means over the episodes of one robot, and the standard error of the return."""
    returns = outcome.returns
    several = len(returns) > 1
    return RolloutScore(
        return_mean=float(returns.mean()),
        return_se=float(returns.std(ddof=1) / np.sqrt(len(returns))) if several else None,
        length_mean=float(outcome.lengths.mean()),
        fall_share=float(outcome.falls.mean()),
        velocity=np.average(outcome.velocities, axis=0, weights=outcome.lengths).tolist(),
        velocity_error=float(outcome.velocity_errors.mean()),
        returns=[round(float(value), 4) for value in returns],
    )
