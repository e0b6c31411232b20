"""Imitation of the data's actions, each as much as it deserves: the actor loss of BC, IQL, AWAC."""

from collections.abc import Sequence
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bodyplan.learn.algorithms.algorithm import ActorBatch, Metrics
from bodyplan.learn.networks.families import Policy
from bodyplan.learn.shards import batch_mean, batch_std

Reduction = Literal["mean", "sum"]
"""Over a robot's joints."""


def imitation_losses(
    actor: Policy,
    batch: ActorBatch,
    weights: Sequence[Float[Array, "B"] | float],
    reduction: Reduction,
) -> tuple[Float[Array, "R"], Metrics]:
    """-mean(w log pi(a|s)) of each robot, and the spread of its actions."""
    observations = [robot.observation for robot in batch.batches]
    gaussians = actor.over_robots(observations, batch.bodies)
    losses = [
        -batch_mean(own * log_probability(robot.action, *gaussian, reduction))
        for robot, gaussian, own in zip(batch.batches, gaussians, weights, strict=True)
    ]
    spreads = [batch_mean(std, None) for _, std in gaussians]
    return jnp.stack(losses), {"actor/std": jnp.stack(spreads)}


def weight_metrics(weights: Float[Array, "R B"], clip: float) -> Metrics:
    """How unlike a robot's weights are: what tells whether advantages have any say."""
    return {
        "actor/weight_mean": batch_mean(weights),
        "actor/weight_std": batch_std(weights),
        "actor/weight_clipped": batch_mean((weights >= clip).astype(jnp.float32)),
    }


def log_probability(
    action: Float[Array, "B J"],
    mean: Float[Array, "B J"],
    std: Float[Array, "... J"],
    reduction: Reduction,
) -> Float[Array, "B"]:
    """Log-density of a diagonal Gaussian, averaged or summed over the joints."""
    per_joint = -0.5 * jnp.square((action - mean) / std) - jnp.log(std) - 0.5 * np.log(2 * np.pi)
    return per_joint.mean(-1) if reduction == "mean" else per_joint.sum(-1)
