"""URMA: one encoder for every body (Bohlinger et al. 2024, arXiv 2409.06366, section 3).

A robot is a set of joints and a set of feet. Each element's description chooses, by a softmax over
latent channels, where its state goes; the states so placed are summed over the set. So the latent
of a robot has one size whatever its build, and the order of its joints does not matter.

Robots come as tuples with one entry each, every entry with its own number of joints and feet: no
padding, no masks. What depends on descriptions alone is computed once per robot. The latent itself
is never built: the layer after it is linear, so the attention and that layer's weights fold into
one matrix per robot, `[4 J + 4 F + general, width]`, several times smaller than the latent's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bodyplan.envs.walking import Observation
from bodyplan.learn.networks.layers import Dense, LayerNorm, elu, orthogonal
from bodyplan.robots.descriptors import RobotDescriptor

JOINT_DESCRIPTION, FOOT_DESCRIPTION, CONTEXT = 23, 10, 7
JOINT_STATE, FOOT_STATE = 3, 2
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
    action: int = 64
    """Width of Q's encoding of the action (our choice: the paper gives none)."""
    action_slots: int = 24
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
    """A set of joints (or feet) to one latent: who chooses where, and what is put there."""

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
    ) -> None:
        """Fresh weights; `general` and `extra` are the widths of what follows joints and feet."""
        first, second, third = core
        gain = orthogonal(2**0.5)
        joints = (JOINT_DESCRIPTION, JOINT_STATE, sizes.joint_channels, sizes.joint_width)
        feet = (FOOT_DESCRIPTION, FOOT_STATE, sizes.foot_channels, sizes.foot_width)
        self.joints = SetEncoder(rng, *joints, sizes.temperature)
        self.feet = SetEncoder(rng, *feet, sizes.temperature)
        inputs = self.joints.latent + self.feet.latent + general + CONTEXT + extra
        self.first = Dense(rng, inputs, first, gain)
        self.norm = LayerNorm(first)
        self.second = Dense(rng, first, second, gain)
        self.third = Dense(rng, second, third, gain)

    def __call__(
        self,
        observations: Sequence[Observation],
        general: Sequence[Float[Array, "batch general"]],
        descriptors: Sequence[RobotDescriptor],
        extra: Float[Array, "samples extra"] | None = None,
    ) -> Encoded:
        """Run all robots; `extra` enters the core beside the latent, all robots on one axis."""
        joints = self.joints.states([jnp.asarray(seen.joints) for seen in observations])
        feet = self.feet.states([jnp.asarray(seen.feet) for seen in observations])
        matrices = self._fold(descriptors, general[0].shape[-1])
        projected = [
            jnp.concatenate([_flat(joint), _flat(foot), rest], -1) @ matrix + offset
            for joint, foot, rest, (matrix, offset) in zip(
                joints, feet, general, matrices, strict=True
            )
        ]
        hidden = jnp.concatenate(projected)
        if extra is not None:
            hidden += extra @ self.first.weight[-extra.shape[-1] :]
        hidden = elu(self.second(elu(self.norm(hidden))))
        return Encoded(core=self.third(hidden), joints=joints)

    def _fold(
        self, descriptors: Sequence[RobotDescriptor], general: int
    ) -> list[tuple[Float[Array, "inputs first"], Float[Array, "first"]]]:
        """The core's first layer for each robot: a matrix for its states, and an offset."""
        widths = [self.joints.latent, self.feet.latent, general, CONTEXT]
        for_joints, for_feet, for_general, for_context, _ = split(
            self.first.weight, [*widths, len(self.first.weight) - sum(widths)]
        )
        joints = self.joints.fold([jnp.asarray(body.joints) for body in descriptors], for_joints)
        feet = self.feet.fold([jnp.asarray(body.feet) for body in descriptors], for_feet)
        contexts = jnp.stack([jnp.asarray(body.context) for body in descriptors])
        offsets = contexts @ for_context + self.first.bias
        return [
            (jnp.concatenate([joint, foot, for_general]), offset)
            for joint, foot, offset in zip(joints, feet, offsets, strict=True)
        ]


def split(array: Array, lengths: Sequence[int], axis: int = 0) -> tuple[Array, ...]:
    """Cut an axis that holds all robots into one piece per robot."""
    return tuple(jnp.split(array, np.cumsum(lengths)[:-1], axis))


def _flat(states: Float[Array, "batch elements width"]) -> Float[Array, "batch inputs"]:
    batch, elements, width = states.shape
    return states.reshape(batch, elements * width)
