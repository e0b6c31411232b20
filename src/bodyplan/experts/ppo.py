"""PPO (Schulman et al. 2017, arXiv 1707.06347): how one robot's expert learns to walk.

The physics runs on MuJoCo's native threads; everything else of an iteration (advantages, four
epochs of minibatches, the adaptive learning rate) is one compiled program. The actor senses only
what a cross-embodiment policy will sense; the critic sees everything. `experts.py` runs the whole
course and keeps snapshots of the policy along the way.
"""

from dataclasses import dataclass
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from bodyplan.experts.ppo_networks import (
    MirrorMaps,
    Normaliser,
    PPOActor,
    PPOCritic,
    fresh_actor,
    fresh_critic,
    fresh_normaliser,
)

MIN_LEARNING_RATE, MAX_LEARNING_RATE = 1e-5, 1e-2


@dataclass(frozen=True)
class PPOConfig:
    """Hyperparameters of the expert's PPO."""

    num_envs: int = 256
    """Robots simulated side by side."""
    rollout_steps: int = 24
    """Control steps of each robot between two updates."""
    epochs: int = 4
    """Passes over the rollout in one update."""
    minibatches: int = 4
    """Gradient steps in one pass."""
    discount: float = 0.99
    """Gamma."""
    trace: float = 0.95
    """Lambda of generalised advantage estimation."""
    clip: float = 0.2
    """Bound on the probability ratio's move away from one."""
    target_kl: float = 0.012
    """The learning rate adapts to keep the policy's move near this."""
    learning_rate: float = 1e-3
    """First learning rate of the actor."""
    critic_learning_rate: float = 1e-3
    """Learning rate of the critic."""
    spread_learning_rate: float | None = None
    """Learning rate of the actions' spread; the actor's where not given."""
    max_gradient_norm: float = 1.0
    """Gradients are scaled down to this norm."""
    hidden: int = 128
    """Width of the two hidden layers of actor and critic."""


class PPOState(NamedTuple):
    """All that learning changes."""

    actor: PPOActor
    critic: PPOCritic
    actor_optimiser: PyTree
    critic_optimiser: PyTree
    learning_rate: Float[Array, ""]
    actor_normaliser: Normaliser
    critic_normaliser: Normaliser
    key: PRNGKeyArray


class Bounds(NamedTuple):
    """What the course allows at present."""

    least_std: Float[Array, "..."]
    """Of all joints, or one for each."""
    largest_std: Float[Array, "..."]
    learning_rate: Float[Array, ""]
    """The actor's adaptive learning rate stays below this."""


class Rollout(NamedTuple):
    """T control steps of N robots, seen at T + 1 moments."""

    senses: Float[Array, "T N I"]
    privileged: Float[Array, "moments N P"]
    actions: Float[Array, "T N J"]
    log_probs: Float[Array, "T N"]
    rewards: Float[Array, "T N"]
    """With the value of what lies beyond a time limit already added."""
    dones: Float[Array, "T N"]


def init_ppo(
    key: PRNGKeyArray,
    config: PPOConfig,
    senses: int,
    privileged: int,
    joints: int,
    initial_std: float | Float[np.ndarray, " J"],
    reflections: MirrorMaps | None = None,
) -> PPOState:
    """A fresh learner for a robot with the given numbers of inputs and joints."""
    actor_key, critic_key, key = jax.random.split(key, 3)
    spread = np.broadcast_to(initial_std, joints)
    actor = fresh_actor(actor_key, senses, config.hidden, spread, reflections)
    critic = fresh_critic(critic_key, privileged, config.hidden, reflections)
    return PPOState(
        actor,
        critic,
        _optimiser(config).init(eqx.filter(actor, eqx.is_array)),
        _optimiser(config).init(eqx.filter(critic, eqx.is_array)),
        jnp.asarray(config.learning_rate, jnp.float32),
        fresh_normaliser(senses),
        fresh_normaliser(privileged),
        key,
    )


@eqx.filter_jit
def sample_actions(
    learner: PPOState, senses: Float[Array, "N I"], key: PRNGKeyArray
) -> tuple[Float[Array, "N J"], Float[Array, " N"]]:
    """Sample actions; also their log-probabilities."""
    mean, std = learner.actor(learner.actor_normaliser(senses)), learner.actor.std()
    actions = mean + std * jax.random.normal(key, mean.shape)
    return actions, _log_prob(actions, mean, std)


@eqx.filter_jit
def predict_values(learner: PPOState, privileged: Float[Array, "N P"]) -> Float[Array, " N"]:
    """The critic's estimate."""
    return jax.vmap(learner.critic)(learner.critic_normaliser(privileged))


@eqx.filter_jit(donate="all-except-first")
def ppo_update(
    config: PPOConfig, learner: PPOState, rollout: Rollout, bounds: Bounds
) -> tuple[PPOState, dict[str, Float[Array, ""]]]:
    """One PPO update, keeping actions' spread and the learning rate within bounds.

    Also returns what is worth logging.
    """
    values = jax.vmap(jax.vmap(learner.critic))(learner.critic_normaliser(rollout.privileged))
    advantages = _advantages(config, rollout, values)
    data = {
        "senses": learner.actor_normaliser(rollout.senses),
        "privileged": learner.critic_normaliser(rollout.privileged[:-1]),
        "actions": rollout.actions,
        "log_probs": rollout.log_probs,
        "advantages": advantages,
        "targets": advantages + values[:-1],
    }
    data = {name: array.reshape(-1, *array.shape[2:]) for name, array in data.items()}
    old_mean, old_std = learner.actor(data["senses"]), learner.actor.std()
    data["old_mean"] = old_mean
    key, shuffle_key = jax.random.split(learner.key)
    size = len(advantages.reshape(-1)) // config.minibatches
    orders = [
        jax.random.permutation(epoch_key, size * config.minibatches).reshape(-1, size)
        for epoch_key in jax.random.split(shuffle_key, config.epochs)
    ]
    parts, static = eqx.partition((learner.actor, learner.critic), eqx.is_array)

    def step(carry: PyTree, chosen: Array) -> tuple[PyTree, dict[str, Array]]:
        parts, actor_state, critic_state, rate = carry
        batch = {name: array[chosen] for name, array in data.items()}
        actor, critic = eqx.combine(parts, static)
        grad = eqx.filter_value_and_grad(_actor_loss, has_aux=True)
        (loss, kl), actor_grad = grad(actor, batch, old_std, config.clip)
        critic_loss, critic_grad = eqx.filter_value_and_grad(_critic_loss)(critic, batch)
        rate = jnp.where(kl > 2.0 * config.target_kl, rate / 1.5, rate)
        rate = jnp.where((kl < 0.5 * config.target_kl) & (kl > 0.0), rate * 1.5, rate)
        rate = jnp.clip(rate, MIN_LEARNING_RATE, bounds.learning_rate)
        optimiser = _optimiser(config)
        actor_step, actor_state = optimiser.update(actor_grad, actor_state)
        critic_step, critic_state = optimiser.update(critic_grad, critic_state)
        moved = jax.tree.map(lambda g: -rate * g, actor_step)
        if config.spread_learning_rate is not None:
            spread = -config.spread_learning_rate * actor_step.log_std
            moved = eqx.tree_at(lambda m: m.log_std, moved, spread)
        actor = _within_bounds(eqx.apply_updates(actor, moved), bounds)
        fixed = config.critic_learning_rate
        critic = eqx.apply_updates(critic, jax.tree.map(lambda g: -fixed * g, critic_step))
        parts = eqx.filter((actor, critic), eqx.is_array)
        metrics = {"actor_loss": loss, "critic_loss": critic_loss, "kl": kl}
        return (parts, actor_state, critic_state, rate), metrics

    start = (parts, learner.actor_optimiser, learner.critic_optimiser, learner.learning_rate)
    end, metrics = jax.lax.scan(step, start, jnp.concatenate(orders))
    parts, actor_state, critic_state, rate = end
    actor, critic = eqx.combine(parts, static)
    learner = PPOState(
        actor,
        critic,
        actor_state,
        critic_state,
        rate,
        *_more_normal(learner, rollout),
        key,
    )
    metrics = {name: values.mean() for name, values in metrics.items()}
    return learner, metrics | {"learning_rate": rate, "std": actor.std().mean()}


def _more_normal(learner: PPOState, rollout: Rollout) -> tuple[Normaliser, Normaliser]:
    """Both normalisers with the rollout taken in, and its mirror image where that is as likely."""
    senses, privileged = rollout.senses, rollout.privileged[:-1]
    if learner.actor.reflections is not None:
        reflections = learner.actor.reflections
        senses = jnp.concatenate([senses, reflections.senses(senses)])
        privileged = jnp.concatenate([privileged, reflections.privileged(privileged)])
    return learner.actor_normaliser.update(senses), learner.critic_normaliser.update(privileged)


def _within_bounds(actor: PPOActor, bounds: Bounds) -> PPOActor:
    # Projected after each step: a bound inside the forward pass would end the gradient there.
    bounded = jnp.clip(actor.log_std, jnp.log(bounds.least_std), jnp.log(bounds.largest_std))
    return eqx.tree_at(lambda a: a.log_std, actor, bounded)


def _actor_loss(
    actor: PPOActor,
    batch: dict[str, Array],
    old_std: Float[Array, " J"],
    clip: float,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    mean, std = actor(batch["senses"]), actor.std()
    ratio = jnp.exp(_log_prob(batch["actions"], mean, std) - batch["log_probs"])
    advantage = batch["advantages"]
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    clipped = jnp.clip(ratio, 1.0 - clip, 1.0 + clip)
    surrogate = jnp.minimum(ratio * advantage, clipped * advantage).mean()
    moved = (old_std**2 + (batch["old_mean"] - mean) ** 2) / (2.0 * std**2)
    kl = (jnp.log(std / old_std) + moved - 0.5).sum(axis=-1).mean()
    return -surrogate, kl


def _critic_loss(critic: PPOCritic, batch: dict[str, Array]) -> Float[Array, ""]:
    return 0.5 * jnp.square(jax.vmap(critic)(batch["privileged"]) - batch["targets"]).mean()


def _advantages(
    config: PPOConfig, rollout: Rollout, values: Float[Array, "M N"]
) -> Float[Array, "M-1 N"]:
    """Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438)."""

    def back(after: Array, now: tuple[Array, ...]) -> tuple[Array, Array]:
        reward, done, here, there = now
        alive = 1.0 - done
        advantage = reward + config.discount * alive * there - here
        advantage += config.discount * config.trace * alive * after
        return advantage, advantage

    steps = (rollout.rewards, rollout.dones, values[:-1], values[1:])
    return jax.lax.scan(back, jnp.zeros_like(values[0]), steps, reverse=True)[1]


def _log_prob(
    actions: Float[Array, "B J"], mean: Float[Array, "B J"], std: Float[Array, " J"]
) -> Float[Array, " B"]:
    each = -0.5 * jnp.square((actions - mean) / std) - jnp.log(std)
    return each.sum(axis=-1) - 0.5 * actions.shape[-1] * jnp.log(2.0 * jnp.pi)


def _optimiser(config: PPOConfig) -> optax.GradientTransformation:
    return optax.chain(
        optax.clip_by_global_norm(config.max_gradient_norm), optax.scale_by_adam(eps=1e-5)
    )
