"""Implicit Q-learning (Kostrikov et al. 2021, arXiv 2110.06169) over many robots.

V is an upper expectile of the target Q over the data's actions, Q learns from V, and the actor
imitates the data's actions weighted by exp(beta (Q - V)). No action outside the data is ever
valued. Order of an update: V(s') and the advantage from the parameters before it; V; Q; the actor,
with that advantage; the targets. Bootstrapping stops where the robot fell, not at a time limit.
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
    apply_gradients,
    clipped_adam,
    imitation_losses,
    q_step,
    weight_metrics,
    weighted_losses,
)
from bodyplan.learn.data.device_batches import Batch
from bodyplan.learn.distributed import batch_mean, batch_std
from bodyplan.learn.networks.architectures import (
    ActorNetwork,
    Sizes,
    TwinQNetwork,
    ValueNetwork,
    architecture_of,
)
from bodyplan.robots.descriptors import RobotDescriptor


class IQLCritic(eqx.Module):
    """All that learns beside the actor."""

    value: ValueNetwork
    q: TwinQNetwork
    target: TwinQNetwork
    value_optimiser: optax.OptState
    q_optimiser: optax.OptState


@dataclass(frozen=True)
class IQL:
    """Hyperparameters, by default those of the cross-embodiment paper (arXiv 2602.18025)."""

    expectile: float = 0.7
    """Expectile of Q over the data's actions that V estimates; 0.5 is the mean."""
    beta: float = 3.0
    """Inverse temperature of the weights exp(beta * advantage); 0 is behaviour cloning."""
    weight_clip: float = 100.0
    """Largest weight of a sample."""
    gamma: float = 0.99
    """Discount."""
    tau: float = 0.005
    """Share of Q that its target takes over in each update."""
    learning_rate: float = 3e-4
    """Adam's, for V, Q and the actor alike."""
    gradient_clip: float = 0.5
    """Largest global norm of the gradient of each of V, Q and the actor."""
    actor_decay: int = 0
    """Actor steps (updates times groups) in which its rate falls to 0 as a cosine; 0: constant."""
    log_probability: Reduction = "mean"
    """Over a robot's joints; the sum gives robots with many joints more weight."""

    actor_every: ClassVar[int] = 1

    def init(self, rng: np.random.Generator, sizes: Sizes) -> tuple[ActorNetwork, IQLCritic]:
        """Fresh networks; the target starts as Q."""
        heads = architecture_of(sizes)
        policy, value, q = (
            heads.policy(rng, sizes),
            heads.value(rng, sizes),
            heads.twin_q(rng, sizes),
        )
        optimiser = self._critic_optimiser()
        critic = IQLCritic(value, q, q, optimiser.init(value), optimiser.init(q))
        return policy, critic

    def actor_optimiser(self) -> optax.GradientTransformation:
        return clipped_adam(self.learning_rate, self.gradient_clip, self.actor_decay)

    def _critic_optimiser(self) -> optax.GradientTransformation:
        """For V and Q."""
        return clipped_adam(self.learning_rate, self.gradient_clip)

    def critic_update(
        self,
        critic: IQLCritic,
        actor: ActorNetwork,
        batches: Sequence[Batch],
        descriptors: Sequence[RobotDescriptor],
        key: PRNGKeyArray,
    ) -> tuple[IQLCritic, tuple[Float[Array, "B"], ...], Metrics]:
        """One step of V, one of Q; the actor's weights, one array a robot."""
        seen = TransitionBatch.of(batches, descriptors)
        next_values = critic.value.over_robots(seen.next_observations, seen.next_bodies)
        returns = seen.returns(self.gamma, jnp.stack(next_values))
        target = critic.target.over_robots(seen.observations, seen.actions, seen.bodies)
        target_q = jnp.stack(target).min(axis=1)

        def value_loss(value: ValueNetwork) -> tuple[Array, tuple[Array, Array]]:
            advantages = target_q - jnp.stack(value.over_robots(seen.observations, seen.bodies))
            losses = batch_mean(expectile_loss(advantages, self.expectile))
            return weighted_losses(losses, batches).mean(), (losses, advantages)

        optimiser = self._critic_optimiser()
        gradient, (losses, advantages) = jax.grad(value_loss, has_aux=True)(critic.value)
        value, value_state = apply_gradients(
            optimiser, critic.value, gradient, critic.value_optimiser
        )
        q, q_state, _, metrics = q_step(
            critic.q, critic.q_optimiser, optimiser, seen, batches, returns
        )
        weights = self.weights(advantages)
        metrics |= {
            "critic/v_loss": losses,
            "critic/advantage_std": batch_std(advantages),
            **weight_metrics(weights, self.weight_clip),
        }
        return IQLCritic(value, q, critic.target, value_state, q_state), tuple(weights), metrics

    def weights(self, advantages: Float[Array, "..."]) -> Float[Array, "..."]:
        """exp(beta A), clipped."""
        return jnp.minimum(jnp.exp(self.beta * advantages), self.weight_clip)

    def actor_losses(
        self, actor: ActorNetwork, critic: IQLCritic, batch: ActorBatch, key: PRNGKeyArray
    ) -> tuple[Float[Array, "R"], Metrics]:
        """Advantage-weighted regression: -mean(w log pi(a|s)) of each robot."""
        return imitation_losses(actor, batch, batch.targets, self.log_probability)

    def settle(self, actor: ActorNetwork, critic: IQLCritic, batch: ActorBatch) -> ActorBatch:
        """The batch as it is: every robot's loss is its own."""
        return batch

    def move_targets(self, critic: IQLCritic, actor: ActorNetwork) -> IQLCritic:
        """Target Q a little nearer to Q."""
        target = optax.incremental_update(critic.q, critic.target, self.tau)
        return eqx.tree_at(lambda critic: critic.target, critic, target)

    def act(
        self, actor: ActorNetwork, observation: Observation, descriptor: RobotDescriptor
    ) -> Float[Array, "batch joints"]:
        """The mean action."""
        return actor(observation, descriptor)[0]


def expectile_loss(difference: Float[Array, "..."], expectile: float) -> Float[Array, "..."]:
    """|expectile - 1[u < 0]| u^2: squares weighted by their side (arXiv 2110.06169, eq. 5)."""
    return jnp.where(difference > 0, expectile, 1.0 - expectile) * jnp.square(difference)
