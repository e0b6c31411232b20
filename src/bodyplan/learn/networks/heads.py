"""The heads on URMA: a Gaussian policy with one output per joint, a value, and twin Q.

Each head owns its encoder and core. Called with one robot's arrays a head answers for it; with
`over_robots` it answers for tuples of robots, whose samples share one axis through the core.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bodyplan.envs.walking import POLICY_GENERAL, Observation
from bodyplan.errors import BodyplanError
from bodyplan.learn.networks.layers import Dense, LayerNorm, elu, orthogonal
from bodyplan.learn.networks.urma import JOINT_DESCRIPTION, NetworkSizes, Torso, split
from bodyplan.robots.descriptors import RobotDescriptor

GENERAL = 13
"""Width of `Observation.general`; critics see all of it, the policy a part."""
MEAN_LIMIT = 10.0
STD_RANGE = (1e-8, 2.0)


class Policy(eqx.Module):
    """A Gaussian for every joint: means from the universal decoder, spread from the body alone."""

    torso: Torso
    describe: Dense
    describe_norm: LayerNorm
    description: Dense
    decoder: Dense
    decoder_norm: LayerNorm
    mean: Dense
    log_std: Dense

    def __init__(self, rng: np.random.Generator, sizes: NetworkSizes) -> None:
        self.torso = Torso(rng, sizes, general=len(range(GENERAL)[POLICY_GENERAL]))
        self.describe = Dense(rng, JOINT_DESCRIPTION, sizes.description)
        self.describe_norm = LayerNorm(sizes.description)
        self.description = Dense(rng, sizes.description, sizes.description)
        inputs = sizes.core[-1] + sizes.joint_width + sizes.description
        self.decoder = Dense(rng, inputs, sizes.decoder, orthogonal(2**0.5))
        self.decoder_norm = LayerNorm(sizes.decoder)
        self.mean = Dense(rng, sizes.decoder, 1, orthogonal(0.01))
        self.log_std = Dense(rng, sizes.description, 1, orthogonal(0.1))

    def __call__(
        self, observation: Observation, descriptor: RobotDescriptor
    ) -> tuple[Float[Array, "batch joints"], Float[Array, "joints"]]:
        """Mean and standard deviation of one robot's actions."""
        (answer,) = self.over_robots((observation,), (descriptor,))
        return answer

    def over_robots(
        self, observations: Sequence[Observation], descriptors: Sequence[RobotDescriptor]
    ) -> tuple[tuple[Float[Array, "batch joints"], Float[Array, "joints"]], ...]:
        """Mean and standard deviation of each robot's actions."""
        general = [jnp.asarray(seen.general)[:, POLICY_GENERAL] for seen in observations]
        encoded = self.torso(observations, general, descriptors)
        joints = [len(descriptor.joints) for descriptor in descriptors]
        codes = self._codes(jnp.concatenate([jnp.asarray(body.joints) for body in descriptors]))
        log_std = jnp.clip(self.log_std(codes)[:, 0], *np.log(STD_RANGE))
        hidden = self._first_layer(encoded.core, encoded.joints, split(codes, joints))
        hidden = elu(self.decoder_norm(hidden))
        means = jnp.clip(self.mean(hidden)[:, 0], -MEAN_LIMIT, MEAN_LIMIT)
        shapes = [states.shape[:2] for states in encoded.joints]
        means = split(means, [batch * count for batch, count in shapes])
        return tuple(
            (mean.reshape(shape), std)
            for mean, shape, std in zip(means, shapes, split(jnp.exp(log_std), joints), strict=True)
        )

    def _codes(self, descriptions: Float[Array, "joints 23"]) -> Float[Array, "joints description"]:
        """The decoder's own encoding of joint descriptions."""
        return self.description(elu(self.describe_norm(self.describe(descriptions))))

    def _first_layer(
        self,
        core: Float[Array, "samples core"],
        states: Sequence[Float[Array, "batch joints width"]],
        codes: Sequence[Float[Array, "joints description"]],
    ) -> Float[Array, "tokens decoder"]:
        """The decoder's first layer on [core; joint state; description], a sum of three products.

        One product per sample, one per joint of a sample (a token), one per joint of a robot.
        The joint encoder is not trained through this path, as in URMA.
        """
        width, state_width = core.shape[-1], states[0].shape[-1]
        for_core, for_state, for_code = jnp.split(self.decoder.weight, [width, width + state_width])
        samples = split(core @ for_core, [len(state) for state in states])
        tokens = [
            sample[:, None]
            + jax.lax.stop_gradient(state) @ for_state
            + (code @ for_code + self.decoder.bias)
            for sample, state, code in zip(samples, states, codes, strict=True)
        ]
        return jnp.concatenate([token.reshape(-1, token.shape[-1]) for token in tokens])


class Critic(eqx.Module):
    """One number a sample: V without an action, Q with one."""

    torso: Torso
    answer: Dense
    action: Dense | None

    def __init__(self, rng: np.random.Generator, sizes: NetworkSizes, with_action: bool) -> None:
        extra = sizes.action if with_action else 0
        self.torso = Torso(rng, sizes, GENERAL, extra)
        self.answer = Dense(rng, sizes.core[-1], 1, orthogonal(1.0))
        self.action = Dense(rng, sizes.action_slots, extra) if with_action else None

    def __call__(
        self,
        observations: Sequence[Observation],
        descriptors: Sequence[RobotDescriptor],
        actions: Float[Array, "samples slots"] | None = None,
    ) -> Float[Array, "samples"]:
        general = [jnp.asarray(seen.general) for seen in observations]
        extra = None if self.action is None else elu(self.action(actions))
        encoded = self.torso(observations, general, descriptors, extra)
        return self.answer(elu(encoded.core))[:, 0]


class Value(eqx.Module):
    """V(s)."""

    critic: Critic

    def __init__(self, rng: np.random.Generator, sizes: NetworkSizes) -> None:
        self.critic = Critic(rng, sizes, with_action=False)

    def __call__(
        self, observation: Observation, descriptor: RobotDescriptor
    ) -> Float[Array, "batch"]:
        """Values of one robot's states."""
        (values,) = self.over_robots((observation,), (descriptor,))
        return values

    def over_robots(
        self, observations: Sequence[Observation], descriptors: Sequence[RobotDescriptor]
    ) -> tuple[Float[Array, "batch"], ...]:
        """Values of each robot's states."""
        values = self.critic(observations, descriptors)
        return split(values, [len(observation.general) for observation in observations])


class TwinQ(eqx.Module):
    """Two independent Q(s, a); actions enter zero-padded to `slots`, as in the paper."""

    critics: Critic
    """Every array with a leading axis of two."""

    def __init__(self, rng: np.random.Generator, sizes: NetworkSizes) -> None:
        twins = [Critic(rng, sizes, with_action=True) for _ in range(2)]
        self.critics = jax.tree.map(lambda *arrays: jnp.asarray(np.stack(arrays)), *twins)

    def __call__(
        self,
        observation: Observation,
        action: Float[Array, "batch joints"],
        descriptor: RobotDescriptor,
    ) -> Float[Array, "2 batch"]:
        """Both estimates for one robot."""
        (values,) = self.over_robots((observation,), (action,), (descriptor,))
        return values

    def over_robots(
        self,
        observations: Sequence[Observation],
        actions: Sequence[Float[Array, "batch joints"]],
        descriptors: Sequence[RobotDescriptor],
    ) -> tuple[Float[Array, "2 batch"], ...]:
        """Both estimates for each robot.

        Raises:
            BodyplanError: a robot has more joints than Q has action slots.
        """
        padded = jnp.concatenate([self._pad(action) for action in actions])
        values = eqx.filter_vmap(lambda critic: critic(observations, descriptors, padded))(
            self.critics
        )
        return split(values, [len(action) for action in actions], axis=1)

    def _pad(self, action: Float[Array, "batch joints"]) -> Float[Array, "batch slots"]:
        assert self.critics.action is not None
        slots, joints = self.critics.action.weight.shape[-2], action.shape[-1]
        if joints > slots:
            raise BodyplanError(
                f"a robot has {joints} joints but Q reads {slots} actions; "
                f"give --sizes.action-slots {joints} or more"
            )
        return jnp.pad(action, ((0, 0), (0, slots - joints)))
