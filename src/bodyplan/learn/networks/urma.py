"""URMA: one encoder for every body (Bohlinger et al. 2024, arXiv 2409.06366, section 3).

A robot is a set of joints and a set of feet. Each element's description chooses, by a softmax over
latent channels, where its state goes; the states so placed are summed over the set. So the latent
of a robot has one size whatever its build, and the order of its joints does not matter.

Robots come build by build: a tuple of arrays `[r, B, elements, ...]`, in which all robots of a
build have an axis. What depends on descriptions alone is computed once per body. Where all samples
of a robot are of one body, the latent itself is never built: the layer after it is linear, so the
attention and that layer's weights fold into one matrix per robot, `[4 J + 4 F + general, width]`,
several times smaller than the latent's own. A padded joint or foot has no attention.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from msgspec import Meta

from bodyplan.envs.walking_task import Observation
from bodyplan.learn.data.batches import Bodies
from bodyplan.learn.networks.layers import Dense, LayerNorm, elu, orthogonal, product, split
from bodyplan.records import Size
from bodyplan.robots.feature_sizes import (
    ACTION_SLOTS,
    CONTEXT_SIZE,
    FOOT_DESCRIPTOR_SIZE,
    FOOT_OBSERVATION_SIZE,
    JOINT_DESCRIPTOR_SIZE,
    JOINT_OBSERVATION_SIZE,
)

_TEMPERATURE_FLOOR = 0.015


@dataclass(frozen=True)
class NetworkSizes:
    """Widths of the networks; the defaults are URMA's own, which we take for the paper's."""

    joint_channels: Size = 64
    """Latent channels that a joint's description chooses from."""
    joint_width: Size = 4
    """Numbers a joint's state is encoded into."""
    foot_channels: Size = 32
    """Latent channels that a foot's description chooses from."""
    foot_width: Size = 4
    """Numbers a foot's state is encoded into."""
    core: tuple[Size, Size, Size] = (512, 256, 128)
    """The policy's layers between the latent and its decoder."""
    critic_core: tuple[Size, Size, Size] = (512, 256, 128)
    """The layers of V and Q between the latent and their answer."""
    description: Size = 128
    """Width of the decoder's encoding of a joint's description."""
    decoder: Size = 128
    """Hidden width of the decoder, which runs once per joint."""
    readout: bool = False
    """Add to each mean a linear readout of the core that the joint's description chooses (ours)."""
    temperature: Annotated[float, Meta(gt=_TEMPERATURE_FLOOR)] = 1.0
    """Of the softmax over channels, before training; lower tells elements apart from the start."""
    actions: Literal["slots", "joints"] = "slots"
    """How Q reads actions: as one vector with a slot for each joint, or (ours) each beside its
    joint's state, so that neither the joints' order nor a largest number of them matters."""
    action: Size = 64
    """Width of Q's encoding of the slots (our choice: the paper gives none)."""
    action_slots: Size = ACTION_SLOTS
    """Joints of the largest robot; Q reads actions zero-padded to this."""


PRESETS = {
    "paper": NetworkSizes(),
    "small": NetworkSizes(
        joint_channels=64,
        foot_channels=32,
        core=(128, 128, 128),
        critic_core=(64, 64, 64),
        description=64,
        decoder=16,
        readout=True,
        temperature=0.2,
        action=32,
    ),
    "tiny": NetworkSizes(
        joint_channels=4,
        foot_channels=2,
        core=(16, 16, 16),
        critic_core=(16, 16, 16),
        description=8,
        decoder=16,
        action=8,
    ),
}
"""The paper's sizes; sizes for CPUs; sizes for trying the machinery."""


class SetEncoder(eqx.Module):
    """Weights for one kind of element, shared by all robots."""

    describe: Dense
    norm: LayerNorm
    choose: Dense
    theta: Float[Array, ""]
    """The softmax temperature is exp(theta) + 0.015."""
    encode: Dense

    def __init__(
        self,
        rng: np.random.Generator,
        description: int,
        state: int,
        channels: int,
        width: int,
        temperature: float = 1.0,
    ) -> None:
        self.describe = Dense(rng, description, channels)
        self.norm = LayerNorm(channels)
        self.choose = Dense(rng, channels, channels)
        self.theta = jax.device_put(np.float32(np.log(temperature - _TEMPERATURE_FLOOR)))
        self.encode = Dense(rng, state, width)

    @property
    def latent(self) -> int:
        """Width of the set's latent."""
        return self.choose.bias.size * self.encode.bias.size

    def attention(
        self, descriptions: Float[Array, "elements description"]
    ) -> Float[Array, "elements channels"]:
        """Softmax over the channels of each element, not over the elements."""
        logits = jnp.tanh(self.choose(elu(self.norm(self.describe(descriptions)))))
        logits = jnp.clip(logits, -1.0 + 1e-8, 1.0 - 1e-8)
        weights = jnp.exp(logits / (jnp.exp(self.theta) + _TEMPERATURE_FLOOR))
        return weights / (weights.sum(-1, keepdims=True) + 1e-8)

    def states(
        self, states: Sequence[Float[Array, "r B elements state"]]
    ) -> tuple[Float[Array, "r B elements w"], ...]:
        """Element states, encoded, build by build."""
        return on_one_axis(lambda rows: elu(self.encode(rows)), states)

    def fold(
        self,
        descriptions: Sequence[Float[Array, "r elements description"]],
        masks: Sequence[Float[Array, "r elements"] | None],
        weight: Float[Array, "latent outputs"],
    ) -> tuple[Float[Array, "r folded outputs"], ...]:
        """For each robot the matrix that takes its states where `weight` takes its latent."""
        outputs, channels = weight.shape[-1], self.choose.bias.size
        by_channel = weight.reshape(channels, -1)
        attention = on_one_axis(self.attention, descriptions)
        each = [masked(*own) for own in zip(attention, masks, strict=True)]
        folded = on_one_axis(lambda rows: product(rows, by_channel), each)
        width = self.encode.bias.size
        return tuple(own.reshape(len(own), own.shape[1] * width, outputs) for own in folded)

    def place(
        self,
        states: Float[Array, "r B elements w"],
        bodies: Bodies,
        descriptions: Float[Array, "bodies elements description"],
        mask: Float[Array, "r elements"] | None,
        weight: Float[Array, "latent outputs"],
    ) -> Float[Array, "r B outputs"]:
        """What `weight` makes of the latents, built with each sample's own attention."""
        attention = bodies.of_samples(self.attention(descriptions))
        attention = masked(attention, None if mask is None else mask[:, None])
        # Channels last, which XLA is twice as fast at on a CPU; the weight's rows follow.
        latents = jnp.einsum("rbec,rbew->rbwc", attention, states)
        weight = weight.reshape(attention.shape[-1], -1, weight.shape[-1]).swapaxes(0, 1)
        flat = latents.reshape(*latents.shape[:2], -1)
        return flat @ weight.reshape(-1, weight.shape[-1])


def on_one_axis(
    function: Callable[[Float[Array, "rows width"]], Float[Array, "rows outputs"]],
    arrays: Sequence[Float[Array, "*shape width"]],
) -> tuple[Float[Array, "*shape outputs"], ...]:
    """A function of rows, applied to those of all builds at once.

    So the number of operations does not grow with the builds.
    """
    shapes = [array.shape[:-1] for array in arrays]
    lengths = [math.prod(shape) for shape in shapes]
    each = zip(arrays, lengths, strict=True)
    answers = function(jnp.concatenate([own.reshape(rows, own.shape[-1]) for own, rows in each]))
    pieces = zip(split(answers, lengths), shapes, strict=True)
    return tuple(piece.reshape(*shape, answers.shape[-1]) for piece, shape in pieces)


def masked(
    values: Float[Array, "*rows elements width"], mask: Float[Array, "*rows elements"] | None
) -> Float[Array, "*rows elements width"]:
    """Zero where an element is padding."""
    return values if mask is None else values * mask[..., None]


Sensed = tuple[
    Bodies,
    Float[Array, "r B joints w"],
    Float[Array, "r B feet w"],
    Float[Array, "r B general"],
]
"""One build's samples: whose they are, encoded joint and foot states, and the rest."""


class Encoded(eqx.Module):
    """What the encoder and the core know of the samples."""

    core: Float[Array, "samples width"]
    """Of all robots, in the order of the builds, on one axis."""
    joints: tuple[Float[Array, "r B joints w"], ...]
    """Joint states, build by build."""


class Torso(eqx.Module):
    """Encoder and core, all that policy and critics have in common (each with its own weights)."""

    joints: SetEncoder
    feet: SetEncoder
    first: Dense
    norm: LayerNorm
    second: Dense
    third: Dense

    def __init__(
        self,
        rng: np.random.Generator,
        sizes: NetworkSizes,
        core: tuple[int, int, int],
        general: int,
        extra: int = 0,
        joint_state: int = JOINT_OBSERVATION_SIZE,
    ) -> None:
        """Fresh weights; `general` and `extra` are the widths of what follows joints and feet."""
        first, second, third = core
        gain = orthogonal(2**0.5)
        joints = (JOINT_DESCRIPTOR_SIZE, joint_state, sizes.joint_channels, sizes.joint_width)
        feet = (FOOT_DESCRIPTOR_SIZE, FOOT_OBSERVATION_SIZE, sizes.foot_channels, sizes.foot_width)
        self.joints = SetEncoder(rng, *joints, sizes.temperature)
        self.feet = SetEncoder(rng, *feet, sizes.temperature)
        inputs = self.joints.latent + self.feet.latent + general + CONTEXT_SIZE + extra
        self.first = Dense(rng, inputs, first, gain)
        self.norm = LayerNorm(first)
        self.second = Dense(rng, first, second, gain)
        self.third = Dense(rng, second, third, gain)

    def __call__(
        self,
        observations: Sequence[Observation],
        general: Sequence[Float[Array, "r B general"]],
        bodies: Sequence[Bodies],
        extra: Float[Array, "samples extra"] | None = None,
    ) -> Encoded:
        """Run all robots, build by build; `extra` enters the core beside the latent."""
        joints = self.joints.states([jnp.asarray(seen.joints) for seen in observations])
        feet = self.feet.states([jnp.asarray(seen.feet) for seen in observations])
        robots = list(zip(bodies, joints, feet, general, strict=True))
        folded = iter(self._folded([own for own in robots if own[0].ids is None]))
        hidden = jnp.concatenate(
            [_rows(next(folded) if own[0].ids is None else self._unfolded(*own)) for own in robots]
        )
        if extra is not None:
            hidden += product(extra, self.first.weight[-extra.shape[-1] :])
        hidden = elu(self.second(elu(self.norm(hidden))))
        return Encoded(core=self.third(hidden), joints=joints)

    def _folded(self, robots: Sequence[Sensed]) -> list[Float[Array, "r B first"]]:
        """The core's first layer for robots of one body each, by a matrix for each robot."""
        if not robots:
            return []
        bodies = [own for own, *_ in robots]
        for_joints, for_feet, for_general, for_context = self._split(robots[0][-1].shape[-1])
        joints = self.joints.fold(
            [own.joints for own in bodies],
            [own.joint_mask for own in bodies],
            for_joints,
        )
        feet = self.feet.fold(
            [own.feet for own in bodies], [own.foot_mask for own in bodies], for_feet
        )
        offsets = on_one_axis(
            lambda rows: rows @ for_context + self.first.bias,
            [own.context for own in bodies],
        )
        first = []
        for (_, *states), joint, foot, offset in zip(robots, joints, feet, offsets, strict=True):
            rest = jnp.broadcast_to(for_general, (len(joint), *for_general.shape))
            matrix = jnp.concatenate([joint, foot, rest, offset[:, None]], axis=1)
            one = jnp.ones((*states[-1].shape[:2], 1), states[-1].dtype)
            flat = [own.reshape(*own.shape[:2], math.prod(own.shape[2:])) for own in (*states, one)]
            first.append(product(jnp.concatenate(flat, axis=-1), matrix))
        return first

    def _unfolded(
        self,
        bodies: Bodies,
        joints: Float[Array, "r B joints w"],
        feet: Float[Array, "r B feet w"],
        general: Float[Array, "r B general"],
    ) -> Float[Array, "r B first"]:
        """The same for robots of many bodies, through the latents."""
        for_joints, for_feet, for_general, for_context = self._split(general.shape[-1])
        return (
            self.joints.place(joints, bodies, bodies.joints, bodies.joint_mask, for_joints)
            + self.feet.place(feet, bodies, bodies.feet, bodies.foot_mask, for_feet)
            + general @ for_general
            + bodies.of_samples(bodies.context) @ for_context
            + self.first.bias
        )

    def _split(self, general: int) -> tuple[Array, Array, Array, Array]:
        """The core's first weight by what it reads: joints, feet, general, context."""
        widths = [self.joints.latent, self.feet.latent, general, CONTEXT_SIZE]
        first, second, third, fourth, _ = split(
            self.first.weight, [*widths, len(self.first.weight) - sum(widths)]
        )
        return first, second, third, fourth


def _rows(values: Float[Array, "r B width"]) -> Float[Array, "samples width"]:
    return values.reshape(-1, values.shape[-1])
