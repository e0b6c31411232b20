"""One step of twin Q towards given values: what all algorithms with critics have in common."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from bodyplan.datasets.mixture import Batch
from bodyplan.envs.walking import Observation
from bodyplan.learn.algorithms.algorithm import Metrics, weigh
from bodyplan.learn.networks.families import TwinQ
from bodyplan.learn.networks.specimens import Body, bodies_of
from bodyplan.learn.optimiser import descend
from bodyplan.learn.shards import batch_mean
from bodyplan.robots.descriptors import RobotDescriptor


class Transitions(NamedTuple):
    """A batch as networks read it: in each field one entry a robot."""

    observations: tuple[Observation, ...]
    bodies: tuple[Body, ...]
    actions: tuple[Float[Array, "B J"], ...]
    rewards: Float[Array, "R B"]
    next_observations: tuple[Observation, ...]
    next_bodies: tuple[Body, ...]
    going_on: Float[Array, "R B"]
    """0 where the robot fell; 1 elsewhere, time limits included: values bootstrap through them."""

    @classmethod
    def of(cls, batches: Sequence[Batch], descriptors: Sequence[RobotDescriptor]) -> "Transitions":
        return cls(
            observations=tuple(batch.observation for batch in batches),
            bodies=bodies_of(descriptors, [batch.descriptor_ids for batch in batches]),
            actions=tuple(batch.action for batch in batches),
            rewards=jnp.stack([batch.reward for batch in batches]),
            next_observations=tuple(batch.next_observation for batch in batches),
            next_bodies=bodies_of(descriptors, [batch.next_descriptor_ids for batch in batches]),
            going_on=1.0 - jnp.stack([batch.terminated for batch in batches]),
        )

    def returns(self, gamma: float, next_values: Float[Array, "R B"]) -> Float[Array, "R B"]:
        """r + gamma V(s') where there is a next state."""
        return self.rewards + gamma * self.going_on * next_values


def q_step(
    q: TwinQ,
    state: optax.OptState,
    optimiser: optax.GradientTransformation,
    seen: Transitions,
    batches: Sequence[Batch],
    returns: Float[Array, "R B"],
) -> tuple[TwinQ, optax.OptState, Float[Array, "R 2 B"], Metrics]:
    """Both Q a step towards `returns`, in squares; with what they said before it."""

    def loss(q: TwinQ) -> tuple[Array, tuple[Array, Array]]:
        values = jnp.stack(q.over_robots(seen.observations, seen.actions, seen.bodies))
        losses = batch_mean(jnp.square(values - returns[:, None]).sum(axis=1))
        return weigh(losses, batches).mean(), (losses, values)

    gradient, (losses, values) = jax.grad(loss, has_aux=True)(q)
    q, state = descend(optimiser, q, gradient, state)
    metrics = {"critic/q_loss": losses, "critic/q_mean": batch_mean(values.mean(axis=1))}
    return q, state, values, metrics
