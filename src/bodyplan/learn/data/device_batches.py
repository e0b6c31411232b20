"""Many robots as one batch: transitions on the device, sampled inside the compiled program.

A batch is a tuple with one part for each robot, all of the same size and each in its robot's own
shapes, so that nothing is padded and no robot outweighs another, however much was logged of it.
Next observations are the frames after the sampled ones.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.episodes import Episodes
from bodyplan.envs.walking_task import Observation
from bodyplan.learn.data.normalisation import ObservationScale, ObservationScaling, RewardScaling
from bodyplan.learn.data.training_data import TrainingData
from bodyplan.robots.descriptors import RobotDescriptor


class RobotTransitions(NamedTuple):
    """One robot's steps and frames on the device."""

    joints: Float[Array, "frames J 3"]
    feet: Float[Array, "frames F 2"]
    general: Float[Array, "frames 13"]
    actions: Float[Array, "N J"]
    rewards: Float[Array, "N"]
    terminated: Bool[Array, "N"]
    frames: Int[Array, "N"]
    """The frame each step starts from; it leads to the next one."""
    descriptor_ids: Int[Array, "frames"] | None = None
    """The robot's descriptor set in each frame, where there are several."""


class Batch(NamedTuple):
    """One robot's part of a batch."""

    observation: Observation
    action: Float[Array, "B J"]
    reward: Float[Array, "B"]
    next_observation: Observation
    terminated: Float[Array, "B"]
    """1 where there is no future. Truncated steps count as 0: values bootstrap through them."""
    descriptor_ids: Int[Array, "B"] | None = None
    """The descriptor set of each observation among the robot's, where there are several."""
    next_descriptor_ids: Int[Array, "B"] | None = None
    """The same of each next observation: a body may change in between."""
    weight: float | None = None
    """Factor on this robot's losses, one on average over robots; 1 where not given."""


class DeviceData(eqx.Module):
    """The transitions of R robots, ready to be sampled."""

    robots: tuple[str, ...] = eqx.field(static=True)
    descriptors: tuple[RobotDescriptor, ...]
    """Of each robot the one set, or all of them on a leading axis."""
    transitions: tuple[RobotTransitions, ...]
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
    ) -> "DeviceData":
        """Puts a dataset on the device; arguments and errors are those of `Prepared.of`."""
        return cls.of(TrainingData.of(dataset, reward_scale, observation_scale))

    @classmethod
    def of(cls, data: TrainingData) -> "DeviceData":
        """Puts prepared data on the device."""
        transitions = [
            _transitions(episodes, factor, data.observation_scale)
            for episodes, factor in zip(data.episodes, data.reward_scales, strict=True)
        ]
        return cls(
            robots=data.robots,
            descriptors=data.descriptors,
            transitions=tuple(transitions),
            reward_scales=data.reward_scales,
            observation_scale=data.observation_scale,
        )

    def sample(
        self, key: PRNGKeyArray, batch_size: int, part: Callable[[Array], Array] | None = None
    ) -> tuple[Batch, ...]:
        """Draws `batch_size` steps of each robot, uniformly and with replacement.

        `part`, given the rows drawn, says which of them to gather here; all where not given.
        """
        sizes = [len(steps.rewards) for steps in self.transitions]
        drawn = zip(self.transitions, draw_indices(key, sizes, batch_size), strict=True)
        return tuple(_gather(steps, part(rows) if part else rows) for steps, rows in drawn)

    def select(self, indices: Sequence[int]) -> "DeviceData":
        """The mixture of some of the robots, in the given order."""
        return DeviceData(
            robots=tuple(self.robots[i] for i in indices),
            descriptors=tuple(self.descriptors[i] for i in indices),
            transitions=tuple(self.transitions[i] for i in indices),
            reward_scales=tuple(self.reward_scales[i] for i in indices),
            observation_scale=self.observation_scale,
        )


def draw_indices(
    key: PRNGKeyArray, sizes: Sequence[int], batch_size: int
) -> Iterator[Int[Array, "B"]]:
    """Steps of each robot, uniformly and with replacement; `sizes` are the steps there are."""
    keys = jax.random.split(key, len(sizes))
    # All robots at once: compiling one generator for each takes longer than the network's layers.
    yield from jax.vmap(lambda own, size: jax.random.randint(own, (batch_size,), 0, size))(
        keys, jnp.array(sizes)
    )


def _gather(steps: RobotTransitions, rows: Int[Array, "B"]) -> Batch:
    def pick(array: Array, index: Int[Array, "B"]) -> Array:
        return array.at[index].get(mode="promise_in_bounds")

    here = pick(steps.frames, rows)
    frames, ids = (steps.joints, steps.feet, steps.general), steps.descriptor_ids
    return Batch(
        observation=Observation._make(pick(array, here) for array in frames),
        action=pick(steps.actions, rows),
        reward=pick(steps.rewards, rows),
        next_observation=Observation._make(pick(array, here + 1) for array in frames),
        terminated=pick(steps.terminated, rows).astype(jnp.float32),
        descriptor_ids=None if ids is None else pick(ids, here),
        next_descriptor_ids=None if ids is None else pick(ids, here + 1),
    )


def _transitions(
    episodes: Episodes, factor: float, scale: ObservationScale | None
) -> RobotTransitions:
    frames = Observation(episodes.joints, episodes.feet, episodes.general)
    # Copies: on CPU a device array could otherwise go on reading the mapped file.
    joints, feet, general = map(jnp.array, scale(frames) if scale else frames)
    ids = episodes.descriptor_ids
    return RobotTransitions(
        joints=joints,
        feet=feet,
        general=general,
        actions=jnp.array(episodes.actions),
        rewards=jnp.array(episodes.rewards * np.float32(factor)),
        terminated=jnp.array(episodes.terminated),
        frames=jnp.array(episodes.frame_indices()),
        descriptor_ids=None if ids is None else jnp.array(ids),
    )
