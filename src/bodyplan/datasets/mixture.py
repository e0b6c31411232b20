"""Many robots as one batch: transitions on the device, sampled inside the compiled program.

A batch is a tuple with one part for each robot, all of the same size and each in its robot's own
shapes, so that nothing is padded and no robot outweighs another. Next observations are the frames
after the sampled ones.
"""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from bodyplan.datasets.episodes import Dataset, Episodes
from bodyplan.datasets.scaling import (
    ObservationScale,
    ObservationScaling,
    RewardScaling,
    reward_factor,
)
from bodyplan.envs.walking import Observation
from bodyplan.errors import BodyplanError
from bodyplan.robots.descriptors import RobotDescriptor


class Transitions(NamedTuple):
    """One robot's steps and frames on the device."""

    joints: Float[Array, "frames J 3"]
    feet: Float[Array, "frames F 2"]
    general: Float[Array, "frames 13"]
    actions: Float[Array, "N J"]
    rewards: Float[Array, "N"]
    terminated: Bool[Array, "N"]
    frames: Int[Array, "N"]
    """The frame each step starts from; it leads to the next one."""


class Batch(NamedTuple):
    """One robot's part of a batch."""

    observation: Observation
    action: Float[Array, "B J"]
    reward: Float[Array, "B"]
    next_observation: Observation
    terminated: Float[Array, "B"]
    """1 where there is no future. Truncated steps count as 0: values bootstrap through them."""


class Mixture(eqx.Module):
    """The transitions of R robots, ready to be sampled."""

    robots: tuple[str, ...] = eqx.field(static=True)
    descriptors: tuple[RobotDescriptor, ...]
    transitions: tuple[Transitions, ...]
    reward_scales: tuple[float, ...] = eqx.field(static=True)
    """Factor on each robot's rewards, already applied."""
    observation_scale: ObservationScale | None
    """Scale of all observations, already applied; a policy trained on them needs it to act."""

    @classmethod
    def load(
        cls,
        dataset: Dataset,
        reward_scale: RewardScaling = "none",
        observation_scale: ObservationScaling = "none",
    ) -> "Mixture":
        """Puts a dataset on the device.

        Args:
            dataset: an open dataset.
            reward_scale: `none` or `per_robot`, see `reward_factor`.
            observation_scale: `none` keeps the environment's scaling, as the paper does; `shared`
                standardises each kind of number over all robots.

        Raises:
            BodyplanError: an array holds NaN or infinity, or the returns leave no scale.
        """
        for name in dataset.robots:
            _require_finite(dataset, name, dataset.episodes[name])
        logged = [dataset.episodes[name] for name in dataset.robots]
        scale = ObservationScale.of(logged) if observation_scale == "shared" else None
        factors = [
            reward_factor(name, episodes, reward_scale)
            for name, episodes in zip(dataset.robots, logged, strict=True)
        ]
        descriptors = [
            RobotDescriptor._make(map(jnp.asarray, episodes.descriptor)) for episodes in logged
        ]
        transitions = [
            _transitions(episodes, factor, scale)
            for episodes, factor in zip(logged, factors, strict=True)
        ]
        return cls(dataset.robots, tuple(descriptors), tuple(transitions), tuple(factors), scale)

    def sample(self, key: PRNGKeyArray, batch_size: int) -> tuple[Batch, ...]:
        """Draws `batch_size` steps of each robot, uniformly and with replacement."""
        keys = jax.random.split(key, len(self.transitions))
        return tuple(
            _gather(steps, jax.random.randint(own, (batch_size,), 0, len(steps.rewards)))
            for own, steps in zip(keys, self.transitions, strict=True)
        )

    def select(self, indices: Sequence[int]) -> "Mixture":
        """The mixture of some of the robots, in the given order."""
        return Mixture(
            robots=tuple(self.robots[i] for i in indices),
            descriptors=tuple(self.descriptors[i] for i in indices),
            transitions=tuple(self.transitions[i] for i in indices),
            reward_scales=tuple(self.reward_scales[i] for i in indices),
            observation_scale=self.observation_scale,
        )


def _gather(steps: Transitions, rows: Int[Array, "B"]) -> Batch:
    def pick(array: Array, index: Int[Array, "B"]) -> Array:
        return array.at[index].get(mode="promise_in_bounds")

    here = pick(steps.frames, rows)
    frames = (steps.joints, steps.feet, steps.general)
    return Batch(
        observation=Observation._make(pick(array, here) for array in frames),
        action=pick(steps.actions, rows),
        reward=pick(steps.rewards, rows),
        next_observation=Observation._make(pick(array, here + 1) for array in frames),
        terminated=pick(steps.terminated, rows).astype(jnp.float32),
    )


def _transitions(episodes: Episodes, factor: float, scale: ObservationScale | None) -> Transitions:
    frames = Observation(episodes.joints, episodes.feet, episodes.general)
    # Copies: on CPU a device array could otherwise go on reading the mapped file.
    joints, feet, general = map(jnp.array, scale(frames) if scale else frames)
    return Transitions(
        joints=joints,
        feet=feet,
        general=general,
        actions=jnp.array(episodes.actions),
        rewards=jnp.array(episodes.rewards * np.float32(factor)),
        terminated=jnp.array(episodes.terminated),
        frames=jnp.array(episodes.frame_indices()),
    )


def _require_finite(dataset: Dataset, robot: str, episodes: Episodes) -> None:
    for name in episodes.non_finite():
        raise BodyplanError(
            f"{dataset.path / robot / name}.npy holds NaN or infinity; "
            "rebuild the dataset or restore the file."
        )
