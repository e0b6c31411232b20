"""AWAC (Nair et al. 2020, arXiv 2006.09359) over many robots.

Twin Q learns from the lower of its targets at an action that the policy draws in the next state,
and the actor imitates the data's actions weighted by exp(A / lambda), where A says how much better
the data's action is than one of the policy's own. Order of an update: advantages and targets from
the parameters before it; Q; the actor, with those advantages; the targets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from bodyplan.envs.walking_task import Observation
from bodyplan.learn.algorithms.algorithm import (
    ActorBatch,
    Metrics,
    Reduction,
    TransitionBatch,
    clipped_adam,
    imitation_losses,
    q_step,
    weight_metrics,
)
from bodyplan.learn.data.device_batches import Batch
from bodyplan.learn.distributed import batch_std, normal_like
from bodyplan.learn.networks.architectures import ActorNetwork, Sizes, TwinQNetwork, architecture_of
from bodyplan.learn.networks.body_batch import Body
from bodyplan.robots.descriptors import RobotDescriptor


class AWACCritic(eqx.Module):
    """All that learns, or follows, beside the actor."""

    q: TwinQNetwork
    target: TwinQNetwork
    q_optimiser: optax.OptState


@dataclass(frozen=True)
class AWAC:
    """Hyperparameters: AWAC's own temperature, else those of the cross-embodiment paper's IQL."""

    temperature: float = 1.0
    """lambda in the weights exp(A / lambda)."""
    weight_clip: float = 100.0
    """Largest weight of a sample."""
    gamma: float = 0.99
    """Discount."""
    tau: float = 0.005
    """Share of Q that its target takes over in each update."""
    learning_rate: float = 3e-4
    """Adam's, for Q and the actor alike."""
    gradient_clip: float = 0.5
    """Largest global norm of the gradient of each of Q and the actor."""
    actor_decay: int = 0
    """Actor steps (updates times groups) in which its rate falls to 0 as a cosine; 0: constant."""
    log_probability: Reduction = "mean"
    """Over a robot's joints; the sum gives robots with many joints more weight."""

    actor_every: ClassVar[int] = 1

    def init(self, rng: np.random.Generator, sizes: Sizes) -> tuple[ActorNetwork, AWACCritic]:
        """Fresh networks; the target starts as Q."""
        heads = architecture_of(sizes)
        policy, q = heads.policy(rng, sizes), heads.twin_q(rng, sizes)
        return policy, AWACCritic(q, q, self._critic_optimiser().init(q))

    def actor_optimiser(self) -> optax.GradientTransformation:
        return clipped_adam(self.learning_rate, self.gradient_clip, self.actor_decay)

    def _critic_optimiser(self) -> optax.GradientTransformation:
        return clipped_adam(self.learning_rate, self.gradient_clip)

    def critic_update(
        self,
        critic: AWACCritic,
        actor: ActorNetwork,
        batches: Sequence[Batch],
        descriptors: Sequence[RobotDescriptor],
        key: PRNGKeyArray,
    ) -> tuple[AWACCritic, tuple[Float[Array, "B"], ...], Metrics]:
        """One step of Q; the actor's weights, one array a robot."""
        seen = TransitionBatch.of(batches, descriptors)
        own_key, next_key = jax.random.split(key)
        following = _drawn(actor, seen.next_observations, seen.next_bodies, next_key)
        next_q = critic.target.over_robots(seen.next_observations, following, seen.next_bodies)
        returns = seen.returns(self.gamma, jnp.stack(next_q).min(axis=1))
        own = _drawn(actor, seen.observations, seen.bodies, own_key)
        own_q = jnp.stack(critic.q.over_robots(seen.observations, own, seen.bodies)).min(axis=1)
        q, state, values, metrics = q_step(
            critic.q, critic.q_optimiser, self._critic_optimiser(), seen, batches, returns
        )
        advantages = values.min(axis=1) - own_q
        weights = jnp.minimum(jnp.exp(advantages / self.temperature), self.weight_clip)
        metrics |= {
            "critic/advantage_std": batch_std(advantages),
            **weight_metrics(weights, self.weight_clip),
        }
        return AWACCritic(q, critic.target, state), tuple(weights), metrics

    def actor_losses(
        self, actor: ActorNetwork, critic: AWACCritic, batch: ActorBatch, key: PRNGKeyArray
    ) -> tuple[Float[Array, "R"], Metrics]:
        """Advantage-weighted imitation: -mean(w log pi(a|s)) of each robot."""
        return imitation_losses(actor, batch, batch.targets, self.log_probability)

    def settle(self, actor: ActorNetwork, critic: AWACCritic, batch: ActorBatch) -> ActorBatch:
        """The batch as it is: every robot's loss is its own."""
        return batch

    def move_targets(self, critic: AWACCritic, actor: ActorNetwork) -> AWACCritic:
        """Target Q a little nearer to Q."""
        target = optax.incremental_update(critic.q, critic.target, self.tau)
        return eqx.tree_at(lambda critic: critic.target, critic, target)

    def act(
        self, actor: ActorNetwork, observation: Observation, descriptor: RobotDescriptor
    ) -> Float[Array, "batch joints"]:
        """The mean action."""
        return actor(observation, descriptor)[0]


def _drawn(
    actor: ActorNetwork,
    observations: Sequence[Observation],
    bodies: Sequence[Body],
    key: PRNGKeyArray,
) -> list[Float[Array, "B J"]]:
    """An action of each robot's every sample, drawn from the policy."""
    gaussians = actor.over_robots(observations, bodies)
    keys = jax.random.split(key, len(gaussians))
    return [
        mean + std * normal_like(own, mean)
        for own, (mean, std) in zip(keys, gaussians, strict=True)
    ]
