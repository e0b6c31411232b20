"""Many robots as one batch: transitions on the device, sampled inside the compiled program.

A batch is a tuple with one part for each robot, all of the same size and each in its robot's own
shapes, so that nothing is padded and no robot outweighs another. Next observations are the frames
after the sampled ones.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from bodyplan.datasets.episodes import Dataset, Episodes
from bodyplan.envs.walking import Observation
from bodyplan.errors import BodyplanError
from bodyplan.robots.descriptors import RobotDescriptor

RewardScale = Literal["none", "per_robot"]


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

    @classmethod
    def load(cls, dataset: Dataset, reward_scale: RewardScale = "none") -> "Mixture":
        """Puts a dataset on the device.

        Args:
            dataset: an open dataset.
            reward_scale: `none` keeps rewards as they are, as the paper does; `per_robot`
                multiplies them by 1000 / (highest - lowest episode return of the robot), as is
                usual for IQL on locomotion (Kostrikov et al. 2021, arXiv 2110.06169, appendix).

        Raises:
            BodyplanError: an array holds NaN or infinity, or the returns leave no scale.
        """
        descriptors, transitions, scales = [], [], []
        for name in dataset.robots:
            episodes = dataset.episodes[name]
            _require_finite(dataset, name, episodes)
            scale = 1.0 if reward_scale == "none" else _scale(name, episodes)
            descriptors.append(RobotDescriptor._make(map(jnp.asarray, episodes.descriptor)))
            transitions.append(_transitions(episodes, scale))
            scales.append(scale)
        return cls(dataset.robots, tuple(descriptors), tuple(transitions), tuple(scales))

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


def _transitions(episodes: Episodes, scale: float) -> Transitions:
    # Copies: on CPU a device array could otherwise go on reading the mapped file.
    return Transitions(
        joints=jnp.array(episodes.joints),
        feet=jnp.array(episodes.feet),
        general=jnp.array(episodes.general),
        actions=jnp.array(episodes.actions),
        rewards=jnp.array(episodes.rewards * np.float32(scale)),
        terminated=jnp.array(episodes.terminated),
        frames=jnp.array(episodes.frame_indices()),
    )


def _require_finite(dataset: Dataset, robot: str, episodes: Episodes) -> None:
    for name in episodes.non_finite():
        raise BodyplanError(
            f"{dataset.path / robot / name}.npy holds NaN or infinity; "
            "rebuild the dataset or restore the file."
        )


def _scale(robot: str, episodes: Episodes) -> float:
    spread = float(np.ptp(episodes.returns))
    if spread <= 0.0:
        raise BodyplanError(
            f"all episodes of {robot} have the same return, so reward_scale per_robot has no "
            "scale; use reward_scale none."
        )
    return 1000.0 / spread
