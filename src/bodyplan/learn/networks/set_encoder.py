"""A set of joints (or feet) to one latent: who chooses where, and what is put there."""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bodyplan.learn.networks.body_batch import BodyBatch, of_elements
from bodyplan.learn.networks.layers import Dense, LayerNorm, elu, split

_TEMPERATURE_FLOOR = 0.015


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
