"""Embodiment grouping (EG): an actor step for each group of robots (arXiv 2602.18025, Algorithm 1).

Robots whose bodies are alike have gradients that agree; averaged over unlike robots they cancel. So
the groups, fixed before training, step the shared actor one after another, in an order drawn anew
for each update. The batch is split, not repeated: M steps cost about as much as a pooled one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from bodyplan.learn.algorithms.algorithm import ActorState, Algorithm, Metrics
from bodyplan.learn.combiners.combiner import Combiner, GroupIndices
from bodyplan.learn.data.batches import Batch
from bodyplan.learn.networks.architectures import ActorNetwork


@dataclass(frozen=True, kw_only=True)
class Grouped(Combiner):
    """The hyperparameter beside the groups."""

    equal: Literal["groups", "robots"] = "groups"
    """What weighs alike in the steps: groups (the paper's), whose loss is the mean over their
    robots, or robots: that loss times the group's share of the robots. Small groups have much to
    say in the first case."""

    def step(
        self,
        algorithm: Algorithm,
        actor: ActorState,
        critic: PyTree,
        batch: Batch,
        groups: GroupIndices,
        key: PRNGKeyArray,
    ) -> tuple[ActorState, Metrics]:
        """One step for each group; all groups share the actor and its optimiser's state."""
        order_key, loss_key = jax.random.split(key)

        def gradient_of(robots: Sequence[int], policy: ActorNetwork) -> tuple[PyTree, Metrics]:
            group = batch.select(robots)
            gradient, metrics = algorithm.actor_gradient(policy, critic, group, loss_key)
            if self.equal == "robots":
                share = len(robots) * len(groups) / batch.num_robots
                gradient = jax.tree.map(lambda own: share * own, gradient)
            return gradient, scatter_to_robots(metrics, robots, batch.num_robots)

        # A switch inside a scan: every group's gradient is compiled once, whatever the order.
        branches = [partial(gradient_of, robots) for robots in groups]

        def group_step(actor: ActorState, group: Int[Array, ""]) -> tuple[ActorState, Metrics]:
            gradient, metrics = jax.lax.switch(group, branches, actor.policy)
            metrics |= algorithm.gradient_metrics(gradient)
            return algorithm.actor_step(actor, gradient), metrics

        order = jax.random.permutation(order_key, len(groups))
        actor, metrics = jax.lax.scan(group_step, actor, order)
        return actor, join_groups(metrics, order)


def join_groups(metrics: Metrics, order: Int[Array, "M"]) -> Metrics:
    """One update's metrics from those of its M steps.

    Args:
        metrics: on a leading axis of steps; `[M, R]` is zero for robots of other groups.
        order: each step's group.

    Returns:
        Arrays `[R]`. Of what is one number for a step their mean, and under `<name>/group<m>` each
        group's where there are several.
    """
    joined: Metrics = {}
    for name, values in metrics.items():
        joined[name] = values.sum(axis=0) if values.ndim > 1 else values.mean()
        if values.ndim == 1 < len(values):
            own = jnp.zeros_like(values).at[order].set(values)
            joined |= {f"{name}/group{group}": own[group] for group in range(len(values))}
    return joined


def scatter_to_robots(values: PyTree, robots: Sequence[int] | Array, count: int) -> PyTree:
    """Arrays `[G, ...]` of some robots in their places among `count`, zero elsewhere; numbers stay
    as they are.
    """
    places = jnp.asarray(robots)

    def scatter(own: Array) -> Array:
        if not own.ndim:
            return own
        return jnp.zeros((count, *own.shape[1:]), own.dtype).at[places].set(own)

    return jax.tree.map(scatter, values)
