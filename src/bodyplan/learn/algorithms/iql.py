"""Implicit Q-learning, IQL (Kostrikov et al. 2021, arXiv 2110.06169), over many robots.

V is an upper expectile of the target Q over the data's actions, Q learns from V, and the actor
imitates the data's actions weighted by exp(beta (Q - V)). No action outside the data is ever
valued. Order of an update: TD targets and advantages from the parameters before it; V; Q; the
actor, with those advantages; the target network. Bootstrapping stops where the robot fell, not at
a time limit.
"""

from dataclasses import dataclass
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from bodyplan.bounds import AboveZero, FromZero, ProperShare, Share
from bodyplan.learn.algorithms.algorithm import (
    Algorithm,
    Judgement,
    Metrics,
    Reduction,
    apply_gradients,
    gradient_metrics,
    log_likelihood_losses,
    twin_q_step,
    weight_metrics,
)
from bodyplan.learn.data.batches import Batch, batch_mean, batch_std
from bodyplan.learn.networks.architectures import (
    ActorNetwork,
    Sizes,
    TwinQNetwork,
    ValueNetwork,
    architecture_of,
)


class IQLCritic(eqx.Module):
    """All that learns beside the actor."""

    value: ValueNetwork
    q: TwinQNetwork
    target: TwinQNetwork
    value_optimiser: optax.OptState
    q_optimiser: optax.OptState


@dataclass(frozen=True, kw_only=True)
class IQL(Algorithm):
    """Hyperparameters of IQL, by default the cross-embodiment paper's (arXiv 2602.18025)."""

    expectile: ProperShare = 0.7
    """Expectile of Q over the data's actions that V estimates; 0.5 is the mean."""
    beta: FromZero = 3.0
    """Inverse temperature of the weights exp(beta * advantage); 0 is behaviour cloning."""
    weight_clip: AboveZero = 100.0
    """Largest weight of a sample."""
    gamma: Share = 0.99
    """Discount."""
    tau: Share = 0.005
    """Share of Q that its target network takes over in each update."""
    advantages: Literal["target", "online"] = "target"
    """The lower of both Q that V is taken from: the target network's (the authors'), or Q's own,
    before its step, as where an update goes V, actor, Q."""
    log_probability: Reduction = "mean"
    """Over a robot's joints; the sum gives robots with many joints more weight."""

    def init(self, rng: np.random.Generator, sizes: Sizes) -> tuple[ActorNetwork, IQLCritic]:
        """Fresh networks; the target network starts as Q."""
        networks = architecture_of(sizes)
        policy = networks.policy(rng, sizes)
        value, q = networks.value(rng, sizes), networks.twin_q(rng, sizes)
        optimiser = self.critic_optimiser()
        return policy, IQLCritic(value, q, q, optimiser.init(value), optimiser.init(q))

    def critic_update(
        self, critic: IQLCritic, actor: ActorNetwork, batch: Batch, key: PRNGKeyArray
    ) -> tuple[IQLCritic, Float[Array, "R B"], Metrics]:
        """One step of V and one of Q; returns the actor's weights."""
        # r + gamma V(s'), the target of Q (eq. 6).
        next_values = critic.value.over_robots(batch.next_observations, batch.next_bodies)
        td_targets = batch.td_targets(self.gamma, next_values)
        twin_targets = critic.target.over_robots(batch.observations, batch.actions, batch.bodies)
        target_q = twin_targets.min(axis=0)

        def value_loss(value: ValueNetwork) -> tuple[Array, tuple[Array, Array]]:
            """Expectile regression of V on the target Q (eq. 5)."""
            advantages = target_q - value.over_robots(batch.observations, batch.bodies)
            losses = batch_mean(expectile_loss(advantages, self.expectile))
            return batch.weighted(losses).mean(), (losses, advantages)

        optimiser = self.critic_optimiser()
        gradient, (losses, advantages) = jax.grad(value_loss, has_aux=True)(critic.value)
        value, value_state = apply_gradients(
            optimiser, critic.value, gradient, critic.value_optimiser
        )
        q, q_state, _, metrics = twin_q_step(
            critic.q, critic.q_optimiser, optimiser, batch, td_targets, self.gradient_clip
        )
        if self.advantages == "online":
            own_q = critic.q.over_robots(batch.observations, batch.actions, batch.bodies)
            advantages = advantages - target_q + own_q.min(axis=0)
        weights = self.weights(advantages)
        metrics |= {
            "critic/v_loss": losses,
            "critic/advantage_std": batch_std(advantages),
            **gradient_metrics("critic/v_", gradient, self.gradient_clip),
            **weight_metrics(weights, self.weight_clip),
        }
        return IQLCritic(value, q, critic.target, value_state, q_state), weights, metrics

    def judge(
        self, critic: IQLCritic, actor: ActorNetwork, batch: Batch, key: PRNGKeyArray
    ) -> Judgement:
        """Q and V of the data's actions, and the weights that the actor would have."""
        samples = batch.observations, batch.actions, batch.bodies
        judges = critic.q if self.advantages == "online" else critic.target
        lower_q = judges.over_robots(*samples).min(axis=0)
        value = critic.value.over_robots(batch.observations, batch.bodies)
        q = critic.q.over_robots(*samples).mean(axis=0)
        return Judgement(q, value, self.weights(lower_q - value))

    def weights(self, advantages: Float[Array, "..."]) -> Float[Array, "..."]:
        """exp(beta A), clipped (eq. 7)."""
        return jnp.minimum(jnp.exp(self.beta * advantages), self.weight_clip)

    def actor_losses(
        self, actor: ActorNetwork, critic: IQLCritic, batch: Batch, key: PRNGKeyArray
    ) -> tuple[Float[Array, "R"], Metrics]:
        """Advantage-weighted regression: -mean(w log pi(a|s)) of each robot (eq. 7)."""
        return log_likelihood_losses(actor, batch, batch.aux, self.log_probability)

    def update_targets(self, critic: IQLCritic, actor: ActorNetwork) -> IQLCritic:
        """The target network moves a little towards Q."""
        target = optax.incremental_update(critic.q, critic.target, self.tau)
        return eqx.tree_at(lambda critic: critic.target, critic, target)


def expectile_loss(difference: Float[Array, "..."], expectile: float) -> Float[Array, "..."]:
    """|expectile - 1[u < 0]| u^2: squares weighted by their side (arXiv 2110.06169, eq. 5)."""
    return jnp.where(difference > 0, expectile, 1.0 - expectile) * jnp.square(difference)
