"""Gradient surgery: each robot's own actor gradient, and steps along weighted sums of them.

PCGrad, CAGrad and Aligned-MTL differ only in the weights, and all three find them from the inner
products of the gradients alone. So such a method is one function from the Gram matrix `[R, R]`,
which is tiny, to weights `[R]`; what is large, the gradients, is touched twice.

A robot's gradient comes from its own part of the batch, by a loss that sees no other robot. All of
them cost little more than the pooled one: each sample still goes forward and back once.
"""

from abc import abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from bodyplan.learn.algorithms.algorithm import (
    ActorState,
    Algorithm,
    Metrics,
)
from bodyplan.learn.combiners.combiner import Combiner, GroupIndices
from bodyplan.learn.data.batches import Batch
from bodyplan.learn.networks.architectures import ActorNetwork


class RobotGradients(NamedTuple):
    """All robots' actor gradients at one point."""

    gradients: Float[Array, "R P"]
    """Over all parameters as one vector, in the order of `ravel_pytree`."""
    metrics: Metrics
    """`[R]`; among them `actor/loss`."""

    @property
    def gram(self) -> Float[Array, "R R"]:
        """Inner products; in full precision, for their signs decide."""
        return jnp.matmul(self.gradients, self.gradients.T, precision="highest")


def robot_gradients(
    algorithm: Algorithm,
    policy: ActorNetwork,
    critic: PyTree,
    batch: Batch,
    key: PRNGKeyArray,
) -> RobotGradients:
    """Every robot's gradient of its own loss, before any clipping.

    Robots of one build run as one `vmap`. Each has its own noise where the losses draw some, so
    other robots in the batch do not change it.
    """
    batch = algorithm.fix_batch_statistics(policy, critic, batch)

    def gradient(batch: Batch) -> tuple[Float[Array, "P"], Metrics]:
        def loss(policy: ActorNetwork) -> tuple[Array, Metrics]:
            losses, metrics = algorithm.actor_losses(policy, critic, batch, key)
            return batch.weighted(losses)[0], {"actor/loss": losses, **metrics}

        gradient, metrics = jax.grad(loss, has_aux=True)(policy)
        return ravel_pytree(gradient)[0], jax.tree.map(lambda values: values[0], metrics)

    found = []
    for number, build in enumerate(batch.builds):
        one = partial(batch.one_robot, number)
        found.append(
            jax.vmap(lambda robot, one=one: gradient(one(robot)))(jnp.arange(len(build.reward)))
        )
    return RobotGradients(*jax.tree.map(lambda *pieces: jnp.concatenate(pieces), *found))


@dataclass(frozen=True, kw_only=True)
class GradientSurgery(Combiner):
    """A combiner that takes one step along a weighted sum of the robots' gradients."""

    @abstractmethod
    def weigh(self, gram: Float[Array, "R R"], key: PRNGKeyArray) -> Float[Array, "R"]:
        """From the gradients' inner products to what each gradient weighs in the step."""

    def step(
        self,
        algorithm: Algorithm,
        actor: ActorState,
        critic: PyTree,
        batch: Batch,
        groups: GroupIndices,
        key: PRNGKeyArray,
    ) -> tuple[ActorState, Metrics]:
        """One optimiser step; the groups do not matter.

        The metrics tell how much each robot is at odds with the others: the share of them whose
        gradients oppose its own, and the mean cosine with theirs.
        """
        loss_key, weigh_key = jax.random.split(key)
        robots = robot_gradients(algorithm, actor.policy, critic, batch, loss_key)
        gram = robots.gram
        unravel = ravel_pytree(actor.policy)[1]
        weights = self.weigh(gram, weigh_key)
        direction = jnp.matmul(weights, robots.gradients, precision="highest")
        gradient = unravel(direction)
        return algorithm.actor_step(actor, gradient), {
            **robots.metrics,
            **conflict_metrics(gram),
            **algorithm.gradient_metrics(gradient),
        }


def conflict_metrics(gram: Float[Array, "R R"]) -> dict[str, Float[Array, "R"]]:
    """Each robot's share of negative cosines with the other robots', and their mean."""
    count = len(gram)
    others = cosines(gram) * (1.0 - jnp.eye(count))
    pairs = max(count - 1, 1)
    return {
        "actor/conflict": (others < 0.0).sum(axis=1) / pairs,
        "actor/cosine": others.sum(axis=1) / pairs,
    }


def cosines(gram: Float[Array, "R R"]) -> Float[Array, "R R"]:
    """Of the angles between gradients; 0 with a gradient that vanishes."""
    norms = jnp.sqrt(jnp.diag(gram))
    scale = jnp.outer(norms, norms)
    return jnp.where(scale > 0.0, gram / jnp.where(scale > 0.0, scale, 1.0), 0.0)
