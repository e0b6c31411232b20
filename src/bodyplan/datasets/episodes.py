"""The episodes of one robot: what it observed and did, step by step, as arrays."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from bodyplan.datasets.descriptor_sets import write_sets
from bodyplan.datasets.format import (
    ARRAYS,
    DESCRIPTOR_IDS,
    DESCRIPTORS,
)
from bodyplan.errors import BodyplanError
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.storage import sha256, write_array


@dataclass(frozen=True, eq=False)
class Episodes:
    """The episodes of one robot: E of them, N steps in all."""

    joints: Float[np.ndarray, "frames J 3"]
    feet: Float[np.ndarray, "frames F 2"]
    general: Float[np.ndarray, "frames 13"]
    actions: Float[np.ndarray, "N J"]
    rewards: Float[np.ndarray, "N"]
    terminated: Bool[np.ndarray, "N"]
    truncated: Bool[np.ndarray, "N"]
    episode_ends: Int[np.ndarray, "E"]
    """Exclusive end of each episode among the steps; the last one is N."""
    descriptors: RobotDescriptor
    """K descriptor sets, on a leading axis."""
    descriptor_ids: Int[np.ndarray, "frames"] | None = None
    """The set of each frame; None where K = 1."""

    @property
    def num_steps(self) -> int:
        """N."""
        return len(self.rewards)

    @property
    def num_episodes(self) -> int:
        """E."""
        return len(self.episode_ends)

    @property
    def num_descriptors(self) -> int:
        """K."""
        return len(self.descriptors.context)

    @property
    def descriptor(self) -> RobotDescriptor:
        """The descriptor set of a body that stays as it is.

        Raises:
            BodyplanError: there are several.
        """
        if self.num_descriptors > 1:
            raise BodyplanError(
                f"these episodes have {self.num_descriptors} descriptor sets, not one; use "
                "`descriptors` with each frame's place in them, `descriptor_ids`."
            )
        return RobotDescriptor(*(part[0] for part in self.descriptors))

    @property
    def lengths(self) -> Int[np.ndarray, "E"]:
        """Steps of each episode."""
        return np.diff(self.episode_ends, prepend=0)

    @property
    def returns(self) -> Float[np.ndarray, "E"]:
        """Undiscounted sum of rewards of each episode, summed in float64."""
        return np.add.reduceat(self.rewards, self.episode_ends - self.lengths, dtype=np.float64)

    def frame_indices(self) -> Int[np.ndarray, "N"]:
        """The frame each step starts from; the frame it leads to is the next one.

        Every episode before a step has put one closing frame before it: step n of episode e
        starts from frame n + e.
        """
        episode = np.repeat(np.arange(self.num_episodes), self.lengths)
        return (np.arange(self.num_steps) + episode).astype(np.int32)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything but the descriptor sets, by the names of their files."""
        names = ARRAYS if self.descriptor_ids is None else (*ARRAYS, DESCRIPTOR_IDS)
        return {name: getattr(self, name) for name in names}

    def summary(self) -> dict[str, float]:
        """What the card says of these episodes."""
        return {
            "steps": self.num_steps,
            "episodes": self.num_episodes,
            "return_mean": float(self.returns.mean()),
            "length_mean": float(self.lengths.mean()),
        }

    def write(self, folder: str | Path) -> dict[str, Any]:
        """Writes every array into `folder`; returns the robot's entry for the card.

        Raises:
            BodyplanError: the disk is full, or the folder cannot be written.
        """
        folder = Path(folder)
        for name, array in self.arrays().items():
            write_array(folder / f"{name}.npy", array)
        write_sets(folder / DESCRIPTORS, self.descriptors)
        return self.entry(folder)

    def entry(self, folder: Path) -> dict[str, Any]:
        """What the card says of these episodes, whose files lie in `folder`."""
        arrays: dict[str, Any] = {
            f"{name}.npy": {"shape": list(array.shape), "dtype": str(array.dtype)}
            for name, array in self.arrays().items()
        }
        shapes = {name: list(part.shape) for name, part in self.descriptors._asdict().items()}
        arrays[DESCRIPTORS] = {"shape": shapes, "dtype": "float32"}
        for file, about in arrays.items():
            about["sha256"] = sha256(folder / file)
        return {**self.summary(), "arrays": arrays}
