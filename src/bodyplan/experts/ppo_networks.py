"""The networks of an expert's PPO: a Gaussian actor, a critic, and what normalises their inputs.

Both may be exactly mirror-equivariant: weights are tied so that every hidden unit has a twin that
does in the mirrored world what the unit does in this one. Such a network costs what any network of
its width costs, and is one to whoever reads its weights.
"""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from bodyplan.robots.symmetry import MirrorMap

MAX_MEAN = 10.0
"""Bound on a mean action, as in the original task's policies."""


class MirrorMaps(NamedTuple):
    """What a mirror does to an actor's senses, to a critic's, and to actions."""

    senses: MirrorMap
    privileged: MirrorMap
    actions: MirrorMap


class Normaliser(NamedTuple):
    """Running mean and variance of what is observed."""

    mean: Float[Array, " I"]
    variance: Float[Array, " I"]
    seen: Float[Array, ""]

    def __call__(self, values: Float[Array, "... I"]) -> Float[Array, "... I"]:
        return (values - self.mean) / self.std

    @property
    def std(self) -> Float[Array, " I"]:
        return jnp.sqrt(self.variance) + 1e-3

    def update(self, values: Float[Array, "... I"]) -> "Normaliser":
        """Take in a batch (Chan et al.'s parallel update)."""
        flat = values.reshape(-1, values.shape[-1])
        total = self.seen + len(flat)
        shift = flat.mean(axis=0) - self.mean
        mean = self.mean + shift * len(flat) / total
        squares = self.variance * self.seen + flat.var(axis=0) * len(flat)
        squares += shift**2 * self.seen * len(flat) / total
        return Normaliser(mean, squares / total, total)


class PPOActor(eqx.Module):
    """A Gaussian over actions whose spread does not depend on the state."""

    mlp: eqx.nn.MLP
    log_std: Float[Array, " J"]
    reflections: MirrorMaps | None = eqx.field(static=True, default=None)

    def __call__(self, senses: Float[Array, "B I"]) -> Float[Array, "B J"]:
        return jnp.clip(jax.vmap(self.network())(senses), -MAX_MEAN, MAX_MEAN)

    def network(self) -> eqx.nn.MLP:
        """The layers that act."""
        if self.reflections is None:
            return self.mlp
        return tied(self.mlp, self.reflections.senses, self.reflections.actions)

    def std(self) -> Float[Array, " J"]:
        if self.reflections is None:
            return jnp.exp(self.log_std)
        return jnp.exp(0.5 * (self.log_std + self.reflections.actions.unsigned()(self.log_std)))


class PPOCritic(eqx.Module):
    """The value of one moment."""

    mlp: eqx.nn.MLP
    reflections: MirrorMaps | None = eqx.field(static=True, default=None)

    def __call__(self, privileged: Float[Array, " P"]) -> Float[Array, ""]:
        mlp = self.mlp
        if self.reflections is not None:
            mlp = tied(mlp, self.reflections.privileged, MirrorMap.kept((1.0,)))
        value: Float[Array, ""] = mlp(privileged)
        return value


def tied(mlp: eqx.nn.MLP, senses: MirrorMap, actions: MirrorMap) -> eqx.nn.MLP:
    """The nearest network whose answer to a mirrored input is the mirrored answer.

    Hidden units of the first half are the twins of those of the second. Each layer's matrix W
    becomes (W + B W A)/2, where A reflections what comes in and B what goes out.
    """
    half = mlp.width_size // 2
    twins = MirrorMap((*range(half, 2 * half), *range(half)), (1.0,) * (2 * half))
    sides = [senses, *([twins] * mlp.depth), actions]
    parts = []
    for layer, before, after in zip(mlp.layers, sides[:-1], sides[1:], strict=True):
        weight, bias = layer.weight, layer.bias
        assert bias is not None
        parts += [0.5 * (weight + after(before(weight).T).T), 0.5 * (bias + after(bias))]
    return eqx.tree_at(_weights_and_biases, mlp, parts)


def _weights_and_biases(mlp: eqx.nn.MLP) -> list[Any]:
    return [part for layer in mlp.layers for part in (layer.weight, layer.bias)]


def fresh_actor(
    key: PRNGKeyArray,
    senses: int,
    hidden: int,
    initial_std: Float[np.ndarray, " J"],
    reflections: MirrorMaps | None = None,
) -> PPOActor:
    """An actor whose first mean actions are near zero."""
    joints = len(initial_std)
    mlp = eqx.nn.MLP(senses, joints, hidden, 2, jax.nn.elu, key=key)
    last = mlp.layers[-1]
    mlp = eqx.tree_at(
        lambda m: (m.layers[-1].weight, m.layers[-1].bias),
        mlp,
        (0.01 * last.weight, jnp.zeros(joints)),
    )
    log_std = [math.log(std) for std in initial_std]
    return PPOActor(mlp, jnp.array(log_std, jnp.float32), reflections)


def fresh_critic(
    key: PRNGKeyArray, privileged: int, hidden: int, reflections: MirrorMaps | None = None
) -> PPOCritic:
    """A critic that knows nothing."""
    return PPOCritic(eqx.nn.MLP(privileged, "scalar", hidden, 2, jax.nn.elu, key=key), reflections)


def fresh_normaliser(size: int) -> Normaliser:
    """One that has seen nothing."""
    return Normaliser(jnp.zeros(size), jnp.ones(size), jnp.asarray(1e-4, jnp.float32))
