"""TD3+BC (Fujimoto & Gu 2021, arXiv 2106.06860) over many robots.

Twin Q learns from the lower of its targets at the target actor's action, with clipped noise on it;
a deterministic actor climbs Q and is held to the data's actions by their squared distance, in every
second update. The gradient of Q is scaled by its size over the batch, as robots' rewards differ:
over the batch of the step (all robots, or the group's) or robot by robot.

The paper says "behaviour cloning weight 2.5" without saying on which of the two terms it stands;
in the original it multiplies Q. The data's actions reach up to 7.6, the actor only to its limit.
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

from bodyplan.envs.walking_task import Observation
from bodyplan.learn.algorithms.algorithm import (
    ActorBatch,
    Metrics,
    TransitionBatch,
    clipped_adam,
    q_step,
)
from bodyplan.learn.data.device_batches import Batch
from bodyplan.learn.distributed import batch_mean, normal_like
from bodyplan.learn.networks.architectures import ActorNetwork, Sizes, TwinQNetwork, architecture_of
from bodyplan.learn.networks.body_batch import Body
from bodyplan.robots.descriptors import RobotDescriptor


class TD3BCCritic(eqx.Module):
    """All that learns, or follows, beside the actor."""

    q: TwinQNetwork
    target: TwinQNetwork
    target_actor: ActorNetwork
    q_optimiser: optax.OptState


@dataclass(frozen=True)
class TD3BC:
    """Hyperparameters, by default those of the cross-embodiment paper (arXiv 2602.18025)."""

    alpha: float = 2.5
    """Weight of one of the actor's two terms."""
    alpha_on: Literal["q", "cloning"] = "q"
    """The term that alpha multiplies: Q, as in the original, or the distance to the data."""
    q_scale: Literal["batch", "robot"] = "batch"
    """Over what the mean |Q| is taken by which Q is divided."""
    max_action: float = 5.0
    """Largest action of the actor."""
    target_noise: float = 0.2
    """Standard deviation of the noise on the target actor's actions."""
    noise_clip: float = 0.5
    """Largest such noise."""
    gamma: float = 0.99
    """Discount."""
    tau: float = 0.005
    """Share that targets take over in each turn of the actor."""
    learning_rate: float = 3e-4
    """Adam's, for Q and the actor alike."""
    gradient_clip: float = 0.5
    """Largest global norm of the gradient of each of Q and the actor."""
    actor_decay: int = 0
    """Actor steps (turns times groups) in which its rate falls to 0 as a cosine; 0: constant."""

    actor_every: ClassVar[int] = 2

    def init(self, rng: np.random.Generator, sizes: Sizes) -> tuple[ActorNetwork, TD3BCCritic]:
        """Fresh networks; targets start as what they follow."""
        heads = architecture_of(sizes)
        policy, q = heads.policy(rng, sizes), heads.twin_q(rng, sizes)
        return policy, TD3BCCritic(q, q, policy, self._critic_optimiser().init(q))

    def actor_optimiser(self) -> optax.GradientTransformation:
        return clipped_adam(self.learning_rate, self.gradient_clip, self.actor_decay)

    def _critic_optimiser(self) -> optax.GradientTransformation:
        return clipped_adam(self.learning_rate, self.gradient_clip)

    def critic_update(
        self,
        critic: TD3BCCritic,
        actor: ActorNetwork,
        batches: Sequence[Batch],
        descriptors: Sequence[RobotDescriptor],
        key: PRNGKeyArray,
    ) -> tuple[TD3BCCritic, tuple[tuple[()], ...], Metrics]:
        """One step of Q on clipped double-Q targets; nothing is left for the actor."""
        seen = TransitionBatch.of(batches, descriptors)
        acted = self._actions(critic.target_actor, seen.next_observations, seen.next_bodies)
        keys = jax.random.split(key, len(acted))
        noisy = [self._noisy(own, action) for own, action in zip(keys, acted, strict=True)]
        next_q = critic.target.over_robots(seen.next_observations, noisy, seen.next_bodies)
        returns = seen.returns(self.gamma, jnp.stack(next_q).min(axis=1))
        q, state, _, metrics = q_step(
            critic.q, critic.q_optimiser, self._critic_optimiser(), seen, batches, returns
        )
        critic = TD3BCCritic(q, critic.target, critic.target_actor, state)
        return critic, tuple(() for _ in batches), metrics

    def _noisy(self, key: PRNGKeyArray, action: Float[Array, "B J"]) -> Float[Array, "B J"]:
        """Target policy smoothing (TD3)."""
        noise = jnp.clip(
            self.target_noise * normal_like(key, action), -self.noise_clip, self.noise_clip
        )
        return jnp.clip(action + noise, -self.max_action, self.max_action)

    def actor_losses(
        self, actor: ActorNetwork, critic: TD3BCCritic, batch: ActorBatch, key: PRNGKeyArray
    ) -> tuple[Float[Array, "R"], Metrics]:
        """-Q1(s, pi(s)) over mean |Q1|, and the squared distance to the data's action."""
        observations = [robot.observation for robot in batch.batches]
        actions = self._actions(actor, observations, batch.bodies)
        q = self._first_q(critic, observations, actions, batch.bodies)
        settled = [size for target in batch.targets for size in target]
        sizes = jnp.stack(settled) if settled else self._q_sizes(q)
        cloning = jnp.stack(
            [
                batch_mean(jnp.square(action - robot.action).mean(-1))
                for action, robot in zip(actions, batch.batches, strict=True)
            ]
        )
        on_q, on_cloning = (self.alpha, 1.0) if self.alpha_on == "q" else (1.0, self.alpha)
        losses = on_cloning * cloning - on_q * batch_mean(q) / sizes
        return losses, {"actor/cloning": cloning, "actor/q_size": sizes}

    def settle(self, actor: ActorNetwork, critic: TD3BCCritic, batch: ActorBatch) -> ActorBatch:
        """With what each robot's Q is divided by as its target."""
        if self.q_scale == "robot":
            return batch
        observations = [robot.observation for robot in batch.batches]
        actions = self._actions(actor, observations, batch.bodies)
        sizes = self._q_sizes(self._first_q(critic, observations, actions, batch.bodies))
        return batch._replace(targets=tuple((size,) for size in sizes))

    def _first_q(
        self,
        critic: TD3BCCritic,
        observations: Sequence[Observation],
        actions: Sequence[Float[Array, "B _"]],
        bodies: Sequence[Body],
    ) -> Float[Array, "R B"]:
        first = jax.tree.map(lambda twins: twins[:1], critic.q)
        return jnp.concatenate(first.over_robots(observations, actions, bodies))

    def _q_sizes(self, q: Float[Array, "R B"]) -> Float[Array, "R"]:
        """Mean |Q| of each robot, or of all of them for each."""
        sizes = jax.lax.stop_gradient(batch_mean(jnp.abs(q)))
        if self.q_scale == "robot":
            return sizes
        return jnp.broadcast_to(sizes.mean(), sizes.shape)

    def move_targets(self, critic: TD3BCCritic, actor: ActorNetwork) -> TD3BCCritic:
        """Targets a little nearer to Q and to the actor."""
        followed, targets = (critic.q, actor), (critic.target, critic.target_actor)
        moved = optax.incremental_update(followed, targets, self.tau)
        return eqx.tree_at(lambda critic: (critic.target, critic.target_actor), critic, moved)

    def act(
        self, actor: ActorNetwork, observation: Observation, descriptor: RobotDescriptor
    ) -> Float[Array, "batch joints"]:
        """The actor's one action."""
        (action,) = self._actions(actor, (observation,), (descriptor,))
        return action

    def _actions(
        self, actor: ActorNetwork, observations: Sequence[Observation], bodies: Sequence[Body]
    ) -> tuple[Float[Array, "B J"], ...]:
        """Within the limit; the network's spread is not used."""
        return tuple(
            self.max_action * jnp.tanh(mean) for mean, _ in actor.over_robots(observations, bodies)
        )
