"""The heads on URMA: a Gaussian policy with one output per joint, a value, and twin Q.

Each head owns its encoder and core. Called with one robot's arrays a head answers for it; with
`over_robots` it answers for tuples of robots, whose samples share one axis through the core. The
samples of a robot are of one body (its descriptor) or of many (`BodyBatch`).
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bodyplan.envs.walking_task import ACTION_MEAN_LIMIT, Observation
from bodyplan.errors import BodyplanError
from bodyplan.learn.data.batches import Body
from bodyplan.learn.networks.layers import Dense, LayerNorm, elu, orthogonal, split
from bodyplan.learn.networks.urma import Encoded, NetworkSizes, Torso, joint_rows, of_elements
from bodyplan.robots.feature_sizes import (
    GENERAL_OBSERVATION_SIZE,
    JOINT_DESCRIPTOR_SIZE,
    JOINT_OBSERVATION_SIZE,
    POLICY_GENERAL,
    POLICY_GENERAL_SIZE,
)

STD_RANGE = (1e-8, 2.0)


class URMAPolicy(eqx.Module):
    """A Gaussian for every joint; its standard deviation depends on the body alone."""

    torso: Torso
    describe: Dense
    describe_norm: LayerNorm
    description: Dense
    decoder: Dense
    decoder_norm: LayerNorm
    mean: Dense
    log_std: Dense
    readout: Dense | None

    def __init__(self, rng: np.random.Generator, sizes: NetworkSizes) -> None:
        self.torso = Torso(rng, sizes, sizes.core, general=POLICY_GENERAL_SIZE)
        self.describe = Dense(rng, JOINT_DESCRIPTOR_SIZE, sizes.description)
        self.describe_norm = LayerNorm(sizes.description)
        self.description = Dense(rng, sizes.description, sizes.description)
        inputs = sizes.core[-1] + sizes.joint_width + sizes.description
        self.decoder = Dense(rng, inputs, sizes.decoder, orthogonal(2**0.5))
        self.decoder_norm = LayerNorm(sizes.decoder)
        self.mean = Dense(rng, sizes.decoder, 1, orthogonal(0.01))
        self.log_std = Dense(rng, sizes.description, 1, orthogonal(0.1))
        self.readout = (
            Dense(rng, sizes.core[-1], sizes.description, orthogonal(0.1))
            if sizes.readout
            else None
        )

    def __call__(
        self, observation: Observation, body: Body
    ) -> tuple[Float[Array, "batch joints"], Float[Array, "... joints"]]:
        """Mean and standard deviation of one robot's actions."""
        (answer,) = self.over_robots((observation,), (body,))
        return answer

    def over_robots(
        self, observations: Sequence[Observation], bodies: Sequence[Body]
    ) -> tuple[tuple[Float[Array, "batch joints"], Float[Array, "... joints"]], ...]:
        """Mean and standard deviation of each robot's actions, the latter `[J]` for one body."""
        general = [jnp.asarray(seen.general)[:, POLICY_GENERAL] for seen in observations]
        encoded = self.torso(observations, general, bodies)
        described = [joint_rows(body) for body in bodies]
        counts = [len(rows) for rows in described]
        codes = self._codes(jnp.concatenate(described))
        log_std = jnp.clip(self.log_std(codes)[:, 0], *np.log(STD_RANGE))
        hidden = elu(self.decoder_norm(self._first_layer(encoded, codes, counts, bodies)))
        means = self.mean(hidden)[:, 0]
        if self.readout is not None:
            means += self._read(self.readout, encoded, codes, counts, bodies)
        means = jnp.clip(means, -ACTION_MEAN_LIMIT, ACTION_MEAN_LIMIT)
        shapes = [states.shape[:2] for states in encoded.joints]
        pieces = split(means, [batch * count for batch, count in shapes])
        stds = split(jnp.exp(log_std), counts)
        return tuple(
            (piece.reshape(shape), of_elements(body, std))
            for piece, shape, std, body in zip(pieces, shapes, stds, bodies, strict=True)
        )

    def _codes(self, descriptions: Float[Array, "rows 23"]) -> Float[Array, "rows description"]:
        """The decoder's own encoding of joint descriptions."""
        return self.description(elu(self.describe_norm(self.describe(descriptions))))

    def _first_layer(
        self,
        encoded: Encoded,
        codes: Float[Array, "rows description"],
        counts: Sequence[int],
        bodies: Sequence[Body],
    ) -> Float[Array, "tokens decoder"]:
        """The decoder's first layer on [core; joint state; description], a sum of three products.

        One product per sample, one per joint of a sample (a token), one per joint of a body.
        The joint encoder is not trained through this path, as in URMA.
        """
        width, state_width = encoded.core.shape[-1], encoded.joints[0].shape[-1]
        for_core, for_state, for_code = jnp.split(self.decoder.weight, [width, width + state_width])
        batches = [len(states) for states in encoded.joints]
        per_sample = split(encoded.core @ for_core, batches)
        per_joint = split(codes @ for_code + self.decoder.bias, counts)
        tokens = [
            sample[:, None] + jax.lax.stop_gradient(states) @ for_state + of_elements(body, joint)
            for sample, states, joint, body in zip(
                per_sample, encoded.joints, per_joint, bodies, strict=True
            )
        ]
        return jnp.concatenate([token.reshape(-1, token.shape[-1]) for token in tokens])

    def _read(
        self,
        readout: Dense,
        encoded: Encoded,
        codes: Float[Array, "rows description"],
        counts: Sequence[int],
        bodies: Sequence[Body],
    ) -> Float[Array, "tokens"]:
        """Scaled products of a projection of the core with each joint's code.

        The decoder's one hidden layer is shared by all joints, which differ by their codes alone,
        so it learns slowly to give each joint another mean. This path does so from the start.
        """
        projected = split(readout(elu(encoded.core)), [len(states) for states in encoded.joints])
        answers = [
            _products(robot, of_elements(body, own)) / np.sqrt(own.shape[-1])
            for robot, own, body in zip(projected, split(codes, counts), bodies, strict=True)
        ]
        return jnp.concatenate([answer.ravel() for answer in answers])


def _products(
    projected: Float[Array, "batch width"], codes: Float[Array, "... joints width"]
) -> Float[Array, "batch joints"]:
    if codes.ndim == 2:
        return projected @ codes.T
    return jnp.einsum("bw,bjw->bj", projected, codes)


class URMACritic(eqx.Module):
    """One number a sample, from all that can be observed and whatever `extra` adds."""

    torso: Torso
    answer: Dense

    def __init__(
        self,
        rng: np.random.Generator,
        sizes: NetworkSizes,
        extra: int = 0,
        joint_state: int = JOINT_OBSERVATION_SIZE,
    ) -> None:
        self.torso = Torso(
            rng, sizes, sizes.critic_core, GENERAL_OBSERVATION_SIZE, extra, joint_state
        )
        self.answer = Dense(rng, sizes.critic_core[-1], 1, orthogonal(1.0))

    def __call__(
        self,
        observations: Sequence[Observation],
        bodies: Sequence[Body],
        extra: Float[Array, "samples extra"] | None = None,
    ) -> Float[Array, "samples"]:
        general = [jnp.asarray(seen.general) for seen in observations]
        encoded = self.torso(observations, general, bodies, extra)
        return self.answer(elu(encoded.core))[:, 0]


class URMAValue(eqx.Module):
    """V(s)."""

    critic: URMACritic

    def __init__(self, rng: np.random.Generator, sizes: NetworkSizes) -> None:
        self.critic = URMACritic(rng, sizes)

    def __call__(self, observation: Observation, body: Body) -> Float[Array, "batch"]:
        """Values of one robot's states."""
        (values,) = self.over_robots((observation,), (body,))
        return values

    def over_robots(
        self, observations: Sequence[Observation], bodies: Sequence[Body]
    ) -> tuple[Float[Array, "batch"], ...]:
        """Values of each robot's states."""
        values = self.critic(observations, bodies)
        return split(values, [len(observation.general) for observation in observations])


class ActionCritic(eqx.Module):
    """Q(s, a), the action encoded beside the state's latent, or part of the joints' states."""

    critic: URMACritic
    action: Dense | None
    """None where actions are part of the joints' states."""

    def __init__(self, rng: np.random.Generator, sizes: NetworkSizes) -> None:
        if sizes.actions == "joints":
            self.critic = URMACritic(rng, sizes, joint_state=JOINT_OBSERVATION_SIZE + 1)
            self.action = None
        else:
            self.critic = URMACritic(rng, sizes, extra=sizes.action)
            self.action = Dense(rng, sizes.action_slots, sizes.action)

    def __call__(
        self,
        observations: Sequence[Observation],
        actions: Sequence[Float[Array, "batch joints"]],
        bodies: Sequence[Body],
    ) -> Float[Array, "samples"]:
        if self.action is None:
            acting = [_acting(*robot) for robot in zip(observations, actions, strict=True)]
            return self.critic(acting, bodies)
        slots = len(self.action.weight)
        padded = jnp.concatenate([_pad(action, slots) for action in actions])
        return self.critic(observations, bodies, elu(self.action(padded)))


class URMATwinQ(eqx.Module):
    """Two independent Q(s, a); actions enter as `NetworkSizes.actions` says.

    Zero-padded to fixed slots, as in the paper, or each beside its joint's state.
    """

    twins: ActionCritic
    """Every array with a leading axis of two."""

    def __init__(self, rng: np.random.Generator, sizes: NetworkSizes) -> None:
        twins = [ActionCritic(rng, sizes) for _ in range(2)]
        self.twins = jax.tree.map(lambda *arrays: jnp.asarray(np.stack(arrays)), *twins)

    def __call__(
        self,
        observation: Observation,
        action: Float[Array, "batch joints"],
        body: Body,
    ) -> Float[Array, "2 batch"]:
        """Both estimates for one robot."""
        (values,) = self.over_robots((observation,), (action,), (body,))
        return values

    def over_robots(
        self,
        observations: Sequence[Observation],
        actions: Sequence[Float[Array, "batch joints"]],
        bodies: Sequence[Body],
    ) -> tuple[Float[Array, "2 batch"], ...]:
        """Both estimates for each robot.

        Raises:
            BodyplanError: a robot has more joints than Q has action slots.
        """
        values = jax.vmap(lambda twin: twin(observations, actions, bodies))(self.twins)
        return split(values, [len(action) for action in actions], axis=1)


def _acting(observation: Observation, action: Float[Array, "batch joints"]) -> Observation:
    """The observation with each joint's action after its state."""
    joints = jnp.concatenate([observation.joints, action[..., None]], axis=-1)
    return Observation._make((joints, observation.feet, observation.general))


def _pad(action: Float[Array, "batch joints"], slots: int) -> Float[Array, "batch slots"]:
    joints = action.shape[-1]
    if joints > slots:
        raise BodyplanError(
            f"a robot has {joints} joints but Q reads only {slots} actions; give NetworkSizes "
            f'with action_slots={joints} or actions="joints", or leave that robot out'
        )
    return jnp.pad(action, ((0, 0), (0, slots - joints)))
