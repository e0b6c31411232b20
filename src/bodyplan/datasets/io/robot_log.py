"""One file of a robot's logs: its arrays as quantities, in the task's units and order of joints."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from bodyplan.datasets.io.array_files import ArrayFile, require
from bodyplan.datasets.io.episode_boundaries import EndRule, EpisodeEnds, FrameRows
from bodyplan.datasets.io.mapping_file import RobotLogs
from bodyplan.datasets.io.quantities import QUANTITIES, Quantity
from bodyplan.errors import BodyplanError
from bodyplan.robots.feature_sizes import (
    FOOT_OBSERVATION_SIZE,
    JOINT_OBSERVATION_SIZE,
    flat_observation_size,
    local_observation_size,
)
from bodyplan.robots.robot import Robot
from bodyplan.robots.validation.problem import did_you_mean, name_list

_STEPS = ("actions", "rewards", "terminated", "truncated", "episodes", "episode_ends")


class RobotLog:
    """A file's quantities by name."""

    def __init__(self, container: ArrayFile, robot: Robot, logs: RobotLogs) -> None:
        """Looks at nothing yet but the names of joints and feet.

        Raises:
            BodyplanError: a name in the orders of joints and feet is not the robot's.
        """
        self.robot = robot
        self._container, self._logs = container, logs
        feet = tuple(foot.name for foot in robot.feet)
        self._joint_order = _order("joint", robot.joints, logs.joint_order)
        self._foot_order = _order("foot", feet, logs.foot_order)

    @property
    def path(self) -> Path:
        """The file."""
        return self._container.path

    def has(self, name: str) -> bool:
        """Whether the mapping gives a quantity."""
        return name in self._logs.quantities

    def quantity(self, name: str) -> Quantity:
        """What the mapping gives.

        Raises:
            BodyplanError: it gives nothing.
        """
        if not self.has(name):
            hint = " (or false, if no episode ended by a fall)" if name == "terminated" else ""
            raise BodyplanError(
                f"the mapping gives no {name} of {self.robot.name}; add it{hint}, see "
                "docs/interchange.md."
            )
        return self._logs.quantities[name]

    def ends(self, count: int) -> EpisodeEnds:
        """Where the episodes of `count` steps end.

        Raises:
            BodyplanError: the log says nothing of falls, or says where episodes end more than once
                or in a way that is none.
        """
        given = [name for name in ("truncated", "episodes", "episode_ends") if self.has(name)]
        if len(given) > 1:
            raise BodyplanError(
                f"{self.path}: both {' and '.join(given)} say where episodes end; keep one of them."
            )
        fell = self.flags("terminated", count)
        over = fell.copy()
        if given == ["truncated"]:
            over |= self.flags("truncated", count)
        elif given == ["episodes"]:
            numbers = self.steps("episodes", count)[:, 0]
            over[:-1] |= numbers[1:] != numbers[:-1]
        elif given == ["episode_ends"]:
            over[self._stops(count) - 1] = True
        over[-1] = True
        stops = np.flatnonzero(over) + 1
        return EpisodeEnds(stops, fell[stops - 1])

    def closing(self, steps: int, episodes: int) -> EndRule:
        """Where the frames after the last steps of `episodes` are.

        Raises:
            BodyplanError: some quantities say so and others do not, or an array has a length that
                fits neither.
        """
        found: dict[EndRule, str] = {}
        for name, own in self._logs.quantities.items():
            if name in _STEPS or own.array is None:
                continue
            rows = require(self._container, own.array).shape[0]
            if rows == steps:
                found["next" if own.next else "none"] = name
            elif rows == steps + episodes and own.next is None:
                found["rows"] = name
            else:
                raise BodyplanError(
                    f"{self.path}: '{own.array}' ({name}) has {rows} rows, but there are {steps} "
                    f"actions in {episodes} episodes; give {steps} rows, or without `next` "
                    f"{steps + episodes}, with what was sensed after each episode's last action."
                )
        if len(found) > 1:
            raise BodyplanError(
                f"{self.path}: what followed an episode's last step is told differently of "
                f"{' and '.join(found.values())}; give `next` to all that is sensed or to none."
            )
        return next(iter(found), "none")

    def steps(self, name: str, count: int | None) -> Float[np.ndarray, "rows _"]:
        """A quantity of each step; of as many as there are where `count` is not given.

        Raises:
            BodyplanError: the array is missing, damaged, or of another shape, or holds NaN.
        """
        own = self.quantity(name)
        if own.array is None:
            if count is None:
                raise BodyplanError(f"the mapping must give an array for {name}; name one.")
            return self._constant(name, count)
        values = self._values(name, own.array)
        if count is not None and len(values) != count:
            raise BodyplanError(
                f"{self.path}: '{own.array}' ({name}) has {len(values)} rows where there are "
                f"{count} actions; give one row a step."
            )
        return values

    def flags(self, name: str, count: int) -> Bool[np.ndarray, "rows"]:
        """A quantity that is yes or no at each step.

        Raises:
            BodyplanError: as `steps`, or other numbers than 0 and 1.
        """
        values = self.steps(name, count)[:, 0]
        wrong = values[(values != 0.0) & (values != 1.0)]
        if len(wrong):
            raise BodyplanError(
                f"{self.path}: {name} holds {wrong[0]:g}, where only 0 and 1 belong; check the "
                "array's name."
            )
        return values.astype(bool)

    def frames(self, name: str, frames: FrameRows) -> Float[np.ndarray, "frames _"]:
        """A quantity of each frame.

        Raises:
            BodyplanError: as `steps`.
        """
        own = self.quantity(name)
        if own.array is None:
            return self._constant(name, len(frames.rows))
        values = self._values(name, own.array)
        if own.next is not None:
            following = self._values(name, own.next)
            if len(following) != len(values):
                raise BodyplanError(
                    f"{self.path}: '{own.next}' has {len(following)} rows and '{own.array}' "
                    f"{len(values)}; give one row a step in both."
                )
            values = np.concatenate([values, following])
        return values[frames.rows]

    def _stops(self, count: int) -> Int[np.ndarray, "E"]:
        stops = self.steps("episode_ends", None)[:, 0]
        rising = (np.diff(stops, prepend=0) >= 1).all()
        if not rising or stops[-1] != count or (stops != np.floor(stops)).any():
            raise BodyplanError(
                f"{self.path}: '{self.quantity('episode_ends').array}' must rise to the {count} "
                "steps there are; each number is the step after an episode's last."
            )
        return stops.astype(np.int64)

    def _constant(self, name: str, count: int) -> Float[np.ndarray, "rows _"]:
        constant = self.quantity(name).constant or ()
        if len(constant) != self._width(name):
            raise BodyplanError(
                f"the mapping gives {len(constant)} numbers for {name} of {self.robot.name}, not "
                f"{self._width(name)}; correct it."
            )
        return np.tile(constant, (count, 1))

    def _values(self, name: str, array: str) -> Float[np.ndarray, "rows _"]:
        own, stored = self.quantity(name), require(self._container, array)
        values = stored.rows().astype(np.float64)
        values = values.reshape(len(values), -1)
        if own.columns is not None:
            if max(own.columns) >= values.shape[1]:
                raise BodyplanError(
                    f"{stored.place} has {values.shape[1]} columns, so there is no column "
                    f"{max(own.columns)}; correct columns of {name}."
                )
            values = values[:, own.columns]
        if values.shape[1] != self._width(name):
            raise BodyplanError(
                f"{stored.place} has {values.shape[1]} columns where {name} of {self.robot.name} "
                f"has {self._width(name)}; choose them with columns = [...]."
            )
        if not np.isfinite(values).all():
            row, column = np.argwhere(~np.isfinite(values))[0].tolist()
            raise BodyplanError(
                f"{stored.place} holds NaN or infinity in row {row}, column {column}; leave that "
                "episode out or mend it."
            )
        return self._arranged(name, values * own.scale + own.offset)

    def _arranged(self, name: str, values: Float[np.ndarray, "rows _"]) -> np.ndarray:
        """Joints and feet in the task's order."""
        kind = QUANTITIES[name].width
        joints, feet = self._joint_order, self._foot_order
        if kind == "flat":
            columns = (
                _columns(joints, JOINT_OBSERVATION_SIZE, 0),
                _columns(feet, FOOT_OBSERVATION_SIZE, JOINT_OBSERVATION_SIZE * len(joints)),
            )
            rest = np.arange(local_observation_size(len(joints), len(feet)), values.shape[1])
            return values[:, np.concatenate([*columns, rest])]
        each = {
            "J": (joints, 1),
            "J3": (joints, JOINT_OBSERVATION_SIZE),
            "F": (feet, 1),
            "F2": (feet, FOOT_OBSERVATION_SIZE),
        }
        return values[:, _columns(*each[kind], 0)] if kind in each else values

    def _width(self, name: str) -> int:
        joints, feet = self.robot.num_joints, self.robot.num_feet
        named = {
            "J": joints,
            "J3": JOINT_OBSERVATION_SIZE * joints,
            "F": feet,
            "F2": FOOT_OBSERVATION_SIZE * feet,
            "flat": flat_observation_size(joints, feet),
        }
        width = QUANTITIES[name].width
        return named[width] if width in named else int(width)


def _columns(order: Int[np.ndarray, "_"], each: int, start: int) -> Int[np.ndarray, "_"]:
    """Columns of bodies in order, each with some neighbouring numbers."""
    return (start + order[:, None] * each + np.arange(each)).ravel()


def _order(what: str, own: tuple[str, ...], given: tuple[str, ...] | None) -> Int[np.ndarray, "_"]:
    """For each joint or foot of the robot, its place in the logs."""
    if given is None:
        return np.arange(len(own))
    for name in given:
        if name not in own:
            raise BodyplanError(
                f"{what}_order names '{name}', which is no {what} of the robot; "
                f"{did_you_mean(name, own) or f'it has {name_list(own)}.'}"
            )
    if sorted(given) != sorted(own):
        missing = sorted(set(own) - set(given)) or "one twice"
        raise BodyplanError(f"{what}_order must name each {what} once; it has {missing} wrong.")
    return np.array([given.index(name) for name in own])
