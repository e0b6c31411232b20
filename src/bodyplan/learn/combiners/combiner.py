"""What the loop asks of a combiner: how robots' losses become steps of the one actor they share.

A combiner is its configuration, a frozen dataclass, as an algorithm is; and it knows nothing of the
algorithm but a function that gives each robot's loss.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from bodyplan.learn.algorithms.algorithm import ActorBatch, Metrics
from bodyplan.learn.networks.families import Policy
from bodyplan.learn.optimiser import descend

Groups = tuple[tuple[int, ...], ...]
"""A partition of the robots, as positions in the batch."""

ActorLosses = Callable[[Policy, ActorBatch, PRNGKeyArray], tuple[Float[Array, "R"], Metrics]]
"""Each robot's loss; what `Algorithm.actor_losses` gives once the critic is fixed."""


class ActorState(NamedTuple):
    """What a turn of the actor changes."""

    policy: Policy
    optimiser: optax.OptState
    combiner: PyTree
    """The combiner's own memory; `()` where it needs none."""


@runtime_checkable
class Combiner(Protocol):
    """One way for robots to share an actor."""

    def init(self, policy: Policy, groups: Groups) -> PyTree:
        """The combiner's own memory at the start."""
        ...

    def step(
        self,
        actor: ActorState,
        losses: ActorLosses,
        optimiser: optax.GradientTransformation,
        batch: ActorBatch,
        groups: Groups,
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

    def mean_loss(policy: Policy) -> tuple[Array, Metrics]:
        robots, metrics = losses(policy, batch, key)
        return robots.mean(), {"actor/loss": robots, **metrics}

    gradient, metrics = jax.grad(mean_loss, has_aux=True)(actor.policy)
    policy, optimiser_state = descend(optimiser, actor.policy, gradient, actor.optimiser)
    return ActorState(policy, optimiser_state, actor.combiner), metrics
