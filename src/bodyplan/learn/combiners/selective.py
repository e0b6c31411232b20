"""Selective grouping: SEL (Jeong and Yoon, ICLR 2025, arXiv 2502.11986).

Robots are grouped anew in every iteration by how much a step for one was seen to help another, and
the groups step the actor one after another on the same batch. B[s, t] is a running mean of what
steps of groups with robot s did to the loss of robot t; affinity propagation makes groups of it.

Three things differ from the authors' code. Losses may be negative here, so a change counts relative
to the loss's size, or to the robots' mean size where that is larger: a log likelihood crosses zero,
and a change divided by almost nothing would leave its trace for thousands of updates. A change is
credited to the group whose step made it, as in the paper (section 4); their loop credits the next
one. And robots that have not yet helped themselves do not blow up what is divided by their own
affinity.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from bodyplan.bounds import CountFromZero, Share
from bodyplan.learn.algorithms.algorithm import (
    ActorState,
    Algorithm,
    Metrics,
    apply_gradients,
)
from bodyplan.learn.combiners.affinity_propagation import affinity_propagation
from bodyplan.learn.combiners.combiner import Combiner, GroupIndices
from bodyplan.learn.data.batches import Batch
from bodyplan.learn.networks.architectures import ActorNetwork

_LEAST_SELF = 0.01
"""Of the mean affinity of robots to themselves."""


class SelectiveState(NamedTuple):
    """What SEL remembers."""

    affinity: Float[Array, "R R"]
    """B[s, t]: the effect of s on t."""
    labels: Int[Array, "R"]
    """Each robot's group in the last iteration, named by one of its robots."""
    iterations: Int[Array, ""]


class GroupSteps(NamedTuple):
    """The actor between the groups' steps."""

    step: Int[Array, ""]
    """Steps done."""
    policy: ActorNetwork
    optimiser: PyTree
    losses: Float[Array, "steps R"]
    """Robots' losses before each step, as far as they are known."""
    gradients: Metrics
    """Sums of `gradient_metrics` over the steps done."""


@dataclass(frozen=True, kw_only=True)
class Selective(Combiner):
    """Hyperparameters, by default the authors' for a handful of tasks."""

    rate: Share = 0.001
    """Share of each new observation in the affinities (their beta)."""
    warm_up: CountFromZero = 100
    """Iterations at the start in which every robot is a group of its own."""

    def init(self, policy: ActorNetwork, groups: GroupIndices) -> SelectiveState:
        """No affinity is known yet; every robot is a group of its own."""
        count = sum(map(len, groups))
        return SelectiveState(
            jnp.zeros((count, count)), jnp.arange(count, dtype=jnp.int32), jnp.int32(0)
        )

    def step(
        self,
        algorithm: Algorithm,
        actor: ActorState,
        critic: PyTree,
        batch: Batch,
        groups: GroupIndices,
        key: PRNGKeyArray,
    ) -> tuple[ActorState, Metrics]:
        """A step for each group in random order, two steps where there is one group.

        The given groups do not matter. All steps see the same noise, or the losses before and after
        a step could not be compared. The metrics are those after all steps.
        """
        order_key, loss_key = jax.random.split(key)
        memory: SelectiveState = actor.combiner
        labels = self._regroup(memory)
        order, count = shuffled(labels, order_key)
        steps = jnp.maximum(count, 2)
        most = max(len(labels), 2)

        def members(step: Int[Array, ""]) -> Bool[Array, "R"]:
            return labels == order[step % count]

        def group_step(now: GroupSteps) -> GroupSteps:
            def group_loss(policy: ActorNetwork) -> tuple[Array, Array]:
                losses, _ = algorithm.actor_losses(policy, critic, batch, loss_key)
                losses = batch.weighted(losses)
                group = members(now.step)
                return jnp.where(group, losses, 0.0).sum() / group.sum(), losses

            gradient, losses = jax.grad(group_loss, has_aux=True)(now.policy)
            policy, state = apply_gradients(
                algorithm.actor_optimiser(), now.policy, gradient, now.optimiser
            )
            sums = jax.tree.map(jnp.add, now.gradients, algorithm.gradient_metrics(gradient))
            known = now.losses.at[now.step].set(losses)
            return GroupSteps(now.step + 1, policy, state, known, sums)

        nothing = algorithm.gradient_metrics(jax.tree.map(jnp.zeros_like, actor.policy))
        none_known = jnp.zeros((most + 1, len(labels)))
        start = GroupSteps(jnp.int32(0), actor.policy, actor.optimiser, none_known, nothing)
        end = jax.lax.while_loop(lambda now: now.step < steps, group_step, start)
        last, metrics = algorithm.actor_losses(end.policy, critic, batch, loss_key)
        losses = end.losses.at[steps].set(batch.weighted(last))

        def update(
            affinity: Float[Array, "R R"], step: Int[Array, ""]
        ) -> tuple[Float[Array, "R R"], None]:
            updated = update_affinity(
                affinity, losses[step], losses[step + 1], members(step), self.rate
            )
            return jnp.where(step < steps, updated, affinity), None

        affinity, _ = jax.lax.scan(update, memory.affinity, jnp.arange(most))
        memory = SelectiveState(affinity, labels, memory.iterations + 1)
        gradients = jax.tree.map(lambda total: total / steps, end.gradients)
        told = {"actor/loss": last, "actor/groups": count.astype(jnp.float32)}
        metrics = {**told, **gradients, **metrics}
        return ActorState(end.policy, end.optimiser, memory), metrics

    def _regroup(self, memory: SelectiveState) -> Int[Array, "R"]:
        """This iteration's groups; the last one's where the clustering does not converge."""

        def recluster(memory: SelectiveState) -> Int[Array, "R"]:
            labels, final = affinity_propagation(affinity_similarities(memory.affinity))
            return jnp.where(final, labels, memory.labels)

        known = memory.iterations >= self.warm_up
        return jax.lax.cond(known, recluster, lambda memory: memory.labels, memory)


def update_affinity(
    affinity: Float[Array, "R R"],
    before: Float[Array, "R"],
    after: Float[Array, "R"],
    members: Bool[Array, "R"],
    rate: float,
) -> Float[Array, "R R"]:
    """The affinities after a group's step.

    Within a group disagreement counts against both: what helps one and harms the other enters as
    minus the help. A robot's affinity to itself never falls by harm.
    """
    sizes = jnp.abs(before)
    least = jnp.maximum(sizes.mean(), jnp.finfo(sizes.dtype).tiny)
    change = (before - after) / jnp.maximum(sizes, least) / members.sum()
    own, other = change[:, None], change[None, :]
    agree = jnp.where(own * other >= 0.0, other, -jnp.maximum(own, other))
    value = jnp.where(members[None, :], agree, other)
    harmed = jnp.diag(change < 0.0)
    return jnp.where(members[:, None] & ~harmed, (1.0 - rate) * affinity + rate * value, affinity)


def affinity_similarities(affinity: Float[Array, "R R"]) -> Float[Array, "R R"]:
    """Affinities relative to what each robot does for itself, the same both ways."""
    own = jnp.diag(affinity)
    least = jnp.maximum(_LEAST_SELF * own.mean(), jnp.finfo(own.dtype).tiny)
    relative = affinity / jnp.maximum(own, least)
    return (relative + relative.T) / 2.0


def shuffled(labels: Int[Array, "R"], key: PRNGKeyArray) -> tuple[Int[Array, "R"], Int[Array, ""]]:
    """The groups' names in random order, before all other numbers; and how many they are."""
    count = len(labels)
    named = jnp.zeros(count, bool).at[labels].set(True)
    drawn = jax.random.permutation(key, count)
    return jnp.argsort(jnp.where(named, drawn, drawn + count)), named.sum()
