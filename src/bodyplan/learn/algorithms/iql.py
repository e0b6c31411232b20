"""Implicit Q-learning (Kostrikov et al. 2021, arXiv 2110.06169) over many robots.

V is an upper expectile of the target Q over the data's actions, Q learns from V, and the actor
imitates the data's actions weighted by exp(beta (Q - V)). No action outside the data is ever
valued. Order of an update: V(s') and the advantage from the parameters before it; V; Q; the actor,
with that advantage; the targets. Bootstrapping stops where the robot fell, not at a time limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from bodyplan.datasets.mixture import Batch
from bodyplan.envs.walking import Observation
from bodyplan.learn.algorithms.algorithm import ActorBatch, Metrics, weigh
from bodyplan.learn.networks.heads import Policy, TwinQ, Value
from bodyplan.learn.networks.specimens import bodies_of
from bodyplan.learn.networks.urma import NetworkSizes
from bodyplan.learn.optimiser import clipped_adam, descend
from bodyplan.robots.descriptors import RobotDescriptor


class IQLCritic(eqx.Module):
    """All that learns beside the actor."""

    value: Value
    q: TwinQ
    target: TwinQ
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
    log_probability: Literal["mean", "sum"] = "mean"
    """Over a robot's joints; the sum gives robots with many joints more weight."""

    actor_every: ClassVar[int] = 1

    def init(self, rng: np.random.Generator, sizes: NetworkSizes) -> tuple[Policy, IQLCritic]:
        """Fresh networks; the target starts as Q."""
        policy, value, q = Policy(rng, sizes), Value(rng, sizes), TwinQ(rng, sizes)
        optimiser = self._critic_optimiser()
        critic = IQLCritic(value, q, q, optimiser.init(value), optimiser.init(q))
        return policy, critic

    def actor_optimiser(self) -> optax.GradientTransformation:
        if not self.actor_decay:
            return clipped_adam(self.learning_rate, self.gradient_clip)
        schedule = optax.cosine_decay_schedule(self.learning_rate, self.actor_decay)
        return clipped_adam(schedule, self.gradient_clip)

    def _critic_optimiser(self) -> optax.GradientTransformation:
        """For V and Q."""
        return clipped_adam(self.learning_rate, self.gradient_clip)

    def critic_update(
        self,
        critic: IQLCritic,
        actor: Policy,
        batches: Sequence[Batch],
        descriptors: Sequence[RobotDescriptor],
        key: PRNGKeyArray,
    ) -> tuple[IQLCritic, tuple[Float[Array, "B"], ...], Metrics]:
        """One step of V, one of Q; the actor's weights, one array a robot."""
        observations = [batch.observation for batch in batches]
        actions = [batch.action for batch in batches]
        next_observations = [batch.next_observation for batch in batches]
        bodies = bodies_of(descriptors, [batch.descriptor_ids for batch in batches])
        next_bodies = bodies_of(descriptors, [batch.next_descriptor_ids for batch in batches])
        rewards = jnp.stack([batch.reward for batch in batches])
        going_on = 1.0 - jnp.stack([batch.terminated for batch in batches])
        next_values = jnp.stack(critic.value.over_robots(next_observations, next_bodies))
        bootstrapped = rewards + self.gamma * going_on * next_values
        target_q = jnp.stack(critic.target.over_robots(observations, actions, bodies))

        def value_loss(value: Value) -> tuple[Array, tuple[Array, Array]]:
            values = jnp.stack(value.over_robots(observations, bodies))
            advantages = target_q.min(axis=1) - values
            losses = expectile_loss(advantages, self.expectile).mean(-1)
            return weigh(losses, batches).mean(), (losses, advantages)

        def q_loss(q: TwinQ) -> tuple[Array, tuple[Array, Array]]:
            values = jnp.stack(q.over_robots(observations, actions, bodies))
            losses = jnp.square(values - bootstrapped[:, None]).sum(axis=1).mean(-1)
            return weigh(losses, batches).mean(), (losses, values.mean((1, 2)))

        optimiser = self._critic_optimiser()
        value_gradient, (value_losses, advantages) = jax.grad(value_loss, has_aux=True)(
            critic.value
        )
        value, value_optimiser = descend(
            optimiser, critic.value, value_gradient, critic.value_optimiser
        )
        q_gradient, (q_losses, q_means) = jax.grad(q_loss, has_aux=True)(critic.q)
        q, q_optimiser = descend(optimiser, critic.q, q_gradient, critic.q_optimiser)
        weights = self.weights(advantages)
        metrics = {
            "critic/v_loss": value_losses,
            "critic/q_loss": q_losses,
            "critic/q_mean": q_means,
            "critic/advantage_std": advantages.std(-1),
            "actor/weight_mean": weights.mean(-1),
            "actor/weight_std": weights.std(-1),
            "actor/weight_clipped": (weights >= self.weight_clip).mean(-1),
        }
        critic = IQLCritic(value, q, critic.target, value_optimiser, q_optimiser)
        return critic, tuple(weights), metrics

    def weights(self, advantages: Float[Array, "..."]) -> Float[Array, "..."]:
        """exp(beta A), clipped."""
        return jnp.minimum(jnp.exp(self.beta * advantages), self.weight_clip)

    def actor_losses(
        self, actor: Policy, critic: IQLCritic, batch: ActorBatch, key: PRNGKeyArray
    ) -> tuple[Float[Array, "R"], Metrics]:
        """Advantage-weighted regression: -mean(w log pi(a|s)) of each robot."""
        observations = [robot.observation for robot in batch.batches]
        gaussians = actor.over_robots(observations, batch.bodies)
        losses = [
            -(weights * log_probability(robot.action, *gaussian, self.log_probability)).mean()
            for robot, gaussian, weights in zip(
                batch.batches, gaussians, batch.targets, strict=True
            )
        ]
        return jnp.stack(losses), {"actor/std": jnp.stack([std.mean() for _, std in gaussians])}

    def move_targets(self, critic: IQLCritic, actor: Policy) -> IQLCritic:
        """Target Q a little nearer to Q."""
        target = optax.incremental_update(critic.q, critic.target, self.tau)
        return eqx.tree_at(lambda critic: critic.target, critic, target)

    def act(
        self, actor: Policy, observation: Observation, descriptor: RobotDescriptor
    ) -> Float[Array, "batch joints"]:
        """The mean action."""
        return actor(observation, descriptor)[0]


def expectile_loss(difference: Float[Array, "..."], expectile: float) -> Float[Array, "..."]:
    """|expectile - 1[u < 0]| u^2: squares weighted by their side (arXiv 2110.06169, eq. 5)."""
    return jnp.where(difference > 0, expectile, 1.0 - expectile) * jnp.square(difference)


def log_probability(
    action: Float[Array, "B J"],
    mean: Float[Array, "B J"],
    std: Float[Array, "... J"],
    reduction: Literal["mean", "sum"],
) -> Float[Array, "B"]:
    """Log-density of a diagonal Gaussian, averaged or summed over the joints."""
    per_joint = -0.5 * jnp.square((action - mean) / std) - jnp.log(std) - 0.5 * np.log(2 * np.pi)
    return per_joint.mean(-1) if reduction == "mean" else per_joint.sum(-1)
