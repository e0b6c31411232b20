"""An algorithm of given actor losses, and batches of nothing but goals, to test combiners with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from bodyplan.learn.algorithms.algorithm import Algorithm
from bodyplan.learn.data.batches import Batch


@dataclass(frozen=True, kw_only=True)
class ActorOnly(Algorithm):
    losses: Callable
    """(policy, batch, key) to losses `[R]` and metrics."""
    learning_rate: float = 0.1

    def init(self, rng, sizes):
        raise NotImplementedError

    def critic_update(self, critic, actor, batch, key):
        raise NotImplementedError

    def actor_losses(self, actor, critic, batch, key):
        return self.losses(actor, batch, key)


class Crowd(NamedTuple):
    """Stands for a build of whose robots only the number matters."""

    reward: jax.Array

    def take(self, robots):
        return Crowd(self.reward[jnp.atleast_1d(jnp.asarray(robots))])


def batch_of(goals):
    """A batch of robots that have nothing but a number each, as its key, and a goal."""
    numbers = jnp.arange(len(goals), dtype=jnp.uint32)
    return Batch((Crowd(jnp.zeros(len(goals))),), jnp.ones(len(goals)), numbers, jnp.asarray(goals))
