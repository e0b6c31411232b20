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
from bodyplan.learn.combiners.combiner import ActorLosses, ActorState, Groups, mean_step
from bodyplan.learn.combiners.turns import in_places, take_turns
from bodyplan.learn.networks.families import Policy


@dataclass(frozen=True)
class Grouped:
    """No hyperparameters beyond the groups."""

    def init(self, policy: Policy, groups: Groups) -> tuple[()]:
        """Nothing to remember."""
        return ()

    def step(
        self,
        actor: ActorState,
        losses: ActorLosses,
        optimiser: optax.GradientTransformation,
        batch: ActorBatch,
        groups: Groups,
        key: PRNGKeyArray,
    ) -> tuple[ActorState, Metrics]:
        """One step a group, in random order; all share the actor and its optimiser's state."""
        order_key, loss_key = jax.random.split(key)

        def step(robots: tuple[int, ...], actor: ActorState) -> tuple[ActorState, Metrics]:
            actor, metrics = mean_step(actor, losses, optimiser, batch.select(robots), loss_key)
            return actor, in_places(metrics, robots, len(batch.batches))

        return take_turns(order_key, groups, actor, step)
