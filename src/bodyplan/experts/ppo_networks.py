"""The networks of PPO: a Gaussian actor, a critic, and the normaliser of their inputs.

Actor and critic can be exactly mirror-symmetric. Their weights are then tied: every hidden unit
has a twin that computes in the mirrored world what the unit computes in this one. A symmetric
network costs as much as any network of its width, and its tied weights are an ordinary MLP.
"""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from bodyplan.envs.walking_task import ACTION_MEAN_LIMIT
from bodyplan.experts.expert_observations import MirrorMaps
from bodyplan.robots.symmetry import MirrorMap


class RunningNormaliser(NamedTuple):
    """Standardises observations by the mean and variance of all that came before."""

    mean: Float[Array, " I"]
    variance: Float[Array, " I"]
    seen: Float[Array, ""]
    """Number of observations so far."""

    @classmethod
    def create(cls, size: int) -> "RunningNormaliser":
        """The normaliser of `size` inputs before any observation."""
        return cls(jnp.zeros(size), jnp.ones(size), jnp.asarray(1e-4, jnp.float32))

    def __call__(self, values: Float[Array, "... I"]) -> Float[Array, "... I"]:
        """The standardised values."""
        return (values - self.mean) / self.std

    @property
    def std(self) -> Float[Array, " I"]:
        """Standard deviation, kept away from zero."""
        return jnp.sqrt(self.variance) + 1e-3

    def update(self, values: Float[Array, "... I"]) -> "RunningNormaliser":
        """Add a batch, by the parallel formula of Chan, Golub and LeVeque (1983)."""
        batch = values.reshape(-1, values.shape[-1])
        total = self.seen + len(batch)
        shift = batch.mean(axis=0) - self.mean
        mean = self.mean + shift * len(batch) / total
        squares = self.variance * self.seen + batch.var(axis=0) * len(batch)
        squares += shift**2 * self.seen * len(batch) / total
        return RunningNormaliser(mean, squares / total, total)


class PPOActor(eqx.Module):
    """A Gaussian policy whose standard deviation does not depend on the observation."""

    mlp: eqx.nn.MLP
    log_std: Float[Array, " J"]
    mirror: MirrorMaps | None = eqx.field(static=True, default=None)

    @classmethod
    def create(
        cls,
        key: PRNGKeyArray,
        num_observations: int,
        hidden_size: int,
        initial_std: Float[np.ndarray, " J"],
        mirror: MirrorMaps | None = None,
    ) -> "PPOActor":
        """An untrained actor, whose mean actions are near zero."""
        num_joints = len(initial_std)
        mlp = eqx.nn.MLP(num_observations, num_joints, hidden_size, 2, jax.nn.elu, key=key)
        last = mlp.layers[-1]
        mlp = eqx.tree_at(
            lambda tree: (tree.layers[-1].weight, tree.layers[-1].bias),
            mlp,
            (0.01 * last.weight, jnp.zeros(num_joints)),
        )
        log_std = [math.log(std) for std in initial_std]
        return cls(mlp, jnp.array(log_std, jnp.float32), mirror)

    def __call__(self, observations: Float[Array, "B I"]) -> Float[Array, "B J"]:
        """Mean actions of normalised observations."""
        mean = jax.vmap(self.network())(observations)
        return jnp.clip(mean, -ACTION_MEAN_LIMIT, ACTION_MEAN_LIMIT)

    def network(self) -> eqx.nn.MLP:
        """The MLP that acts, with its weights tied where the actor is symmetric."""
        if self.mirror is None:
            return self.mlp
        return mirror_symmetric(self.mlp, self.mirror.observations, self.mirror.actions)

    def std(self) -> Float[Array, " J"]:
        """Standard deviation of each joint's action; twin joints share one."""
        if self.mirror is None:
            return jnp.exp(self.log_std)
        return jnp.exp(0.5 * (self.log_std + self.mirror.actions.unsigned()(self.log_std)))


class PPOCritic(eqx.Module):
    """The value function."""

    mlp: eqx.nn.MLP
    mirror: MirrorMaps | None = eqx.field(static=True, default=None)

    @classmethod
    def create(
        cls,
        key: PRNGKeyArray,
        num_observations: int,
        hidden_size: int,
        mirror: MirrorMaps | None = None,
    ) -> "PPOCritic":
        """An untrained critic."""
        mlp = eqx.nn.MLP(num_observations, "scalar", hidden_size, 2, jax.nn.elu, key=key)
        return cls(mlp, mirror)

    def __call__(self, observation: Float[Array, " P"]) -> Float[Array, ""]:
        """Value of one normalised observation."""
        mlp = self.mlp
        if self.mirror is not None:
            mlp = mirror_symmetric(mlp, self.mirror.critic_observations, MirrorMap.in_place((1.0,)))
        value: Float[Array, ""] = mlp(observation)
        return value


def mirror_symmetric(mlp: eqx.nn.MLP, inputs: MirrorMap, outputs: MirrorMap) -> eqx.nn.MLP:
    """The nearest MLP whose output for a mirrored input is the mirrored output.

    Hidden units of the first half are the twins of those of the second half. Averaging over the
    group of a mirror makes a layer equivariant (van der Pol et al. 2020, arXiv 2006.16908).
    """
    half = mlp.width_size // 2
    twins = MirrorMap((*range(half, 2 * half), *range(half)), (1.0,) * (2 * half))
    maps = [inputs, *([twins] * mlp.depth), outputs]
    parts = []
    for layer, before, after in zip(mlp.layers, maps[:-1], maps[1:], strict=True):
        weight, bias = layer.weight, layer.bias
        assert bias is not None
        # W <- (W + B W A) / 2, where A mirrors the layer's input and B its output.
        parts += [0.5 * (weight + after(before(weight).T).T), 0.5 * (bias + after(bias))]
    return eqx.tree_at(_weights_and_biases, mlp, parts)


def _weights_and_biases(mlp: eqx.nn.MLP) -> list[Any]:
    return [part for layer in mlp.layers for part in (layer.weight, layer.bias)]
