"""The learner as the paper and URMA's public code describe it, without any of our shortcuts.

What `src/bodyplan/learn` is measured against (benchmarks/learner.py) and compared with
(tests/test_literal.py). Every robot is padded to the largest one, descriptions are repeated in
every sample as the paper's release stores them, and each sample builds all that it needs: attention
for every joint, the outer products `[B, J, channels, width]` summed over joints, the core on the
whole latent, the decoder on [core; joint state; description] for every joint. Masks keep padding
out. Each loss computes its own targets and advantages, as the usual implementations do.

Parameters are the library's own modules, so that losses and gradients can be held side by side.
It is batched, and compiled by XLA, which may share what it finds to be the same.

Sources: URMA, arXiv 2409.06366, section 3 and its code (one_policy_to_run_them_all);
cross-embodiment offline RL, arXiv 2602.18025; IQL 2110.06169; TD3+BC 2106.06860; AWAC 2006.09359.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bodyplan.envs.walking_task import ACTION_MEAN_LIMIT, Observation
from bodyplan.learn.algorithms.algorithm import Algorithm
from bodyplan.learn.algorithms.awac import AWAC
from bodyplan.learn.algorithms.bc import BC
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.algorithms.td3_bc import TD3BC
from bodyplan.learn.data.batches import RobotBatch
from bodyplan.learn.networks.layers import Dense, LayerNorm
from bodyplan.learn.networks.urma import SetEncoder, Torso
from bodyplan.learn.networks.urma_heads import (
    STD_RANGE,
    URMACritic,
    URMAPolicy,
    URMATwinQ,
    URMAValue,
)
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.robots.feature_sizes import POLICY_GENERAL

SLOTS = (24, 6)
"""Joints and feet that every robot is padded to: those of the largest."""


class Seen(NamedTuple):
    """What networks see of N samples, whichever robots they are of."""

    joints: Float[Array, "N J 3"]
    joint_descriptions: Float[Array, "N J 23"]
    joint_mask: Float[Array, "N J"]
    feet: Float[Array, "N F 2"]
    foot_descriptions: Float[Array, "N F 10"]
    foot_mask: Float[Array, "N F"]
    general: Float[Array, "N 13"]
    context: Float[Array, "N 7"]


class Transitions(NamedTuple):
    """N padded transitions, and the standard normal noise that their actions may need."""

    seen: Seen
    action: Float[Array, "N J"]
    reward: Float[Array, "N"]
    next_seen: Seen
    terminated: Float[Array, "N"]
    noise: Float[Array, "N J"]
    """For an action of the policy's own here."""
    next_noise: Float[Array, "N J"]
    """The same in the next state."""


Part = tuple[Any, Callable[[Any], Float[Array, ""]]]
"""Parameters that learn, and their loss."""


def pad(
    batches: Sequence[RobotBatch],
    noises: Sequence[tuple[Float[Array, "B J"], Float[Array, "B J"]]] | None = None,
    slots: tuple[int, int] = SLOTS,
) -> Transitions:
    """Robots' batches on one axis, as the paper's release holds them; noise is 0 if not given."""
    noises = noises or [(jnp.zeros_like(batch.action),) * 2 for batch in batches]
    robots = [
        Transitions(
            _pad_observation(batch.observation, batch.body, slots),
            _pad(batch.action, slots[0]),
            batch.reward,
            _pad_observation(batch.next_observation, batch.next_body, slots),
            batch.terminated,
            *(_pad(own, slots[0]) for own in noise),
        )
        for batch, noise in zip(batches, noises, strict=True)
    ]
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *robots)


def _pad_observation(
    observation: Observation, body: RobotDescriptor, slots: tuple[int, int]
) -> Seen:
    joints, feet, general = map(jnp.asarray, observation)
    own = [jnp.repeat(jnp.asarray(part)[None], len(general), axis=0) for part in body]
    return Seen(
        _pad(joints, slots[0]),
        _pad(own[0], slots[0]),
        _pad(jnp.ones_like(joints[..., 0]), slots[0]),
        _pad(feet, slots[1]),
        _pad(own[1], slots[1]),
        _pad(jnp.ones_like(feet[..., 0]), slots[1]),
        general,
        own[2],
    )


def _pad(values: Float[Array, "N elements *_"], slots: int) -> Float[Array, "N slots *_"]:
    widths = [(0, 0)] * values.ndim
    widths[1] = (0, slots - values.shape[1])
    return jnp.pad(values, widths)


def dense(layer: Dense, x: Float[Array, "*N inputs"]) -> Float[Array, "*N outputs"]:
    """A dense layer as everybody writes it."""
    return x @ layer.weight + layer.bias


def layer_norm(layer: LayerNorm, x: Float[Array, "*N width"]) -> Float[Array, "*N width"]:
    """The same of a normalisation."""
    centred = x - x.mean(-1, keepdims=True)
    variance = jnp.square(centred).mean(-1, keepdims=True)
    return centred / jnp.sqrt(variance + 1e-6) * layer.scale + layer.shift


def set_latent(
    encoder: SetEncoder,
    descriptions: Float[Array, "N elements description"],
    states: Float[Array, "N elements state"],
    mask: Float[Array, "N elements"],
) -> Float[Array, "N latent"]:
    """Outer products of attention and encoded state, summed over a robot's elements."""
    hidden = jax.nn.elu(layer_norm(encoder.norm, dense(encoder.describe, descriptions)))
    logits = jnp.clip(jnp.tanh(dense(encoder.choose, hidden)), -1.0 + 1e-8, 1.0 - 1e-8)
    weights = jnp.exp(logits / (jnp.exp(encoder.theta) + 0.015))
    weights = weights / (weights.sum(-1, keepdims=True) + 1e-8)
    encoded = jax.nn.elu(dense(encoder.encode, states))
    latents = weights[..., :, None] * encoded[..., None, :]
    return (latents * mask[..., None, None]).sum(axis=1).reshape(len(states), -1)


def core(
    torso: Torso,
    seen: Seen,
    general: Float[Array, "N general"],
    extra: Sequence[Float[Array, "N extra"]] = (),
) -> Float[Array, "N core"]:
    """Encoder and core, the last layer not yet activated."""
    joints = set_latent(torso.joints, seen.joint_descriptions, seen.joints, seen.joint_mask)
    feet = set_latent(torso.feet, seen.foot_descriptions, seen.feet, seen.foot_mask)
    latent = jnp.concatenate([joints, feet, general, seen.context, *extra], axis=-1)
    hidden = jax.nn.elu(layer_norm(torso.norm, dense(torso.first, latent)))
    return dense(torso.third, jax.nn.elu(dense(torso.second, hidden)))


def gaussian(policy: URMAPolicy, seen: Seen) -> tuple[Float[Array, "N J"], Float[Array, "N J"]]:
    """Mean and standard deviation of every joint's action; a padded joint's are 0 and 1."""
    said = core(policy.torso, seen, seen.general[:, POLICY_GENERAL])
    hidden = jax.nn.elu(
        layer_norm(policy.describe_norm, dense(policy.describe, seen.joint_descriptions))
    )
    codes = dense(policy.description, hidden)
    states = jax.lax.stop_gradient(jax.nn.elu(dense(policy.torso.joints.encode, seen.joints)))
    repeated = jnp.repeat(said[:, None], states.shape[1], axis=1)
    inputs = jnp.concatenate([repeated, states, codes], axis=-1)
    means = dense(
        policy.mean, jax.nn.elu(layer_norm(policy.decoder_norm, dense(policy.decoder, inputs)))
    )[..., 0]
    if policy.readout is not None:
        read = dense(policy.readout, jax.nn.elu(repeated))
        means += (read * codes).sum(-1) / np.sqrt(codes.shape[-1])
    stds = jnp.exp(jnp.clip(dense(policy.log_std, codes)[..., 0], *np.log(STD_RANGE)))
    means = jnp.clip(means, -ACTION_MEAN_LIMIT, ACTION_MEAN_LIMIT) * seen.joint_mask
    return means, jnp.where(seen.joint_mask > 0, stds, 1.0)


def value(network: URMAValue, seen: Seen) -> Float[Array, "N"]:
    """V(s)."""
    return _answer(network.critic, seen)


def twin_q(network: URMATwinQ, seen: Seen, action: Float[Array, "N J"]) -> Float[Array, "2 N"]:
    """Both Q(s, a), two networks as any other two."""
    answers = []
    for index in range(len(network.twins.critic.answer.weight)):
        twin = jax.tree.map(lambda leaf, index=index: leaf[index], network.twins)
        if twin.action is None:
            joints = jnp.concatenate([seen.joints, action[..., None]], axis=-1)
            answers.append(_answer(twin.critic, seen._replace(joints=joints)))
        else:
            slots = _pad(action, len(twin.action.weight))
            answers.append(_answer(twin.critic, seen, [jax.nn.elu(dense(twin.action, slots))]))
    return jnp.stack(answers)


def _answer(
    critic: URMACritic, seen: Seen, extra: Sequence[Float[Array, "N extra"]] = ()
) -> Float[Array, "N"]:
    return dense(critic.answer, jax.nn.elu(core(critic.torso, seen, seen.general, extra)))[:, 0]


def parts(
    algorithm: Algorithm, actor: URMAPolicy, critic: Any, batch: Transitions
) -> dict[str, Part]:
    """What learns in an update, by name, with the loss of each on all robots' samples.

    Every loss reads the parameters before the update.

    Raises:
        TypeError: the algorithm is none of those written down here.
    """
    match algorithm:
        case BC():
            return {"actor": (actor, lambda actor: _imitation(algorithm, actor, batch, 1.0))}
        case IQL():
            return _iql(algorithm, actor, critic, batch)
        case AWAC():
            return _awac(algorithm, actor, critic, batch)
        case TD3BC():
            return _td3_bc(algorithm, actor, critic, batch)
    raise TypeError(f"{type(algorithm).__name__} has no literal form")


def _iql(config: IQL, actor: URMAPolicy, critic: Any, batch: Transitions) -> dict[str, Part]:
    """arXiv 2110.06169, equations 5 to 7."""

    def advantage(network: URMAValue) -> Float[Array, "N"]:
        target_q = twin_q(critic.target, batch.seen, batch.action).min(axis=0)
        return jax.lax.stop_gradient(target_q) - value(network, batch.seen)

    def value_loss(network: URMAValue) -> Float[Array, ""]:
        errors = advantage(network)
        sides = jnp.where(errors > 0, config.expectile, 1.0 - config.expectile)
        return (sides * jnp.square(errors)).mean()

    def actor_loss(actor: URMAPolicy) -> Float[Array, ""]:
        weights = jnp.exp(config.beta * advantage(critic.value))
        return _imitation(config, actor, batch, jnp.minimum(weights, config.weight_clip))

    def q_loss(network: URMATwinQ) -> Float[Array, ""]:
        return _bellman(network, batch, config.gamma, value(critic.value, batch.next_seen))

    critics = {"value": (critic.value, value_loss), "q": (critic.q, q_loss)}
    return {**critics, "actor": (actor, actor_loss)}


def _awac(config: AWAC, actor: URMAPolicy, critic: Any, batch: Transitions) -> dict[str, Part]:
    """arXiv 2006.09359, Algorithm 1."""

    def q_loss(network: URMATwinQ) -> Float[Array, ""]:
        means, stds = gaussian(actor, batch.next_seen)
        drawn = means + stds * batch.next_noise
        following = twin_q(critic.target, batch.next_seen, drawn).min(axis=0)
        return _bellman(network, batch, config.gamma, following)

    def actor_loss(network: URMAPolicy) -> Float[Array, ""]:
        means, stds = gaussian(actor, batch.seen)
        own = twin_q(critic.q, batch.seen, means + stds * batch.noise).min(axis=0)
        better = twin_q(critic.q, batch.seen, batch.action).min(axis=0) - own
        weights = jnp.minimum(jnp.exp(better / config.temperature), config.weight_clip)
        return _imitation(config, network, batch, weights)

    return {"q": (critic.q, q_loss), "actor": (actor, actor_loss)}


def _td3_bc(config: TD3BC, actor: URMAPolicy, critic: Any, batch: Transitions) -> dict[str, Part]:
    """arXiv 2106.06860, with |Q| over the whole batch."""

    def act(actor: URMAPolicy, seen: Seen) -> Float[Array, "N J"]:
        return config.max_action * jnp.tanh(gaussian(actor, seen)[0])

    def q_loss(network: URMATwinQ) -> Float[Array, ""]:
        noise = config.target_noise * batch.next_noise
        noise = jnp.clip(noise, -config.noise_clip, config.noise_clip)
        action = act(critic.target_actor, batch.next_seen) + noise
        action = jnp.clip(action, -config.max_action, config.max_action)
        following = twin_q(critic.target, batch.next_seen, action).min(axis=0)
        return _bellman(network, batch, config.gamma, following)

    def actor_loss(actor: URMAPolicy) -> Float[Array, ""]:
        action, mask = act(actor, batch.seen), batch.seen.joint_mask
        q = twin_q(critic.q, batch.seen, action)[0]
        cloning = _over_joints(jnp.square(action - batch.action), mask)
        on_q, on_cloning = (config.alpha, 1.0) if config.alpha_on == "q" else (1.0, config.alpha)
        climbing = q / jax.lax.stop_gradient(jnp.abs(q).mean())
        return (on_cloning * cloning - on_q * climbing).mean()

    return {"q": (critic.q, q_loss), "actor": (actor, actor_loss)}


def _bellman(
    network: URMATwinQ, batch: Transitions, gamma: float, following: Float[Array, "N"]
) -> Float[Array, ""]:
    """Squared errors of both Q, added up."""
    returns = batch.reward + gamma * (1.0 - batch.terminated) * jax.lax.stop_gradient(following)
    errors = twin_q(network, batch.seen, batch.action) - returns
    return jnp.square(errors).sum(axis=0).mean()


def _imitation(
    config: BC | IQL | AWAC,
    actor: URMAPolicy,
    batch: Transitions,
    weights: Float[Array, "N"] | float,
) -> Float[Array, ""]:
    """-mean(w log pi(a|s))."""
    means, stds = gaussian(actor, batch.seen)
    each = -0.5 * jnp.square((batch.action - means) / stds) - jnp.log(stds)
    each -= 0.5 * np.log(2 * np.pi)
    if config.log_probability == "sum":
        return -(weights * (each * batch.seen.joint_mask).sum(-1)).mean()
    return -(weights * _over_joints(each, batch.seen.joint_mask)).mean()


def _over_joints(values: Float[Array, "N J"], mask: Float[Array, "N J"]) -> Float[Array, "N"]:
    return (values * mask).sum(-1) / mask.sum(-1)
