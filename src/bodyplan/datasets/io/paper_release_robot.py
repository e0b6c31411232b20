"""One robot of the official release: its column of the arrays becomes episodes."""

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

_MAX_ANGLE = 0.15
"""rad by which nominal positions and the ends of joints may differ; randomisation shifts them by
0.01 and 0.05 (reference task, section 6)."""
_MAX_AXIS = 0.05
"""By which a component of a joint's axis may differ."""
_MAX_MASS = 0.15
"""Share by which the mass may differ; randomisation stays within 7 %."""


@dataclass(frozen=True)
class Stretch:
    """Rows of all robots, and where there is one the row that follows, for what it tells."""

    start: int
    """Number of the first row."""
    count: int
    """L."""
    observations: Float[np.ndarray, "rows S D"]
    """L + 1 rows, L at the very end; so are the flags."""
    following: Float[np.ndarray, "L S D"] | None
    actions: Float[np.ndarray, "L S A"]
    rewards: Float[np.ndarray, "L S"]
    terminated: Bool[np.ndarray, "rows S"]
    truncated: Bool[np.ndarray, "rows S"]

    @property
    def is_last(self) -> bool:
        return len(self.terminated) == self.count


class Slot:
    """A robot's place on axis 1, and what has been read of it."""

    def __init__(self, folder: Path, robot: Robot, index: int, place: str) -> None:
        """Begins the robot's arrays in the dataset's folder; `place` names the file in errors."""
        self.robot = robot
        self.commands: Counter[Command] = Counter()
        self.episodes = EpisodeWriter(folder / robot.name, robot.num_joints, robot.num_feet)
        self._index, self._place = index, place
        self._size = paper_observation_size(robot.num_joints, robot.num_feet)
        self._is_first = True  # whether the next row begins an episode
        self._cut, self._given_up = 0, 0

    def take(self, stretch: Stretch) -> None:
        """Adds the robot's rows of a stretch."""
        seen = self._own(stretch.observations, self._size, stretch.start)
        actions = self._own(stretch.actions, self.robot.num_joints, stretch.start)
        rewards = stretch.rewards[:, self._index]
        self._require_finite(rewards[:, None], stretch.start)
        fell = stretch.terminated[:, self._index]
        ended = fell | stretch.truncated[:, self._index]
        if stretch.is_last:
            ended[-1] = True
        steps = {"actions": actions, "rewards": rewards}
        if stretch.following is None:
            self._take_alone(stretch, seen, steps, fell, ended)
        else:
            following = self._own(stretch.following, self._size, stretch.start)
            self._take_pairs(stretch, seen, following, steps, fell, ended)

    def finish(self) -> dict[str, Any]:
        """The robot's entry for the card."""
        entry = self.episodes.finish()
        return {**entry, "cut": self._cut, "given_up": self._given_up}

    def _take_pairs(
        self,
        stretch: Stretch,
        seen: Float[np.ndarray, "rows D"],
        following: Float[np.ndarray, "L D"],
        steps: dict[str, np.ndarray],
        fell: Bool[np.ndarray, "rows"],
        ended: Bool[np.ndarray, "rows"],
    ) -> None:
        """Every step is kept; where a row does not go on from the one before, an episode ends."""
        count = stretch.count
        broken = ~ended[: len(seen) - 1] & (following[: len(seen) - 1] != seen[1:]).any(axis=1)
        ended, fell = ended[:count].copy(), fell[:count]
        ended[np.flatnonzero(broken)] = True
        self._cut += int(broken.sum())
        rows = np.arange(stretch.start, stretch.start + count)
        behind = np.flatnonzero(ended) + 1
        frames = np.insert(seen[:count], behind, following[ended], axis=0)
        self._append_frames(frames, np.insert(rows, behind, rows[ended]))
        self.episodes.append_steps(**steps, terminated=fell, truncated=ended & ~fell)

    def _take_alone(
        self,
        stretch: Stretch,
        seen: Float[np.ndarray, "rows D"],
        steps: dict[str, np.ndarray],
        fell: Bool[np.ndarray, "rows"],
        ended: Bool[np.ndarray, "rows"],
    ) -> None:
        """A fall's last frame is repeated; other episodes give up a step and end with its frame."""
        count = stretch.count
        lost = ended & ~fell
        first = np.concatenate([[self._is_first], ended[: count - 1]])
        self._is_first = bool(ended[count - 1])
        alone = lost[:count] & first
        rows = np.repeat(np.arange(count), 1 + (ended & fell)[:count] - alone)
        self._append_frames(seen[rows], stretch.start + rows)
        next_lost = np.append(lost[1:], False)[:count]
        kept = ~lost[:count]
        self._given_up += int(np.count_nonzero(~kept))
        self.episodes.append_steps(
            **{name: array[kept] for name, array in steps.items()},
            terminated=fell[:count][kept],
            truncated=(next_lost & ~ended[:count])[kept],
        )

    def _append_frames(self, frames: Float[np.ndarray, "M D"], rows: Int[np.ndarray, "M"]) -> None:
        if not len(frames):
            return
        described, sensed = split_paper_layout(frames, self.robot.num_joints, self.robot.num_feet)
        self._count_commands(sensed)
        fresh = self.episodes.append_frames(described, sensed)
        if len(fresh.context):
            self._check_bodies(fresh, int(rows[0]))

    def _count_commands(self, sensed: Observation) -> None:
        found, counts = np.unique(sensed.general[:, COMMAND_COLUMNS], axis=0, return_counts=True)
        for (vx, vy, wz), count in zip(found.tolist(), counts.tolist(), strict=True):
            self.commands[vx, vy, wz] += count

    def _own(
        self, padded: Float[np.ndarray, "rows S D"], size: int, start: int
    ) -> Float[np.ndarray, "rows own"]:
        """The robot's own numbers of padded rows."""
        column = padded[:, self._index]
        own, padding = column[:, :size], column[:, size:]
        self._require_finite(own, start)
        if wrong := np.argwhere(padding != 0).tolist():
            row, place = wrong[0]
            raise BodyplanError(
                f"{self._place}: row {start + row} of slot {self._index} has "
                f"{padding[row, place]:g} at number {size + place}, where the {size} numbers of "
                f"{self.robot.name} have ended and zeros follow; check the order of robots "
                "(--slots) and the layout."
            )
        return own.astype(np.float32, copy=False)

    def _require_finite(self, own: Float[np.ndarray, "rows _"], start: int) -> None:
        if not np.isfinite(own).all():
            row = start + int(np.flatnonzero(~np.isfinite(own).all(axis=1))[0])
            raise BodyplanError(
                f"{self._place}: row {row} of slot {self._index} ({self.robot.name}), or its "
                "action or reward, holds NaN or infinity; download the file again."
            )

    def _check_bodies(self, sets: RobotDescriptor, row: int) -> None:
        """Refuses descriptors of another layout or another robot."""
        for wrong in (_misplaced(sets), _foreign(sets, self.robot)):
            if wrong:
                raise BodyplanError(
                    f"{self._place}: slot {self._index}, from row {row} on, does not describe "
                    f"{self.robot.name}: {wrong}; check the order of robots (--slots) and the "
                    "layout."
                )


def _misplaced(sets: RobotDescriptor) -> str:
    """What shows that the layout is another: all parts of a set end in the same seven numbers."""
    context = sets.context[:, None]
    if np.allclose(sets.joints[..., -CONTEXT_SIZE:], context, atol=1e-5) and np.allclose(
        sets.feet[..., -CONTEXT_SIZE:], context, atol=1e-5
    ):
        return ""
    return "gains, mass and size are not the same for joints, feet and the whole"


def _foreign(sets: RobotDescriptor, robot: Robot) -> str:
    """What shows that sets are of another robot; only what randomisation leaves nearly alone."""
    own = robot.descriptor
    far = ANGLE_SCALE * np.abs(sets.joints - own.joints)[..., np.r_[NOMINAL_COLUMN, RANGE_COLUMNS]]
    if far.max() > _MAX_ANGLE:
        joint = robot.joints[int(far.max(axis=(0, 2)).argmax())]
        return f"nominal position or range of its joint '{joint}' is {far.max():.2f} rad off"
    if np.abs(sets.joints[..., AXIS_COLUMNS] - own.joints[:, AXIS_COLUMNS]).max() > _MAX_AXIS:
        return "joint axes point elsewhere"
    if (sets.joints[..., CHILDREN_COLUMN] != own.joints[:, CHILDREN_COLUMN]).any():
        return "other numbers of joints hang below its joints"
    share = (sets.context[:, MASS_COLUMN] + 1.0) / (own.context[MASS_COLUMN] + 1.0)
    if np.abs(share - 1.0).max() > _MAX_MASS:
        return f"its mass is {share[0] * robot.mass:.1f} kg, not about {robot.mass:.1f} kg"
    return ""


def split_paper_layout(
    vectors: Float[np.ndarray, "N D"], joints: int, feet: int
) -> tuple[RobotDescriptor, Observation]:
    """The descriptors and observations of N vectors in the `paper` layout without padding."""
    joint_width = JOINT_DESCRIPTOR_SIZE + JOINT_OBSERVATION_SIZE
    foot_width = FOOT_DESCRIPTOR_SIZE + FOOT_OBSERVATION_SIZE
    first = joint_width * joints
    second = first + foot_width * feet
    legs = vectors[:, :first].reshape(-1, joints, joint_width)
    soles = vectors[:, first:second].reshape(-1, feet, foot_width)
    whole = vectors[:, second:]
    described = RobotDescriptor(
        legs[..., :JOINT_DESCRIPTOR_SIZE],
        soles[..., :FOOT_DESCRIPTOR_SIZE],
        whole[:, GENERAL_OBSERVATION_SIZE:],
    )
    return described, Observation(
        legs[..., JOINT_DESCRIPTOR_SIZE:],
        soles[..., FOOT_DESCRIPTOR_SIZE:],
        whole[:, :GENERAL_OBSERVATION_SIZE],
    )
