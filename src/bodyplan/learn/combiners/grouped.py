"""Embodiment grouping: a step for each group of similar robots (arXiv 2602.18025, Algorithm 1).

Robots whose bodies are alike have gradients that agree; averaged over unlike ones they cancel. So
the groups, fixed before training, step the shared actor one after another, in an order drawn anew
each time. The batch is split, not repeated: M steps cost about as much as a pooled one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, PRNGKeyArray

from bodyplan.learn.algorithms.algorithm import ActorBatch, Metrics
from bodyplan.learn.combiners.combiner import ActorLosses, ActorState, Groups, mean_step
from bodyplan.learn.networks.heads import Policy


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

        def step_of(robots: tuple[int, ...]) -> Callable[[ActorState], tuple[ActorState, Metrics]]:
            def step(actor: ActorState) -> tuple[ActorState, Metrics]:
                members = batch.select(robots)
                actor, metrics = mean_step(actor, losses, optimiser, members, loss_key)
                return actor, _spread(metrics, robots, len(batch.batches))

            return step

        def turn(actor: ActorState, group: Int[Array, ""]) -> tuple[ActorState, Metrics]:
            return jax.lax.switch(group, [step_of(robots) for robots in groups], actor)

        order = jax.random.permutation(order_key, len(groups))
        actor, metrics = jax.lax.scan(turn, actor, order)
        return actor, jax.tree.map(lambda values: values.sum(axis=0), metrics)


def _spread(metrics: Metrics, robots: tuple[int, ...], count: int) -> Metrics:
    """A group's metrics in the places of its robots among `count`, zero elsewhere."""
    places = jnp.array(robots)
    return {name: jnp.zeros(count).at[places].set(values) for name, values in metrics.items()}
