"""The heads on URMA: a Gaussian policy with one output per joint, a value, and twin Q.

Each head owns its encoder and core. Called with one robot's arrays a head answers for it; with
`over_robots` it answers for all robots of a batch, build by build. The samples of a robot are of
one body or of many (`Bodies`).
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bodyplan.envs.walking_task import ACTION_MEAN_LIMIT, Observation
from bodyplan.errors import BodyplanError
from bodyplan.learn.data.batches import Bodies
from bodyplan.learn.networks.layers import Dense, LayerNorm, elu, orthogonal, product, split
from bodyplan.learn.networks.urma import NetworkSizes, Torso, on_one_axis
from bodyplan.robots.descriptors import RobotDescriptor
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
        self, observation: Observation, body: RobotDescriptor
    ) -> tuple[Float[Array, "N J"], Float[Array, "_ J"]]:
        """Mean and standard deviation of one robot's actions, the latter `[1, J]` for one body."""
        ((mean, std),) = self.over_robots(*one_robot(observation, body))
        return mean[0], std[0]

    def over_robots(
        self, observations: Sequence[Observation], bodies: Sequence[Bodies]
    ) -> tuple[tuple[Float[Array, "r B J"], Float[Array, "r _ J"]], ...]:
        """Mean and standard deviation of actions, build by build.

        A standard deviation is `[r, 1, J]` where each robot has one body.
        """
        general = [jnp.asarray(seen.general)[..., POLICY_GENERAL] for seen in observations]
        encoded = self.torso(observations, general, bodies)
        width, state_width = encoded.core.shape[-1], encoded.joints[0].shape[-1]
        for_core, for_state, for_code = jnp.split(self.decoder.weight, [width, width + state_width])
        # The decoder's first layer on [core; joint state; description] as a sum of three products:
        # one per sample, one per joint of a sample (a token), one per joint of a body. The joint
        # encoder is not trained through this path, as in URMA.
        codes = on_one_axis(self._codes, [own.joints for own in bodies])
        per_joint = on_one_axis(lambda rows: product(rows, for_code) + self.decoder.bias, codes)
        states = [jax.lax.stop_gradient(own) for own in encoded.joints]
        per_token = on_one_axis(lambda rows: product(rows, for_state), states)
        shapes = [own.shape[:2] for own in states]
        per_sample = _of_builds(product(encoded.core, for_core), shapes)
        hidden = [
            sample[:, :, None] + token + own.of_samples(joint)
            for sample, token, joint, own in zip(
                per_sample, per_token, per_joint, bodies, strict=True
            )
        ]
        answers = on_one_axis(lambda rows: self.mean(elu(self.decoder_norm(rows))), hidden)
        means = [answer[..., 0] for answer in answers]
        if self.readout is not None:
            projected = _of_builds(self.readout(elu(encoded.core)), shapes)
            read = map(_read, projected, codes, bodies)
            means = [mean + own for mean, own in zip(means, read, strict=True)]
        log_stds = on_one_axis(self.log_std, codes)
        return tuple(
            (
                jnp.clip(mean, -ACTION_MEAN_LIMIT, ACTION_MEAN_LIMIT),
                jnp.exp(jnp.clip(own.of_samples(log_std[..., 0]), *np.log(STD_RANGE))),
            )
            for mean, log_std, own in zip(means, log_stds, bodies, strict=True)
        )

    def _codes(self, descriptions: Float[Array, "rows 23"]) -> Float[Array, "rows description"]:
        """The decoder's own encoding of joint descriptions."""
        return self.description(elu(self.describe_norm(self.describe(descriptions))))


def _of_builds(
    rows: Float[Array, "samples width"], shapes: Sequence[tuple[int, ...]]
) -> list[Float[Array, "r B width"]]:
    """Rows of all samples, build by build."""
    pieces = split(rows, [robots * samples for robots, samples in shapes])
    return [piece.reshape(*shape, -1) for piece, shape in zip(pieces, shapes, strict=True)]


def _read(
    projected: Float[Array, "r B description"],
    codes: Float[Array, "bodies joints description"],
    bodies: Bodies,
) -> Float[Array, "r B joints"]:
    """Scaled products of a projection of the core with each joint's code.

    The decoder's one hidden layer is shared by all joints, which differ by their codes alone, so it
    learns slowly to give each joint another mean. This path does so from the start.
    """
    if bodies.ids is None:
        products = projected @ codes.swapaxes(1, 2)
    else:
        products = jnp.einsum("rbw,rbjw->rbj", projected, bodies.of_samples(codes))
    return products / np.sqrt(codes.shape[-1])


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
        bodies: Sequence[Bodies],
        extra: Float[Array, "samples extra"] | None = None,
    ) -> Float[Array, "R B"]:
        general = [jnp.asarray(seen.general) for seen in observations]
        encoded = self.torso(observations, general, bodies, extra)
        return self.answer(elu(encoded.core)).reshape(-1, general[0].shape[1])


class URMAValue(eqx.Module):
    """V(s)."""

    critic: URMACritic

    def __init__(self, rng: np.random.Generator, sizes: NetworkSizes) -> None:
        self.critic = URMACritic(rng, sizes)

    def __call__(self, observation: Observation, body: RobotDescriptor) -> Float[Array, "N"]:
        """Values of one robot's states."""
        return self.over_robots(*one_robot(observation, body))[0]

    def over_robots(
        self, observations: Sequence[Observation], bodies: Sequence[Bodies]
    ) -> Float[Array, "R B"]:
        """Values of all robots' states."""
        return self.critic(observations, bodies)


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
        actions: Sequence[Float[Array, "r B J"]],
        bodies: Sequence[Bodies],
    ) -> Float[Array, "R B"]:
        own = [_own_joints(*robot) for robot in zip(actions, bodies, strict=True)]
        if self.action is None:
            acting = [_acting(*robot) for robot in zip(observations, own, strict=True)]
            return self.critic(acting, bodies)
        slots = len(self.action.weight)
        padded = jnp.concatenate([_pad(action, slots).reshape(-1, slots) for action in own])
        return self.critic(observations, bodies, elu(self.action(padded)))


class URMATwinQ(eqx.Module):
    """Two independent Q(s, a); actions enter as `NetworkSizes.actions` says.

    Zero-padded to fixed slots, as in the paper, or each beside its joint's state.
    """

    twins: ActionCritic
    """Every array with a leading axis of two."""

    def __init__(self, rng: np.random.Generator, sizes: NetworkSizes) -> None:
        twins = [ActionCritic(rng, sizes) for _ in range(2)]
        self.twins = jax.tree.map(lambda *arrays: jax.device_put(np.stack(arrays)), *twins)

    def __call__(
        self, observation: Observation, action: Float[Array, "N J"], body: RobotDescriptor
    ) -> Float[Array, "2 N"]:
        """Both estimates for one robot."""
        observations, bodies = one_robot(observation, body)
        return self.over_robots(observations, (action[None],), bodies)[:, 0]

    def over_robots(
        self,
        observations: Sequence[Observation],
        actions: Sequence[Float[Array, "r B J"]],
        bodies: Sequence[Bodies],
    ) -> Float[Array, "2 R B"]:
        """Both estimates for all robots.

        Raises:
            BodyplanError: a robot has more joints than Q has action slots.
        """
        return jax.vmap(lambda twin: twin(observations, actions, bodies))(self.twins)


def one_robot(
    observation: Observation, body: RobotDescriptor
) -> tuple[tuple[Observation], tuple[Bodies]]:
    """One robot's N samples as a build of its own."""
    lifted = Observation._make(jnp.asarray(part)[None] for part in observation)
    return (lifted,), (Bodies.of(body, lifted.general.shape[1]),)


def _acting(observation: Observation, action: Float[Array, "r B J"]) -> Observation:
    """The observation with each joint's action after its state."""
    joints = jnp.concatenate([observation.joints, action[..., None]], axis=-1)
    return Observation._make((joints, observation.feet, observation.general))


def _own_joints(action: Float[Array, "r B J"], bodies: Bodies) -> Float[Array, "r B J"]:
    """The action without that of padded joints."""
    return action if bodies.joint_mask is None else action * bodies.joint_mask[:, None]


def _pad(action: Float[Array, "r B J"], slots: int) -> Float[Array, "r B slots"]:
    joints = action.shape[-1]
    if joints > slots:
        raise BodyplanError(
            f"a robot has {joints} joints, and Q has slots for {slots} actions; let it read "
            "actions with their joints (--q-actions joints), or leave that robot out"
        )
    return jnp.pad(action, ((0, 0), (0, 0), (0, slots - joints)))
