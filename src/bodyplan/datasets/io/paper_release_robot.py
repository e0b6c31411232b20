"""Imports one robot of the paper's release: its slot of the arrays becomes episodes."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from bodyplan.datasets.io.dataset_writer import EpisodeWriter
from bodyplan.envs.walking_task import Command, Observation
from bodyplan.errors import BodyplanError
from bodyplan.robots.descriptors import ANGLE_SCALE, RobotDescriptor
from bodyplan.robots.feature_sizes import (
    AXIS_COLUMNS,
    CHILDREN_COLUMN,
    COMMAND_COLUMNS,
    CONTEXT_SIZE,
    FOOT_DESCRIPTOR_SIZE,
    FOOT_OBSERVATION_SIZE,
    GENERAL_OBSERVATION_SIZE,
    JOINT_DESCRIPTOR_SIZE,
    JOINT_OBSERVATION_SIZE,
    MASS_COLUMN,
    NOMINAL_COLUMN,
    RANGE_COLUMNS,
    paper_observation_size,
)
from bodyplan.robots.robot import Robot

_MAX_ANGLE_DIFFERENCE = 0.15
"""rad by which nominal positions and joint ranges may differ from the robot's; randomisation shifts
them by 0.01 and 0.05 (reference task, section 6)."""
_MAX_AXIS_DIFFERENCE = 0.05
"""By which a component of a joint's axis may differ."""
_MAX_MASS_DIFFERENCE = 0.15
"""Share by which the mass may differ; randomisation stays within 7 %."""


@dataclass(frozen=True)
class ReleaseRows:
    """L consecutive rows of all robots, S slots wide, and the row after them if there is one."""

    start: int
    """Number of the first row."""
    count: int
    """L."""
    observations: Float[np.ndarray, "rows S D"]
    """L + 1 rows, or L at the end of the arrays; likewise the flags."""
    next_observations: Float[np.ndarray, "L S D"] | None
    actions: Float[np.ndarray, "L S A"]
    rewards: Float[np.ndarray, "L S"]
    terminated: Bool[np.ndarray, "rows S"]
    truncated: Bool[np.ndarray, "rows S"]

    @property
    def is_last(self) -> bool:
        """Whether these are the last rows of the arrays."""
        return len(self.terminated) == self.count


class ReleaseSlot:
    """A robot's slot on axis 1 of the arrays, and the episodes read from it so far."""

    def __init__(self, folder: Path, robot: Robot, index: int, place: str) -> None:
        """Begins the robot's episodes.

        Args:
            folder: the dataset's folder.
            robot: the robot that the slot should contain.
            index: number of the slot.
            place: name of the file, for error messages.
        """
        self.robot = robot
        self.commands: Counter[Command] = Counter()
        self.episodes = EpisodeWriter(folder / robot.name, robot.num_joints, robot.num_feet)
        self._index, self._place = index, place
        self._size = paper_observation_size(robot.num_joints, robot.num_feet)
        self._is_first = True  # whether the next row begins an episode
        self._cut_episodes, self._dropped_steps = 0, 0

    def add_rows(self, rows: ReleaseRows) -> None:
        """Adds the robot's part of the next rows.

        Raises:
            BodyplanError: the rows contain NaN, or another robot, or have another layout.
        """
        observations = self._own(rows.observations, self._size, rows.start)
        actions = self._own(rows.actions, self.robot.num_joints, rows.start)
        rewards = rows.rewards[:, self._index]
        self._require_finite(rewards[:, None], rows.start)
        fell = rows.terminated[:, self._index]
        ended = fell | rows.truncated[:, self._index]
        if rows.is_last:
            ended[-1] = True
        steps = {"actions": actions, "rewards": rewards}
        if rows.next_observations is None:
            self._add_without_next(rows, observations, steps, fell, ended)
        else:
            following = self._own(rows.next_observations, self._size, rows.start)
            self._add_with_next(rows, observations, following, steps, fell, ended)

    def finish(self) -> dict[str, Any]:
        """Completes the robot's files and returns its entry for the card."""
        entry = self.episodes.finish()
        return {**entry, "cut": self._cut_episodes, "given_up": self._dropped_steps}

    def _add_with_next(
        self,
        rows: ReleaseRows,
        observations: Float[np.ndarray, "rows D"],
        next_observations: Float[np.ndarray, "L D"],
        steps: dict[str, np.ndarray],
        fell: Bool[np.ndarray, "rows"],
        ended: Bool[np.ndarray, "rows"],
    ) -> None:
        """Keeps every step; an episode is cut where a row does not lead to the next one."""
        count = rows.count
        pairs = len(observations) - 1
        cut = ~ended[:pairs] & (next_observations[:pairs] != observations[1:]).any(axis=1)
        ended, fell = ended[:count].copy(), fell[:count]
        ended[np.flatnonzero(cut)] = True
        self._cut_episodes += int(cut.sum())
        numbers = np.arange(rows.start, rows.start + count)
        stops = np.flatnonzero(ended) + 1
        frames = np.insert(observations[:count], stops, next_observations[ended], axis=0)
        self._append_frames(frames, np.insert(numbers, stops, numbers[ended]))
        self.episodes.append_steps(**steps, terminated=fell, truncated=ended & ~fell)

    def _add_without_next(
        self,
        rows: ReleaseRows,
        observations: Float[np.ndarray, "rows D"],
        steps: dict[str, np.ndarray],
        fell: Bool[np.ndarray, "rows"],
        ended: Bool[np.ndarray, "rows"],
    ) -> None:
        """Repeats the last frame of a fall; other episodes lose a step and end with its frame."""
        count = rows.count
        dropped = ended & ~fell
        first = np.concatenate([[self._is_first], ended[: count - 1]])
        self._is_first = bool(ended[count - 1])
        without_step = dropped[:count] & first
        index = np.repeat(np.arange(count), 1 + (ended & fell)[:count] - without_step)
        self._append_frames(observations[index], rows.start + index)
        next_dropped = np.append(dropped[1:], False)[:count]
        kept = ~dropped[:count]
        self._dropped_steps += int(np.count_nonzero(~kept))
        self.episodes.append_steps(
            **{name: array[kept] for name, array in steps.items()},
            terminated=fell[:count][kept],
            truncated=(next_dropped & ~ended[:count])[kept],
        )

    def _append_frames(
        self, frames: Float[np.ndarray, "M D"], numbers: Int[np.ndarray, "M"]
    ) -> None:
        if not len(frames):
            return
        descriptors, observations = split_paper_layout(
            frames, self.robot.num_joints, self.robot.num_feet
        )
        self._count_commands(observations)
        new_sets = self.episodes.append_frames(descriptors, observations)
        if len(new_sets.context) and (fault := robot_mismatch(new_sets, self.robot)):
            raise BodyplanError(
                f"{self._place}: slot {self._index}, from row {numbers[0]} on, does not describe "
                f"{self.robot.name}: {fault}; check the order of robots (--slots) and the layout."
            )

    def _count_commands(self, observations: Observation) -> None:
        commands = observations.general[:, COMMAND_COLUMNS]
        found, counts = np.unique(commands, axis=0, return_counts=True)
        for (vx, vy, wz), count in zip(found.tolist(), counts.tolist(), strict=True):
            self.commands[vx, vy, wz] += count

    def _own(
        self, padded: Float[np.ndarray, "rows S D"], size: int, start: int
    ) -> Float[np.ndarray, "rows own"]:
        """The robot's own numbers, after checking that the padding behind them is zero."""
        column = padded[:, self._index]
        own, padding = column[:, :size], column[:, size:]
        self._require_finite(own, start)
        if wrong := np.argwhere(padding != 0).tolist():
            row, position = wrong[0]
            raise BodyplanError(
                f"{self._place}: row {start + row} of slot {self._index} has "
                f"{padding[row, position]:g} at number {size + position}, where zeros should "
                f"follow the {size} numbers of {self.robot.name}; check the order of robots "
                "(--slots) and the layout."
            )
        return own.astype(np.float32, copy=False)

    def _require_finite(self, own: Float[np.ndarray, "rows _"], start: int) -> None:
        if not np.isfinite(own).all():
            row = start + int(np.flatnonzero(~np.isfinite(own).all(axis=1))[0])
            raise BodyplanError(
                f"{self._place}: row {row} of slot {self._index} ({self.robot.name}), or its "
                "action or reward, contains NaN or infinity; download the file again."
            )


def robot_mismatch(sets: RobotDescriptor, robot: Robot) -> str:
    """Why descriptor sets have another layout or are of another robot; empty if they are not.

    Only numbers that randomisation leaves nearly unchanged are compared.
    """
    # All parts of a set end in the same seven numbers, the context.
    context = sets.context[:, None]
    for part in (sets.joints, sets.feet):
        if not np.allclose(part[..., -CONTEXT_SIZE:], context, atol=1e-5):
            return "gains, mass and size are not the same for joints, feet and the robot"
    own = robot.descriptor
    angles = np.r_[NOMINAL_COLUMN, RANGE_COLUMNS]
    difference = ANGLE_SCALE * np.abs(sets.joints - own.joints)[..., angles]
    if difference.max() > _MAX_ANGLE_DIFFERENCE:
        joint = robot.joints[int(difference.max(axis=(0, 2)).argmax())]
        return f"nominal position or range of joint '{joint}' is {difference.max():.2f} rad off"
    axes = np.abs(sets.joints[..., AXIS_COLUMNS] - own.joints[:, AXIS_COLUMNS])
    if axes.max() > _MAX_AXIS_DIFFERENCE:
        return "its joint axes have other directions"
    if (sets.joints[..., CHILDREN_COLUMN] != own.joints[:, CHILDREN_COLUMN]).any():
        return "its joints have other numbers of child joints"
    share = (sets.context[:, MASS_COLUMN] + 1.0) / (own.context[MASS_COLUMN] + 1.0)
    if np.abs(share - 1.0).max() > _MAX_MASS_DIFFERENCE:
        return f"its mass is {share[0] * robot.mass:.1f} kg, not about {robot.mass:.1f} kg"
    return ""


def split_paper_layout(
    vectors: Float[np.ndarray, "N D"], joints: int, feet: int
) -> tuple[RobotDescriptor, Observation]:
    """Splits N vectors in the `paper` layout without padding into descriptors and observations."""
    joint_width = JOINT_DESCRIPTOR_SIZE + JOINT_OBSERVATION_SIZE
    foot_width = FOOT_DESCRIPTOR_SIZE + FOOT_OBSERVATION_SIZE
    first = joint_width * joints
    second = first + foot_width * feet
    per_joint = vectors[:, :first].reshape(-1, joints, joint_width)
    per_foot = vectors[:, first:second].reshape(-1, feet, foot_width)
    rest = vectors[:, second:]
    descriptors = RobotDescriptor(
        per_joint[..., :JOINT_DESCRIPTOR_SIZE],
        per_foot[..., :FOOT_DESCRIPTOR_SIZE],
        rest[:, GENERAL_OBSERVATION_SIZE:],
    )
    return descriptors, Observation(
        per_joint[..., JOINT_DESCRIPTOR_SIZE:],
        per_foot[..., FOOT_DESCRIPTOR_SIZE:],
        rest[:, :GENERAL_OBSERVATION_SIZE],
    )
