"""TD3+BC (Fujimoto & Gu 2021, arXiv 2106.06860) over many robots.

Twin Q learns from the lower of its targets at the target actor's action, with clipped noise on it.
A deterministic actor maximises Q while the squared distance holds it to the data's actions, in
every second update. Robots' rewards differ, so Q is divided by its mean size: over the batch of the
step (all robots, or the group's), or robot by robot.

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

from bodyplan.bounds import AboveZero, FromZero, Share
from bodyplan.envs.walking_task import Observation
from bodyplan.learn.algorithms.algorithm import (
    Algorithm,
    Judgement,
    Metrics,
    over_joints,
    twin_q_step,
)
from bodyplan.learn.data.batches import Batch, Bodies, batch_mean, normal
from bodyplan.learn.networks.architectures import (
    ActorNetwork,
    Sizes,
    TwinQNetwork,
    architecture_of,
)
from bodyplan.robots.descriptors import RobotDescriptor


class TD3BCCritic(eqx.Module):
    """All that learns beside the actor, and the target networks."""

    q: TwinQNetwork
    target: TwinQNetwork
    target_actor: ActorNetwork
    q_optimiser: optax.OptState


@dataclass(frozen=True, kw_only=True)
class TD3BC(Algorithm):
    """Hyperparameters of TD3+BC, by default the cross-embodiment paper's (arXiv 2602.18025)."""

    alpha: FromZero = 2.5
    """Weight of one of the actor's two terms."""
    alpha_on: Literal["q", "cloning"] = "q"
    """The term that alpha multiplies: Q, as in the original, or the distance to the data."""
    q_scale: Literal["batch", "robot"] = "batch"
    """Over what the mean |Q| is taken by which Q is divided."""
    max_action: AboveZero = 5.0
    """Largest action of the actor."""
    target_noise: FromZero = 0.2
    """Standard deviation of the noise on the target actor's actions."""
    noise_clip: FromZero = 0.5
    """Largest such noise."""
    noise_unit: Literal["action", "max_action"] = "action"
    """Unit of both: that of actions, or `max_action`, as in the authors' code."""
    gamma: Share = 0.99
    """Discount."""
    tau: Share = 0.005
    """Share that the target networks take over in each actor update."""

    actor_every: ClassVar[int] = 2

    def init(self, rng: np.random.Generator, sizes: Sizes) -> tuple[ActorNetwork, TD3BCCritic]:
        """Fresh networks; target networks start as the networks they follow."""
        networks = architecture_of(sizes)
        policy, q = networks.policy(rng, sizes), networks.twin_q(rng, sizes)
        return policy, TD3BCCritic(q, q, policy, self.critic_optimiser().init(q))

    def critic_update(
        self, critic: TD3BCCritic, actor: ActorNetwork, batch: Batch, key: PRNGKeyArray
    ) -> tuple[TD3BCCritic, tuple[()], Metrics]:
        """One step of Q on clipped double-Q targets (TD3, arXiv 1802.09477, section 4)."""
        following = batch.next_observations, batch.next_bodies
        actions = self._actions(critic.target_actor, *following)
        smoothed = list(map(self._smoothed, actions, normal(key, batch)))
        next_q = critic.target.over_robots(following[0], smoothed, following[1])
        td_targets = batch.td_targets(self.gamma, next_q.min(axis=0))
        q, state, _, metrics = twin_q_step(
            critic.q,
            critic.q_optimiser,
            self.critic_optimiser(),
            batch,
            td_targets,
            self.gradient_clip,
        )
        return TD3BCCritic(q, critic.target, critic.target_actor, state), (), metrics

    def judge(
        self, critic: TD3BCCritic, actor: ActorNetwork, batch: Batch, key: PRNGKeyArray
    ) -> Judgement:
        """Q of the data's actions."""
        values = critic.q.over_robots(batch.observations, batch.actions, batch.bodies)
        return Judgement(q=values.mean(axis=0))

    def _smoothed(
        self, action: Float[Array, "r B J"], noise: Float[Array, "r B J"]
    ) -> Float[Array, "r B J"]:
        """Target policy smoothing: the action with clipped noise (TD3, section 5.3)."""
        unit = self.max_action if self.noise_unit == "max_action" else 1.0
        most = unit * self.noise_clip
        noise = jnp.clip(unit * self.target_noise * noise, -most, most)
        return jnp.clip(action + noise, -self.max_action, self.max_action)

    def actor_losses(
        self, actor: ActorNetwork, critic: TD3BCCritic, batch: Batch, key: PRNGKeyArray
    ) -> tuple[Float[Array, "R"], Metrics]:
        """(pi(s) - a)^2 - alpha Q1(s, pi(s)) / mean |Q1| of each robot (eq. 5)."""
        actions = self._actions(actor, batch.observations, batch.bodies)
        q = self._first_q(critic, batch, actions)
        scales = self._q_scales(q) if isinstance(batch.aux, tuple) else batch.aux
        distances = [
            over_joints(jnp.square(action - build.action), build.bodies, "mean")
            for action, build in zip(actions, batch.builds, strict=True)
        ]
        cloning = batch_mean(jnp.concatenate(distances))
        on_q, on_cloning = (self.alpha, 1.0) if self.alpha_on == "q" else (1.0, self.alpha)
        losses = on_cloning * cloning - on_q * batch_mean(q) / scales
        return losses, {"actor/cloning": cloning, "actor/q_size": scales}

    def fix_batch_statistics(self, actor: ActorNetwork, critic: TD3BCCritic, batch: Batch) -> Batch:
        """The batch with the scale of each robot's Q, `[R]`, as its `aux`."""
        if self.q_scale == "robot":
            return batch
        actions = self._actions(actor, batch.observations, batch.bodies)
        return batch._replace(aux=self._q_scales(self._first_q(critic, batch, actions)))

    def _first_q(
        self, critic: TD3BCCritic, batch: Batch, actions: Sequence[Float[Array, "r B J"]]
    ) -> Float[Array, "R B"]:
        first = jax.tree.map(lambda twins: twins[:1], critic.q)
        return first.over_robots(batch.observations, actions, batch.bodies)[0]

    def _q_scales(self, q: Float[Array, "R B"]) -> Float[Array, "R"]:
        """Mean |Q| of each robot, or the mean over all robots for each."""
        scales = jax.lax.stop_gradient(batch_mean(jnp.abs(q)))
        if self.q_scale == "robot":
            return scales
        return jnp.broadcast_to(scales.mean(), scales.shape)

    def update_targets(self, critic: TD3BCCritic, actor: ActorNetwork) -> TD3BCCritic:
        """The target networks move a little towards Q and the actor."""
        online, targets = (critic.q, actor), (critic.target, critic.target_actor)
        moved = optax.incremental_update(online, targets, self.tau)
        return eqx.tree_at(lambda critic: (critic.target, critic.target_actor), critic, moved)

    def act(
        self, actor: ActorNetwork, observation: Observation, descriptor: RobotDescriptor
    ) -> Float[Array, "N J"]:
        """The deterministic action."""
        return self._bounded(actor(observation, descriptor)[0])

    def _actions(
        self, actor: ActorNetwork, observations: Sequence[Observation], bodies: Sequence[Bodies]
    ) -> list[Float[Array, "r B J"]]:
        """Actions within the limit; the network's standard deviation is not used."""
        return [self._bounded(mean) for mean, _ in actor.over_robots(observations, bodies)]

    def _bounded(self, mean: Float[Array, "*B J"]) -> Float[Array, "*B J"]:
        return self.max_action * jnp.tanh(mean)
