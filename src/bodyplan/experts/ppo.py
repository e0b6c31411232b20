"""PPO (Schulman et al. 2017, arXiv 1707.06347): the algorithm that trains one robot's expert.

Physics runs on MuJoCo's native threads. The rest of an iteration is one compiled program: the
advantages, the epochs of minibatches and the adaptive learning rate. The actor observes what a
cross-embodiment policy will observe; the critic observes more. `ppo_runner.py` is the training
loop around this file.
"""

from dataclasses import dataclass
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from bodyplan.bounds import AboveZero, CountFromOne, LearningRate, Share, require_bounds
from bodyplan.experts.expert_observations import MirrorMaps
from bodyplan.experts.ppo_networks import PPOActor, PPOCritic, RunningNormaliser

MIN_LEARNING_RATE, MAX_LEARNING_RATE = 1e-5, 1e-2
"""Bounds on the actor's adaptive learning rate."""


@dataclass(frozen=True)
class PPOConfig:
    """Hyperparameters of PPO."""

    num_envs: CountFromOne = 256
    """Robots simulated in parallel."""
    rollout_steps: CountFromOne = 24
    """Control steps of each robot between two updates."""
    epochs: CountFromOne = 4
    """Passes over the rollout in one update."""
    minibatches: CountFromOne = 4
    """Gradient steps in one pass."""
    discount: Share = 0.99
    """Discount factor gamma."""
    gae_lambda: Share = 0.95
    """Lambda of generalised advantage estimation."""
    clip_ratio: AboveZero = 0.2
    """Epsilon: the probability ratio is clipped to 1 plus or minus this."""
    target_kl: AboveZero = 0.012
    """The learning rate adapts to keep the KL divergence of an update near this."""
    learning_rate: LearningRate = 1e-3
    """Initial learning rate of the actor."""
    critic_learning_rate: LearningRate = 1e-3
    """Learning rate of the critic."""
    std_learning_rate: LearningRate | None = None
    """Learning rate of the actor's log standard deviation; the actor's own by default."""
    max_gradient_norm: AboveZero = 1.0
    """Gradients are scaled down to this norm."""
    hidden_size: CountFromOne = 128
    """Width of the two hidden layers of actor and critic."""

    def __post_init__(self) -> None:
        require_bounds(self)


class PPOState(NamedTuple):
    """Everything that an update changes."""

    actor: PPOActor
    critic: PPOCritic
    actor_optimiser: PyTree
    critic_optimiser: PyTree
    learning_rate: Float[Array, ""]
    """The actor's, after the latest adaptation."""
    actor_normaliser: RunningNormaliser
    critic_normaliser: RunningNormaliser
    key: PRNGKeyArray


class PPOLimits(NamedTuple):
    """Limits that the curriculum sets for one update."""

    min_std: Float[Array, "..."]
    """Lower limit of the actions' standard deviation: one number, or one for each joint."""
    max_std: Float[Array, "..."]
    """Upper limit, likewise."""
    max_learning_rate: Float[Array, ""]
    """Upper limit of the actor's adaptive learning rate."""


class Rollout(NamedTuple):
    """T control steps of N robots."""

    observations: Float[Array, "T N I"]
    """The actor's, not normalised."""
    critic_observations: Float[Array, "T+1 N P"]
    """The critic's; the last row follows the last step."""
    actions: Float[Array, "T N J"]
    log_probs: Float[Array, "T N"]
    """Of the actions, under the policy that drew them."""
    rewards: Float[Array, "T N"]
    """The value after a time limit is already added."""
    dones: Float[Array, "T N"]
    """1 where the episode ended after the step."""


def init_ppo(
    key: PRNGKeyArray,
    config: PPOConfig,
    num_observations: int,
    num_critic_observations: int,
    num_joints: int,
    initial_std: float | Float[np.ndarray, " J"],
    mirror: MirrorMaps | None = None,
) -> PPOState:
    """An untrained state for a robot of the given sizes.

    Args:
        key: draws the weights, then everything random in the updates.
        config: hyperparameters.
        num_observations: I, inputs of the actor.
        num_critic_observations: P, inputs of the critic.
        num_joints: J, actions.
        initial_std: standard deviation of the first actions.
        mirror: makes actor and critic mirror-symmetric.
    """
    actor_key, critic_key, key = jax.random.split(key, 3)
    std = np.broadcast_to(initial_std, num_joints)
    actor = PPOActor.create(actor_key, num_observations, config.hidden_size, std, mirror)
    critic = PPOCritic.create(critic_key, num_critic_observations, config.hidden_size, mirror)
    return PPOState(
        actor,
        critic,
        _optimiser(config).init(eqx.filter(actor, eqx.is_array)),
        _optimiser(config).init(eqx.filter(critic, eqx.is_array)),
        jnp.asarray(config.learning_rate, jnp.float32),
        RunningNormaliser.create(num_observations),
        RunningNormaliser.create(num_critic_observations),
        key,
    )


@eqx.filter_jit
def sample_actions(
    state: PPOState, observations: Float[Array, "N I"], key: PRNGKeyArray
) -> tuple[Float[Array, "N J"], Float[Array, " N"]]:
    """Draw actions from the policy; also returns their log-probabilities."""
    mean, std = state.actor(state.actor_normaliser(observations)), state.actor.std()
    actions = mean + std * jax.random.normal(key, mean.shape)
    return actions, _log_prob(actions, mean, std)


@eqx.filter_jit
def predict_values(state: PPOState, critic_observations: Float[Array, "N P"]) -> Float[Array, " N"]:
    """The critic's estimate of the return from each observation."""
    return jax.vmap(state.critic)(state.critic_normaliser(critic_observations))


@eqx.filter_jit(donate="all-except-first")
def ppo_update(
    config: PPOConfig, state: PPOState, rollout: Rollout, limits: PPOLimits
) -> tuple[PPOState, dict[str, Float[Array, ""]]]:
    """One PPO update: `epochs` passes of `minibatches` gradient steps over a rollout.

    Args:
        config: hyperparameters; each value compiles a program of its own.
        state: is donated, so the caller must not use it again.
        rollout: drawn with `state`.
        limits: on the actions' standard deviation and on the learning rate.

    Returns:
        The new state, and metrics: means over the gradient steps.
    """
    critic_inputs = state.critic_normaliser(rollout.critic_observations)
    values = jax.vmap(jax.vmap(state.critic))(critic_inputs)
    advantages = generalised_advantages(
        rollout.rewards, rollout.dones, values, config.discount, config.gae_lambda
    )
    samples = _flat_samples(state, rollout, values, advantages)
    old_std = state.actor.std()
    key, shuffle_key = jax.random.split(state.key)
    batches = _minibatch_indices(shuffle_key, config, advantages.size)
    arrays, static = eqx.partition((state.actor, state.critic), eqx.is_array)

    def gradient_step(carry: PyTree, indices: Array) -> tuple[PyTree, dict[str, Array]]:
        arrays, actor_optimiser, critic_optimiser, rate = carry
        batch = {name: array[indices] for name, array in samples.items()}
        actor, critic = eqx.combine(arrays, static)
        value_and_grad = eqx.filter_value_and_grad(clipped_surrogate_loss, has_aux=True)
        (actor_loss, kl), actor_grad = value_and_grad(actor, batch, old_std, config.clip_ratio)
        critic_loss, critic_grad = eqx.filter_value_and_grad(_critic_loss)(critic, batch)
        rate = _adapt_learning_rate(config, rate, kl, limits)
        optimiser = _optimiser(config)
        actor_update, actor_optimiser = optimiser.update(actor_grad, actor_optimiser)
        critic_update, critic_optimiser = optimiser.update(critic_grad, critic_optimiser)
        descent = jax.tree.map(lambda update: -rate * update, actor_update)
        if config.std_learning_rate is not None:
            std_descent = -config.std_learning_rate * actor_update.log_std
            descent = eqx.tree_at(lambda tree: tree.log_std, descent, std_descent)
        actor = _clip_std(eqx.apply_updates(actor, descent), limits)
        critic_rate = config.critic_learning_rate
        critic = eqx.apply_updates(
            critic, jax.tree.map(lambda update: -critic_rate * update, critic_update)
        )
        arrays = eqx.filter((actor, critic), eqx.is_array)
        metrics = {"actor_loss": actor_loss, "critic_loss": critic_loss, "kl": kl}
        return (arrays, actor_optimiser, critic_optimiser, rate), metrics

    start = (arrays, state.actor_optimiser, state.critic_optimiser, state.learning_rate)
    end, metrics = jax.lax.scan(gradient_step, start, batches)
    arrays, actor_optimiser, critic_optimiser, rate = end
    actor, critic = eqx.combine(arrays, static)
    state = PPOState(
        actor,
        critic,
        actor_optimiser,
        critic_optimiser,
        rate,
        *_updated_normalisers(state, rollout),
        key,
    )
    metrics = {name: values.mean() for name, values in metrics.items()}
    return state, metrics | {"learning_rate": rate, "std": actor.std().mean()}


def generalised_advantages(
    rewards: Float[Array, "T N"],
    dones: Float[Array, "T N"],
    values: Float[Array, "T+1 N"],
    discount: float,
    gae_lambda: float,
) -> Float[Array, "T N"]:
    """Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438, eq. 16).

    Args:
        rewards: one row for each step.
        dones: 1 where the episode ended after the step.
        values: the critic's, before each step and after the last.
        discount: gamma.
        gae_lambda: lambda; 0 gives one-step TD errors, 1 gives Monte Carlo returns.
    """

    def backward(next_advantage: Array, step: tuple[Array, ...]) -> tuple[Array, Array]:
        reward, done, value, next_value = step
        not_done = 1.0 - done
        # delta_t = r_t + gamma V(s_t+1) - V(s_t)
        advantage = reward + discount * not_done * next_value - value
        # A_t = delta_t + gamma lambda A_t+1
        advantage += discount * gae_lambda * not_done * next_advantage
        return advantage, advantage

    steps = (rewards, dones, values[:-1], values[1:])
    return jax.lax.scan(backward, jnp.zeros_like(values[0]), steps, reverse=True)[1]


def clipped_surrogate_loss(
    actor: PPOActor,
    batch: dict[str, Array],
    old_std: Float[Array, " J"],
    clip_ratio: float,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """PPO's actor loss (arXiv 1707.06347, eq. 7) and the KL divergence from the old policy.

    Args:
        actor: the policy being improved.
        batch: normalised `observations`, `actions`, their old `log_probs` and `old_mean`,
            and `advantages`, which are standardised here.
        old_std: standard deviation of the old policy.
        clip_ratio: epsilon.
    """
    mean, std = actor(batch["observations"]), actor.std()
    ratio = jnp.exp(_log_prob(batch["actions"], mean, std) - batch["log_probs"])
    advantage = batch["advantages"]
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    # L = E[min(r A, clip(r, 1 - eps, 1 + eps) A)]
    clipped = jnp.clip(ratio, 1.0 - clip_ratio, 1.0 + clip_ratio)
    surrogate = jnp.minimum(ratio * advantage, clipped * advantage).mean()
    # KL(old || new) of diagonal Gaussians, summed over joints.
    moved = (old_std**2 + (batch["old_mean"] - mean) ** 2) / (2.0 * std**2)
    kl = (jnp.log(std / old_std) + moved - 0.5).sum(axis=-1).mean()
    return -surrogate, kl


def _critic_loss(critic: PPOCritic, batch: dict[str, Array]) -> Float[Array, ""]:
    """Half the mean squared error to the lambda-returns."""
    return (
        0.5 * jnp.square(jax.vmap(critic)(batch["critic_observations"]) - batch["targets"]).mean()
    )


def _flat_samples(
    state: PPOState,
    rollout: Rollout,
    values: Float[Array, "T+1 N"],
    advantages: Float[Array, "T N"],
) -> dict[str, Array]:
    """The rollout as T*N samples, with what the losses need of the old policy."""
    samples = {
        "observations": state.actor_normaliser(rollout.observations),
        "critic_observations": state.critic_normaliser(rollout.critic_observations[:-1]),
        "actions": rollout.actions,
        "log_probs": rollout.log_probs,
        "advantages": advantages,
        "targets": advantages + values[:-1],
    }
    samples = {name: array.reshape(-1, *array.shape[2:]) for name, array in samples.items()}
    return samples | {"old_mean": state.actor(samples["observations"])}


def _minibatch_indices(
    key: PRNGKeyArray, config: PPOConfig, num_samples: int
) -> Int[Array, "steps batch"]:
    """Each epoch shuffles the samples and cuts them into minibatches."""
    size = num_samples // config.minibatches
    epochs = [
        jax.random.permutation(epoch_key, size * config.minibatches).reshape(-1, size)
        for epoch_key in jax.random.split(key, config.epochs)
    ]
    return jnp.concatenate(epochs)


def _adapt_learning_rate(
    config: PPOConfig, rate: Float[Array, ""], kl: Float[Array, ""], limits: PPOLimits
) -> Float[Array, ""]:
    """Lower after too large an update, higher after too small a one, as in rsl_rl."""
    rate = jnp.where(kl > 2.0 * config.target_kl, rate / 1.5, rate)
    rate = jnp.where((kl < 0.5 * config.target_kl) & (kl > 0.0), rate * 1.5, rate)
    return jnp.clip(rate, MIN_LEARNING_RATE, limits.max_learning_rate)


def _clip_std(actor: PPOActor, limits: PPOLimits) -> PPOActor:
    # Projected after each step: a limit inside the forward pass would stop the gradient there.
    log_std = jnp.clip(actor.log_std, jnp.log(limits.min_std), jnp.log(limits.max_std))
    return eqx.tree_at(lambda tree: tree.log_std, actor, log_std)


def _updated_normalisers(
    state: PPOState, rollout: Rollout
) -> tuple[RunningNormaliser, RunningNormaliser]:
    """Both normalisers after the rollout, and its mirror image where the actor is symmetric."""
    observations, critic_observations = rollout.observations, rollout.critic_observations[:-1]
    mirror = state.actor.mirror
    if mirror is not None:
        observations = jnp.concatenate([observations, mirror.observations(observations)])
        critic_observations = jnp.concatenate(
            [critic_observations, mirror.critic_observations(critic_observations)]
        )
    return (
        state.actor_normaliser.update(observations),
        state.critic_normaliser.update(critic_observations),
    )


def _log_prob(
    actions: Float[Array, "B J"], mean: Float[Array, "B J"], std: Float[Array, " J"]
) -> Float[Array, " B"]:
    """Log density of a diagonal Gaussian."""
    per_joint = -0.5 * jnp.square((actions - mean) / std) - jnp.log(std)
    return per_joint.sum(axis=-1) - 0.5 * actions.shape[-1] * jnp.log(2.0 * jnp.pi)


def _optimiser(config: PPOConfig) -> optax.GradientTransformation:
    return optax.chain(
        optax.clip_by_global_norm(config.max_gradient_norm), optax.scale_by_adam(eps=1e-5)
    )
