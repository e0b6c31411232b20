"""What the loop asks of a combiner: how robots' losses become steps of the one actor they share.

A combiner is its configuration, a frozen dataclass, as an algorithm is; and it knows nothing of the
algorithm but a function that gives each robot's loss.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from bodyplan.learn.algorithms.algorithm import ActorBatch, Metrics, apply_gradients
from bodyplan.learn.networks.architectures import ActorNetwork

GroupIndices = tuple[tuple[int, ...], ...]
"""A partition of the robots, as positions in the batch."""

ActorLosses = Callable[[ActorNetwork, ActorBatch, PRNGKeyArray], tuple[Float[Array, "R"], Metrics]]
"""Each robot's loss; what `Algorithm.actor_losses` gives once the critic is fixed."""


class ActorState(NamedTuple):
    """What a turn of the actor changes."""

    policy: ActorNetwork
    optimiser: optax.OptState
    combiner: PyTree
    """The combiner's own memory; `()` where it needs none."""


@runtime_checkable
class Combiner(Protocol):
    """One way for robots to share an actor."""

    def init(self, policy: ActorNetwork, groups: GroupIndices) -> PyTree:
        """The combiner's own memory at the start."""
        ...

    def step(
        self,
        actor: ActorState,
        losses: ActorLosses,
        optimiser: optax.GradientTransformation,
        batch: ActorBatch,
        groups: GroupIndices,
        key: PRNGKeyArray,
    ) -> tuple[ActorState, Metrics]:
        """The actor's turn: one or more optimiser steps on this batch; metrics `[R]`."""
        ...


def mean_step(
    actor: ActorState,
    losses: ActorLosses,
    optimiser: optax.GradientTransformation,
    batch: ActorBatch,
    key: PRNGKeyArray,
) -> tuple[ActorState, Metrics]:
    """One optimiser step on the mean over the batch's robots."""

    def mean_loss(policy: ActorNetwork) -> tuple[Array, Metrics]:
        robots, metrics = losses(policy, batch, key)
        return robots.mean(), {"actor/loss": robots, **metrics}

    gradient, metrics = jax.grad(mean_loss, has_aux=True)(actor.policy)
    policy, optimiser_state = apply_gradients(optimiser, actor.policy, gradient, actor.optimiser)
    return ActorState(policy, optimiser_state, actor.combiner), metrics


Carry = TypeVar("Carry")
Told = TypeVar("Told")
Robots = tuple[int, ...]


def step_groups_in_random_order(
    key: PRNGKeyArray,
    groups: Sequence[Robots],
    carry: Carry,
    step: Callable[[Robots, Carry], tuple[Carry, Told]],
) -> tuple[Carry, Told]:
    """Let each group step once; what the steps tell is added up.

    So a step tells of its own robots in their places, and zero of all others.
    """
    branches = [partial(step, robots) for robots in groups]

    def turn(carry: Carry, group: Array) -> tuple[Carry, Told]:
        return jax.lax.switch(group, branches, carry)

    order = jax.random.permutation(key, len(groups))
    carry, told = jax.lax.scan(turn, carry, order)
    return carry, jax.tree.map(lambda values: values.sum(axis=0), told)


def scatter_to_robots(
    values: dict[str, Float[Array, "G"]], robots: Robots, count: int
) -> dict[str, Float[Array, "R"]]:
    """A group's numbers in the places of its robots among `count`, zero elsewhere."""
    places = jnp.array(robots)
    return {name: jnp.zeros(count).at[places].set(own) for name, own in values.items()}
