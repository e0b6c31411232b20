"""URMA: one encoder for every body (Bohlinger et al. 2024, arXiv 2409.06366, section 3).

A robot is a set of joints and a set of feet. Each element's description chooses, by a softmax over
latent channels, where its state goes; the states so placed are summed over the set. So the latent
of a robot has one size whatever its build, and the order of its joints does not matter.

Robots come as tuples with one entry each, every entry with its own number of joints and feet: no
padding, no masks. What depends on descriptions alone is computed once per body. Where all samples
of a robot are of one body, the latent itself is never built: the layer after it is linear, so the
attention and that layer's weights fold into one matrix per robot, `[4 J + 4 F + general, width]`,
several times smaller than the latent's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from bodyplan.envs.walking_task import Observation
from bodyplan.learn.data.batches import Body, BodyBatch
from bodyplan.learn.networks.layers import Dense, LayerNorm, elu, orthogonal, split
from bodyplan.robots.descriptors import RobotDescriptor
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

    joint_channels: int = 64
    """Latent channels that a joint's description chooses from."""
    joint_width: int = 4
    """Numbers a joint's state is encoded into."""
    foot_channels: int = 32
    """Latent channels that a foot's description chooses from."""
    foot_width: int = 4
    """Numbers a foot's state is encoded into."""
    core: tuple[int, int, int] = (512, 256, 128)
    """The policy's layers between the latent and its decoder."""
    critic_core: tuple[int, int, int] = (512, 256, 128)
    """The layers of V and Q between the latent and their answer."""
    description: int = 128
    """Width of the decoder's encoding of a joint's description."""
    decoder: int = 128
    """Hidden width of the decoder, which runs once per joint."""
    readout: bool = False
    """Add to each mean a linear readout of the core that the joint's description chooses (ours)."""
    temperature: float = 1.0
    """Of the softmax over channels, before training; lower tells elements apart from the start."""
    actions: Literal["slots", "joints"] = "slots"
    """How Q reads actions: as one vector with a slot for each joint, or (ours) each beside its
    joint's state, so that neither the joints' order nor a largest number of them matters."""
    action: int = 64
    """Width of Q's encoding of the slots (our choice: the paper gives none)."""
    action_slots: int = ACTION_SLOTS
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
        self.theta = jnp.asarray(np.float32(np.log(temperature - _TEMPERATURE_FLOOR)))
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
        self, states: Sequence[Float[Array, "batch elements state"]]
    ) -> tuple[Float[Array, "batch elements width"], ...]:
        """Each robot's element states, encoded."""
        shapes = [robot.shape[:2] for robot in states]
        tokens = jnp.concatenate([robot.reshape(-1, robot.shape[-1]) for robot in states])
        encoded = elu(self.encode(tokens))
        pieces = split(encoded, [batch * count for batch, count in shapes])
        return tuple(
            piece.reshape(*shape, encoded.shape[-1])
            for piece, shape in zip(pieces, shapes, strict=True)
        )

    def fold(
        self,
        descriptions: Sequence[Float[Array, "elements description"]],
        weight: Float[Array, "latent outputs"],
    ) -> tuple[Float[Array, "folded outputs"], ...]:
        """For each robot the matrix that takes its states where `weight` takes its latent."""
        attention = self.attention(jnp.concatenate(descriptions))
        weight = weight.reshape(attention.shape[-1], -1, weight.shape[-1])
        folded = jnp.einsum("ec,cwo->ewo", attention, weight)
        pieces = split(folded, [len(robot) for robot in descriptions])
        return tuple(piece.reshape(-1, weight.shape[-1]) for piece in pieces)

    def place(
        self,
        states: Sequence[Float[Array, "batch elements width"]],
        bodies: Sequence[BodyBatch],
        descriptions: Sequence[Float[Array, "rows description"]],
        weight: Float[Array, "latent outputs"],
    ) -> Float[Array, "samples outputs"]:
        """What `weight` makes of the latents, built with each sample's own attention."""
        attention = self.attention(jnp.concatenate(descriptions))
        pieces = split(attention, [len(robot) for robot in descriptions])
        # Channels last, which XLA is twice as fast at on a CPU; the weight's rows follow.
        latents = [
            jnp.einsum("bec,bew->bwc", of_elements(body, piece), robot).reshape(len(robot), -1)
            for robot, body, piece in zip(states, bodies, pieces, strict=True)
        ]
        weight = weight.reshape(attention.shape[-1], -1, weight.shape[-1]).swapaxes(0, 1)
        return jnp.concatenate(latents) @ weight.reshape(-1, weight.shape[-1])


Sensed = tuple[
    Body,
    Float[Array, "batch joints width"],
    Float[Array, "batch feet width"],
    Float[Array, "batch general"],
]
"""One robot's samples: whose they are, encoded joint and foot states, and the rest."""


class Encoded(eqx.Module):
    """What the encoder and the core know of each robot's samples."""

    core: Float[Array, "samples width"]
    """All robots on one axis."""
    joints: tuple[Float[Array, "batch joints width"], ...]
    """Joint states, per robot."""


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
        general: Sequence[Float[Array, "batch general"]],
        bodies: Sequence[Body],
        extra: Float[Array, "samples extra"] | None = None,
    ) -> Encoded:
        """Run all robots; `extra` enters the core beside the latent, all robots on one axis."""
        joints = self.joints.states([jnp.asarray(seen.joints) for seen in observations])
        feet = self.feet.states([jnp.asarray(seen.feet) for seen in observations])
        robots = list(zip(bodies, joints, feet, general, strict=True))
        alike = iter(self._folded([robot for robot in robots if not _differ(robot[0])]))
        unlike = iter(self._unfolded([robot for robot in robots if _differ(robot[0])]))
        hidden = jnp.concatenate([next(unlike if _differ(body) else alike) for body in bodies])
        if extra is not None:
            hidden += extra @ self.first.weight[-extra.shape[-1] :]
        hidden = elu(self.second(elu(self.norm(hidden))))
        return Encoded(core=self.third(hidden), joints=joints)

    def _folded(self, robots: Sequence[Sensed]) -> list[Float[Array, "batch first"]]:
        """The core's first layer for robots of one body each, by a matrix for each robot."""
        if not robots:
            return []
        bodies, _, _, general = zip(*robots, strict=True)
        matrices = self._fold(bodies, general[0].shape[-1])
        return [
            jnp.concatenate([_flat(joint), _flat(foot), rest], -1) @ matrix + offset
            for (_, joint, foot, rest), (matrix, offset) in zip(robots, matrices, strict=True)
        ]

    def _fold(
        self, descriptors: Sequence[RobotDescriptor], general: int
    ) -> list[tuple[Float[Array, "inputs first"], Float[Array, "first"]]]:
        """The core's first layer for each robot: a matrix for its states, and an offset."""
        for_joints, for_feet, for_general, for_context, _ = split(
            self.first.weight, self._widths(general)
        )
        joints = self.joints.fold([jnp.asarray(body.joints) for body in descriptors], for_joints)
        feet = self.feet.fold([jnp.asarray(body.feet) for body in descriptors], for_feet)
        contexts = jnp.stack([jnp.asarray(body.context) for body in descriptors])
        offsets = contexts @ for_context + self.first.bias
        return [
            (jnp.concatenate([joint, foot, for_general]), offset)
            for joint, foot, offset in zip(joints, feet, offsets, strict=True)
        ]

    def _unfolded(self, robots: Sequence[Sensed]) -> tuple[Float[Array, "batch first"], ...]:
        """The same for robots of many bodies, through the latents, for all robots at once."""
        if not robots:
            return ()
        bodies, joints, feet, general = zip(*robots, strict=True)
        for_joints, for_feet, for_general, for_context, _ = split(
            self.first.weight, self._widths(general[0].shape[-1])
        )
        contexts = [body.of_samples(jnp.asarray(body.sets.context)) for body in bodies]
        projected = (
            self.joints.place(joints, bodies, [joint_rows(body) for body in bodies], for_joints)
            + self.feet.place(feet, bodies, [foot_rows(body) for body in bodies], for_feet)
            + jnp.concatenate(general) @ for_general
            + jnp.concatenate(contexts) @ for_context
            + self.first.bias
        )
        return split(projected, [len(rest) for rest in general])

    def _widths(self, general: int) -> list[int]:
        """What the core's first layer reads: joints, feet, general, context, and all else."""
        widths = [self.joints.latent, self.feet.latent, general, CONTEXT_SIZE]
        return [*widths, len(self.first.weight) - sum(widths)]


def _differ(body: Body) -> bool:
    return isinstance(body, BodyBatch)


def _flat(states: Float[Array, "batch elements width"]) -> Float[Array, "batch inputs"]:
    batch, elements, width = states.shape
    return states.reshape(batch, elements * width)


def joint_rows(body: Body) -> Float[Array, "rows 23"]:
    """Descriptions of joints, those of all sets on one axis."""
    return _rows(body.sets.joints if isinstance(body, BodyBatch) else body.joints)


def foot_rows(body: Body) -> Float[Array, "rows 10"]:
    """Descriptions of feet, those of all sets on one axis."""
    return _rows(body.sets.feet if isinstance(body, BodyBatch) else body.feet)


def of_elements(body: Body, rows: Float[Array, "rows ..."]) -> Float[Array, "... elements _"]:
    """What was computed of each row; where samples differ, on an axis of samples before."""
    if not isinstance(body, BodyBatch):
        return rows
    count = len(body.sets.context)
    return body.of_samples(rows.reshape(count, len(rows) // count, *rows.shape[1:]))


def _rows(descriptions: ArrayLike) -> Float[Array, "rows width"]:
    table = jnp.asarray(descriptions)
    return table.reshape(-1, table.shape[-1])
