"""Many robots as one batch where their data do not fit on the device.

They stay on disk, mapped into memory, and the steps of a batch are read once it is known which they
are. What is read has the very bits that `Mixture` would have sampled.
"""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Int

from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.format import FRAME_ARRAYS
from bodyplan.envs.walking_task import Observation
from bodyplan.learn.data.device_batches import Batch
from bodyplan.learn.data.normalisation import ObservationScale
from bodyplan.learn.data.training_data import TrainingData


class HostData:
    """The transitions of R robots on the host."""

    def __init__(self, data: TrainingData) -> None:
        """Nothing is read yet."""
        self.data = data
        self.sizes = tuple(episodes.num_steps for episodes in data.episodes)
        """Steps of each robot."""
        self._frames = [episodes.frame_indices() for episodes in data.episodes]

    @property
    def step_bytes(self) -> int:
        """Of one step of each robot in a batch."""
        one = self.read([np.zeros(1, np.int32)] * len(self.sizes))
        return sum(array.nbytes for array in jax.tree.leaves(one))

    def read(self, rows: Sequence[Int[np.ndarray, "*drawn"]]) -> tuple[Batch, ...]:
        """The given steps of each robot, in NumPy; arrays begin with the axes of `rows`."""
        scale = self.data.observation_scale
        each = zip(self.data.episodes, self._frames, self.data.reward_scales, rows, strict=True)
        return tuple(
            _read(episodes, frames[own], own, factor, scale)
            for episodes, frames, factor, own in each
        )


def _read(
    episodes: Episodes,
    here: Int[np.ndarray, "*drawn"],
    rows: Int[np.ndarray, "*drawn"],
    factor: float,
    scale: ObservationScale | None,
) -> Batch:
    def sense(frames: Int[np.ndarray, "*drawn"]) -> Observation:
        seen = Observation(*(getattr(episodes, name)[frames] for name in FRAME_ARRAYS))
        return scale(seen) if scale else seen

    ids = episodes.descriptor_ids
    batch = Batch(
        observation=sense(here),
        action=episodes.actions[rows],
        reward=episodes.rewards[rows] * np.float32(factor),
        next_observation=sense(here + 1),
        terminated=episodes.terminated[rows].astype(np.float32),
    )
    if ids is None:
        return batch
    return batch._replace(descriptor_ids=ids[here], next_descriptor_ids=ids[here + 1])
