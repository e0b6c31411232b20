"""Multilayer perceptrons for one robot: everything in one row, two hidden layers, no descriptors.

The usual networks of offline reinforcement learning on one body (IQL, arXiv 2110.06169, section
5.2; TD3+BC, arXiv 2106.06860, table 3), for baselines and for comparison with other libraries. The
heads answer as URMA's do; of the bodies they make nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from msgspec import Meta

from bodyplan.envs.walking_task import ACTION_MEAN_LIMIT, Observation
from bodyplan.errors import BodyplanError
from bodyplan.learn.data.batches import Bodies
from bodyplan.learn.networks.layers import Dense, elu, orthogonal
from bodyplan.learn.networks.urma_heads import STD_RANGE
from bodyplan.records import Size
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.robots.feature_sizes import (
    GENERAL_OBSERVATION_SIZE,
    POLICY_GENERAL,
    POLICY_GENERAL_SIZE,
    local_observation_size,
)

_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "elu": elu,
    "tanh": jnp.tanh,
}


@dataclass(frozen=True)
class FlatSizes:
    """One robot's build, and the layers for it."""

    joints: Size
    """The robot's."""
    feet: Size
    """The robot's."""
    hidden: tuple[Size, ...] = (256, 256)
    """Widths of the hidden layers of policy, V and Q alike."""
    activation: Literal["relu", "elu", "tanh"] = "relu"
    """After each hidden layer."""
    squash: Annotated[float, Meta(gt=0.0)] | None = None
    """Means are this times a tanh, as in TD3; where not given only `ACTION_MEAN_LIMIT` binds."""
    initial_std: Annotated[float, Meta(gt=0.0)] = 1.0
    """Standard deviation of actions before training."""

    @property
    def states(self) -> int:
        """How many numbers a row of joint and foot states has."""
        return local_observation_size(self.joints, self.feet)


class Layers(eqx.Module):
    """Dense layers with an activation between them, none after the last."""

    dense: tuple[Dense, ...]
    activation: str = eqx.field(static=True)

    def __init__(
        self, rng: np.random.Generator, sizes: FlatSizes, inputs: int, outputs: int, gain: float
    ) -> None:
        """Fresh weights; the last layer's are `gain` times an orthogonal matrix."""
        widths = (inputs, *sizes.hidden)
        hidden = [
            Dense(rng, before, after, orthogonal(2**0.5)) for before, after in pairwise(widths)
        ]
        self.dense = (*hidden, Dense(rng, widths[-1], outputs, orthogonal(gain)))
        self.activation = sizes.activation

    def __call__(self, row: Float[Array, "batch inputs"]) -> Float[Array, "batch outputs"]:
        *hidden, last = self.dense
        for layer in hidden:
            row = _ACTIVATIONS[self.activation](layer(row))
        return last(row)


class FlatPolicy(eqx.Module):
    """A Gaussian for every joint, whose standard deviation does not depend on the state."""

    layers: Layers
    log_std: Float[Array, "joints"]
    sizes: FlatSizes = eqx.field(static=True)

    def __init__(self, rng: np.random.Generator, sizes: FlatSizes) -> None:
        general = POLICY_GENERAL_SIZE
        self.layers = Layers(rng, sizes, sizes.states + general, sizes.joints, gain=0.01)
        self.log_std = jax.device_put(np.full(sizes.joints, np.log(sizes.initial_std), np.float32))
        self.sizes = sizes

    def __call__(
        self, observation: Observation, body: RobotDescriptor | None = None
    ) -> tuple[Float[Array, "N J"], Float[Array, "1 J"]]:
        """Mean and standard deviation of the robot's actions."""
        row = _row(self.sizes, observation, observation.general[:, POLICY_GENERAL])
        answer, squash = self.layers(row), self.sizes.squash
        mean = (
            jnp.clip(answer, -ACTION_MEAN_LIMIT, ACTION_MEAN_LIMIT)
            if squash is None
            else squash * jnp.tanh(answer)
        )
        return mean, jnp.exp(jnp.clip(self.log_std, *np.log(STD_RANGE)))[None]

    def over_robots(
        self, observations: Sequence[Observation], bodies: Sequence[Bodies]
    ) -> tuple[tuple[Float[Array, "1 B J"], Float[Array, "1 1 J"]], ...]:
        """The same for a batch of one robot.

        Raises:
            BodyplanError: there are more robots, or it is another one.
        """
        mean, std = self(_alone(observations))
        return ((mean[None], std[None]),)


class FlatValue(eqx.Module):
    """V(s)."""

    layers: Layers
    sizes: FlatSizes = eqx.field(static=True)

    def __init__(self, rng: np.random.Generator, sizes: FlatSizes) -> None:
        self.layers = Layers(rng, sizes, sizes.states + GENERAL_OBSERVATION_SIZE, 1, gain=1.0)
        self.sizes = sizes

    def __call__(
        self, observation: Observation, body: RobotDescriptor | None = None
    ) -> Float[Array, "N"]:
        """Values of the robot's states."""
        return self.layers(_row(self.sizes, observation, observation.general))[:, 0]

    def over_robots(
        self, observations: Sequence[Observation], bodies: Sequence[Bodies]
    ) -> Float[Array, "1 B"]:
        """The same for a batch of one robot; raises as `FlatPolicy.over_robots` does."""
        return self(_alone(observations))[None]


class FlatTwinQ(eqx.Module):
    """Two independent Q(s, a)."""

    twins: Layers
    """Every array with a leading axis of two."""
    sizes: FlatSizes = eqx.field(static=True)

    def __init__(self, rng: np.random.Generator, sizes: FlatSizes) -> None:
        inputs = sizes.states + GENERAL_OBSERVATION_SIZE + sizes.joints
        twins = [Layers(rng, sizes, inputs, 1, gain=1.0) for _ in range(2)]
        self.twins = jax.tree.map(lambda *arrays: jax.device_put(np.stack(arrays)), *twins)
        self.sizes = sizes

    def __call__(
        self,
        observation: Observation,
        action: Float[Array, "N J"],
        body: RobotDescriptor | None = None,
    ) -> Float[Array, "2 N"]:
        """Both estimates."""
        row = _row(self.sizes, observation, observation.general, action)
        # A row for each twin: of a shared one XLA makes a single product, whose transposes cost
        # more than it saves.
        rows = jnp.broadcast_to(row, (len(self.twins.dense[0].bias), *row.shape))
        return jax.vmap(lambda twin, row: twin(row)[:, 0])(self.twins, rows)

    def over_robots(
        self,
        observations: Sequence[Observation],
        actions: Sequence[Float[Array, "1 B J"]],
        bodies: Sequence[Bodies],
    ) -> Float[Array, "2 1 B"]:
        """The same for a batch of one robot; raises as `FlatPolicy.over_robots` does."""
        observation = _alone(observations)
        return self(observation, actions[0][0])[:, None]


def _alone(observations: Sequence[Observation]) -> Observation:
    """The only robot's observation."""
    robots = sum(len(build.general) for build in observations)
    if robots != 1:
        raise BodyplanError(
            f"a flat network is for one robot and was given {robots}; choose one of "
            "them, or a network for any body"
        )
    return Observation._make(part[0] for part in observations[0])


def _row(
    sizes: FlatSizes, observation: Observation, *rest: ArrayLike
) -> Float[Array, "batch inputs"]:
    """Joints, feet and the rest `[batch, _]`, side by side."""
    joints, feet = jnp.asarray(observation.joints), jnp.asarray(observation.feet)
    build = joints.shape[-2], feet.shape[-2]
    if build != (sizes.joints, sizes.feet):
        raise BodyplanError(
            f"a flat network for {sizes.joints} joints and {sizes.feet} feet was given a robot "
            f"with {build[0]} and {build[1]}; give it the robot it was made for"
        )
    batch = len(joints)
    parts = (joints.reshape(batch, -1), feet.reshape(batch, -1), *map(jnp.asarray, rest))
    return jnp.concatenate(parts, axis=-1)
