"""An algorithm that consists of given actor losses, to test combiners with."""

from collections.abc import Callable
from dataclasses import dataclass

from bodyplan.learn.algorithms.algorithm import Algorithm


@dataclass(frozen=True, kw_only=True)
class ActorOnly(Algorithm):
    losses: Callable
    """(policy, batch, key) to losses `[R]` and metrics."""
    learning_rate: float = 0.1

    def init(self, rng, sizes):
        raise NotImplementedError

    def critic_update(self, critic, actor, batches, descriptors, key):
        raise NotImplementedError

    def actor_losses(self, actor, critic, batch, key):
        return self.losses(actor, batch, key)
