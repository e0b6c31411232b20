"""Advantage-weighted actor-critic, AWAC (Nair et al. 2020, arXiv 2006.09359), over many robots.

Twin Q learns from the lower of its targets at an action that the policy draws in the next state.
The actor imitates the data's actions weighted by exp(A / lambda), where A says how much better the
data's action is than one of the policy's own. Order of an update: advantages and TD targets from
the parameters before it; Q; the actor, with those advantages; the target network.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from bodyplan.bounds import AboveZero, Share
from bodyplan.envs.walking_task import Observation
from bodyplan.learn.algorithms.algorithm import (
    Algorithm,
    Judgement,
    Metrics,
    Reduction,
    log_likelihood_losses,
    twin_q_step,
    weight_metrics,
)
from bodyplan.learn.data.batches import Batch, Bodies, batch_std, normal
from bodyplan.learn.networks.architectures import (
    ActorNetwork,
    Sizes,
    TwinQNetwork,
    architecture_of,
)


class AWACCritic(eqx.Module):
    """All that learns beside the actor."""

    q: TwinQNetwork
    target: TwinQNetwork
    q_optimiser: optax.OptState


@dataclass(frozen=True, kw_only=True)
class AWAC(Algorithm):
    """Hyperparameters of AWAC: its own temperature, else those of the paper's IQL."""

    temperature: AboveZero = 1.0
    """lambda in the weights exp(A / lambda)."""
    weight_clip: AboveZero = 100.0
    """Largest weight of a sample."""
    gamma: Share = 0.99
    """Discount."""
    tau: Share = 0.005
    """Share of Q that its target network takes over in each update."""
    log_probability: Reduction = "mean"
    """Over a robot's joints; the sum gives robots with many joints more weight."""

    def init(self, rng: np.random.Generator, sizes: Sizes) -> tuple[ActorNetwork, AWACCritic]:
        """Fresh networks; the target network starts as Q."""
        networks = architecture_of(sizes)
        policy, q = networks.policy(rng, sizes), networks.twin_q(rng, sizes)
        return policy, AWACCritic(q, q, self.critic_optimiser().init(q))

    def critic_update(
        self, critic: AWACCritic, actor: ActorNetwork, batch: Batch, key: PRNGKeyArray
    ) -> tuple[AWACCritic, Float[Array, "R B"], Metrics]:
        """One step of Q; returns the actor's weights."""
        own_key, next_key = jax.random.split(key)
        # r + gamma min_k Q_k'(s', a'), a' drawn from the policy (eq. 3).
        following = batch.next_observations, batch.next_bodies
        next_actions = _sampled(actor, *following, normal(next_key, batch))
        next_q = critic.target.over_robots(following[0], next_actions, following[1])
        td_targets = batch.td_targets(self.gamma, next_q.min(axis=0))
        # A(s, a) = Q(s, a) - Q(s, a_pi): one action of the policy stands for the mean over all.
        own_actions = _sampled(actor, batch.observations, batch.bodies, normal(own_key, batch))
        own_q = critic.q.over_robots(batch.observations, own_actions, batch.bodies).min(axis=0)
        q, state, values, metrics = twin_q_step(
            critic.q,
            critic.q_optimiser,
            self.critic_optimiser(),
            batch,
            td_targets,
            self.gradient_clip,
        )
        advantages = values.min(axis=0) - own_q
        weights = self.weights(advantages)
        metrics |= {
            "critic/advantage_std": batch_std(advantages),
            **weight_metrics(weights, self.weight_clip),
        }
        return AWACCritic(q, critic.target, state), weights, metrics

    def judge(
        self, critic: AWACCritic, actor: ActorNetwork, batch: Batch, key: PRNGKeyArray
    ) -> Judgement:
        """Q of the data's actions, and their weights against one action of the policy each."""
        own_actions = _sampled(actor, batch.observations, batch.bodies, normal(key, batch))
        own_q = critic.q.over_robots(batch.observations, own_actions, batch.bodies).min(axis=0)
        values = critic.q.over_robots(batch.observations, batch.actions, batch.bodies)
        weights = self.weights(values.min(axis=0) - own_q)
        return Judgement(q=values.mean(axis=0), weight=weights)

    def weights(self, advantages: Float[Array, "..."]) -> Float[Array, "..."]:
        """exp(A / lambda), clipped (eq. 5)."""
        return jnp.minimum(jnp.exp(advantages / self.temperature), self.weight_clip)

    def actor_losses(
        self, actor: ActorNetwork, critic: AWACCritic, batch: Batch, key: PRNGKeyArray
    ) -> tuple[Float[Array, "R"], Metrics]:
        """Advantage-weighted regression: -mean(w log pi(a|s)) of each robot (eq. 5)."""
        return log_likelihood_losses(actor, batch, batch.aux, self.log_probability)

    def update_targets(self, critic: AWACCritic, actor: ActorNetwork) -> AWACCritic:
        """The target network moves a little towards Q."""
        target = optax.incremental_update(critic.q, critic.target, self.tau)
        return eqx.tree_at(lambda critic: critic.target, critic, target)


def _sampled(
    actor: ActorNetwork,
    observations: Sequence[Observation],
    bodies: Sequence[Bodies],
    noise: Sequence[Float[Array, "r B J"]],
) -> list[Float[Array, "r B J"]]:
    """An action for every sample, drawn from the policy."""
    gaussians = actor.over_robots(observations, bodies)
    return [mean + std * own for own, (mean, std) in zip(noise, gaussians, strict=True)]
