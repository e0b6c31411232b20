"""Embodiment grouping: a step for each group of similar robots (arXiv 2602.18025, Algorithm 1).

Robots whose bodies are alike have gradients that agree; averaged over unlike ones they cancel. So
the groups, fixed before training, step the shared actor one after another, in an order drawn anew
each time. The batch is split, not repeated: M steps cost about as much as a pooled one.
"""

from dataclasses import dataclass

import jax
import optax
from jaxtyping import PRNGKeyArray

from bodyplan.learn.algorithms.algorithm import ActorBatch, Metrics
from bodyplan.learn.combiners.combiner import (
    ActorLosses,
    ActorState,
    GroupIndices,
    mean_step,
    scatter_to_robots,
    step_groups_in_random_order,
)
from bodyplan.learn.networks.architectures import ActorNetwork


@dataclass(frozen=True)
class Grouped:
    """No hyperparameters beyond the groups."""

    def init(self, policy: ActorNetwork, groups: GroupIndices) -> tuple[()]:
        """Nothing to remember."""
        return ()

    def step(
        self,
        actor: ActorState,
        losses: ActorLosses,
        optimiser: optax.GradientTransformation,
        batch: ActorBatch,
        groups: GroupIndices,
        key: PRNGKeyArray,
    ) -> tuple[ActorState, Metrics]:
        """One step a group, in random order; all share the actor and its optimiser's state."""
        order_key, loss_key = jax.random.split(key)

        def step(robots: tuple[int, ...], actor: ActorState) -> tuple[ActorState, Metrics]:
            actor, metrics = mean_step(actor, losses, optimiser, batch.select(robots), loss_key)
            return actor, scatter_to_robots(metrics, robots, len(batch.batches))

        return step_groups_in_random_order(order_key, groups, actor, step)
