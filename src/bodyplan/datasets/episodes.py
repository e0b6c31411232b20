"""The episodes of one robot: what it observed, did and earned, step by step, as arrays."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from jaxtyping import Bool, Float, Int

from bodyplan.dataframes import dataframe
from bodyplan.datasets.descriptor_sets import write_sets
from bodyplan.datasets.format import ARRAYS, DESCRIPTOR_IDS, DESCRIPTORS, FRAME_ARRAYS, STEP_ARRAYS
from bodyplan.envs.walking_task import Observation
from bodyplan.errors import BodyplanError
from bodyplan.notebook_html import html_facts
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.storage import sha256, write_array

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False, repr=False)
class Episode:
    """One episode of L steps. Its arrays are views of the arrays of `Episodes`, not copies."""

    observations: Observation
    """joints [L+1, J, 3], feet [L+1, F, 2] and general [L+1, 13]. Step t starts from observation t
    and leads to observation t + 1."""
    actions: Float[np.ndarray, "L J"]
    rewards: Float[np.ndarray, "L"]
    terminated: bool
    """Whether the last step ended in a fall."""
    truncated: bool
    """Whether the episode was cut short after the last step."""
    descriptor_ids: Int[np.ndarray, "frames"] | None = None
    """The descriptor set of each observation; None where the robot has only one."""

    @property
    def length(self) -> int:
        """Number of steps, L."""
        return len(self.rewards)

    @property
    def episode_return(self) -> float:
        """Undiscounted sum of the rewards, summed in float64."""
        return float(self.rewards.sum(dtype=np.float64))

    def __repr__(self) -> str:
        end = "terminated" if self.terminated else "truncated"
        return f"Episode({self.length:,} steps, return {self.episode_return:.4g}, {end})"


@dataclass(frozen=True, eq=False, repr=False)
class Episodes(Sequence[Episode]):
    """The episodes of one robot: a sequence of E episodes with N steps in all.

    `episodes[0]` is an `Episode`. `episodes[:10]` is `Episodes` again; it shares the arrays and
    keeps all descriptor sets.
    """

    joints: Float[np.ndarray, "frames J 3"]
    """Observations of each joint. There is one frame a step and one more for each episode."""
    feet: Float[np.ndarray, "frames F 2"]
    general: Float[np.ndarray, "frames 13"]
    actions: Float[np.ndarray, "N J"]
    rewards: Float[np.ndarray, "N"]
    terminated: Bool[np.ndarray, "N"]
    truncated: Bool[np.ndarray, "N"]
    episode_ends: Int[np.ndarray, "E"]
    """For each episode, the step after its last one; the last number is N."""
    descriptors: RobotDescriptor
    """K descriptor sets, on a leading axis."""
    descriptor_ids: Int[np.ndarray, "frames"] | None = None
    """The descriptor set of each frame; None where K = 1."""

    def __len__(self) -> int:
        return len(self.episode_ends)

    @overload
    def __getitem__(self, index: int) -> Episode: ...
    @overload
    def __getitem__(self, index: slice) -> "Episodes": ...
    def __getitem__(self, index: int | slice) -> "Episode | Episodes":
        """The episode at a position, or the episodes of a slice.

        Raises:
            IndexError: there is no such position.
            BodyplanError: the slice has a step other than 1.
        """
        if isinstance(index, slice):
            first, last, step = index.indices(len(self))
            if step != 1:
                raise BodyplanError(
                    f"a slice of episodes has step 1, not {step}; use list(episodes)[::{step}]."
                )
            return self._range(first, max(first, last))
        number = operator.index(index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"there is no episode {number} among {len(self)}")
        number %= len(self)
        one = self._range(number, number + 1)
        return Episode(
            observations=Observation(one.joints, one.feet, one.general),
            actions=one.actions,
            rewards=one.rewards,
            terminated=bool(one.terminated[-1]),
            truncated=bool(one.truncated[-1]),
            descriptor_ids=one.descriptor_ids,
        )

    def __repr__(self) -> str:
        sizes = f"{self.joints.shape[1]} joints, {self.feet.shape[1]} feet"
        if self.num_descriptors > 1:
            sizes += f", {self.num_descriptors:,} descriptor sets"
        return f"Episodes({len(self):,} episodes, {self.num_steps:,} steps, {sizes})"

    def _repr_html_(self) -> str:
        facts = {
            "episodes": len(self),
            "steps": self.num_steps,
            "joints": self.joints.shape[1],
            "feet": self.feet.shape[1],
            "descriptor sets": self.num_descriptors,
            "falls": int(np.count_nonzero(self.terminated)),
        }
        if len(self):
            facts |= {
                "mean return": float(self.returns.mean()),
                "mean length": float(self.lengths.mean()),
            }
        return html_facts("Episodes", facts)

    def to_dataframe(self) -> "pandas.DataFrame":
        """A data frame with one row for each episode: return, length, terminated, truncated.

        Raises:
            BodyplanError: pandas is not installed.
        """
        last = self.episode_ends - 1
        columns = {
            "return": self.returns,
            "length": self.lengths,
            "terminated": self.terminated[last],
            "truncated": self.truncated[last],
        }
        values = zip(*(column.tolist() for column in columns.values()), strict=True)
        return dataframe(dict(zip(columns, row, strict=True)) for row in values)

    @property
    def num_steps(self) -> int:
        """Number of steps, N."""
        return len(self.rewards)

    @property
    def num_episodes(self) -> int:
        """Number of episodes, E."""
        return len(self.episode_ends)

    @property
    def num_descriptors(self) -> int:
        """Number of descriptor sets, K."""
        return len(self.descriptors.context)

    @property
    def descriptor(self) -> RobotDescriptor:
        """The descriptor set of a robot whose body never changes.

        Raises:
            BodyplanError: there are several.
        """
        if self.num_descriptors > 1:
            raise BodyplanError(
                f"these episodes have {self.num_descriptors} descriptor sets, not one; use "
                "`descriptors` and `descriptor_ids`, the set of each frame."
            )
        return RobotDescriptor(*(part[0] for part in self.descriptors))

    @property
    def lengths(self) -> Int[np.ndarray, "E"]:
        """Number of steps of each episode."""
        return np.diff(self.episode_ends, prepend=0)

    @property
    def returns(self) -> Float[np.ndarray, "E"]:
        """Undiscounted sum of the rewards of each episode, summed in float64."""
        return np.add.reduceat(self.rewards, self.episode_ends - self.lengths, dtype=np.float64)

    def frame_indices(self) -> Int[np.ndarray, "N"]:
        """The frame that each step starts from; the next frame is the one that it leads to.

        Every earlier episode has one frame more than steps: step n of episode e starts from frame
        n + e.
        """
        episode = np.repeat(np.arange(self.num_episodes), self.lengths)
        return (np.arange(self.num_steps) + episode).astype(np.int32)

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays but the descriptor sets, by the names of their files."""
        names = ARRAYS if self.descriptor_ids is None else (*ARRAYS, DESCRIPTOR_IDS)
        return {name: getattr(self, name) for name in names}

    def summary(self) -> dict[str, float]:
        """Counts and means of these episodes, as the card has them."""
        return {
            "steps": self.num_steps,
            "episodes": self.num_episodes,
            "return_mean": float(self.returns.mean()),
            "length_mean": float(self.lengths.mean()),
        }

    def write(self, folder: str | Path) -> dict[str, Any]:
        """Writes every array into `folder` and returns the robot's entry for the card.

        Raises:
            BodyplanError: the disk is full, or the folder cannot be written to.
        """
        folder = Path(folder)
        for name, array in self.arrays().items():
            write_array(folder / f"{name}.npy", array)
        write_sets(folder / DESCRIPTORS, self.descriptors)
        return self.card_entry(folder)

    def card_entry(self, folder: Path) -> dict[str, Any]:
        """The card's entry for these episodes, whose files are in `folder`."""
        arrays: dict[str, Any] = {
            f"{name}.npy": {"shape": list(array.shape), "dtype": str(array.dtype)}
            for name, array in self.arrays().items()
        }
        shapes = {name: list(part.shape) for name, part in self.descriptors._asdict().items()}
        arrays[DESCRIPTORS] = {"shape": shapes, "dtype": "float32"}
        for file, entry in arrays.items():
            entry["sha256"] = sha256(folder / file)
        return {**self.summary(), "arrays": arrays}

    def _range(self, first: int, last: int) -> "Episodes":
        """Episodes `first` to `last` - 1, as views."""
        ends = self.episode_ends[first:last]
        start = int(self.episode_ends[first - 1]) if first else 0
        stop = int(ends[-1]) if len(ends) else start
        steps = slice(start, stop)
        frames = slice(start + first, stop + last)
        ids = self.descriptor_ids
        return replace(
            self,
            **{name: getattr(self, name)[frames] for name in FRAME_ARRAYS},
            **{name: getattr(self, name)[steps] for name in STEP_ARRAYS},
            episode_ends=ends - start,
            descriptor_ids=None if ids is None else ids[frames],
        )
