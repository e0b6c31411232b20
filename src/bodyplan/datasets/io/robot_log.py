"""Reads one log file of a robot as quantities in the task's units and order of joints."""

import math
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from bodyplan.datasets.io.array_files import ArrayFile, require_array
from bodyplan.datasets.io.episode_boundaries import EpisodeEnds, FinalFrameSource, FrameRows
from bodyplan.datasets.io.mapping_file import RobotLogs
from bodyplan.datasets.io.quantities import QUANTITIES, QuantitySource
from bodyplan.errors import BodyplanError
from bodyplan.memory import require_memory
from bodyplan.robots.feature_sizes import (
    FOOT_OBSERVATION_SIZE,
    JOINT_OBSERVATION_SIZE,
    flat_observation_size,
    local_observation_size,
)
from bodyplan.robots.robot import Robot
from bodyplan.robots.validation.problem import did_you_mean, name_list

_STEP_QUANTITIES = ("actions", "rewards", "terminated", "truncated", "episodes", "episode_ends")


class RobotLog:
    """The quantities of one log file, by name."""

    def __init__(self, container: ArrayFile, robot: Robot, logs: RobotLogs) -> None:
        """Checks the orders of joints and feet; arrays are read later.

        Raises:
            BodyplanError: an order has a wrong name, or lacks one.
        """
        self.robot = robot
        self._container, self._logs = container, logs
        feet = tuple(foot.name for foot in robot.feet)
        self._joint_order = _order("joint", robot.joints, logs.joint_order)
        self._foot_order = _order("foot", feet, logs.foot_order)

    @property
    def path(self) -> Path:
        """Path of the file."""
        return self._container.path

    def has(self, name: str) -> bool:
        """Whether the mapping gives a quantity."""
        return name in self._logs.quantities

    def source(self, name: str) -> QuantitySource:
        """Where the mapping takes a quantity from.

        Raises:
            BodyplanError: the mapping does not give it.
        """
        if not self.has(name):
            hint = " (or false, if no episode ended in a fall)" if name == "terminated" else ""
            raise BodyplanError(
                f"the mapping gives no {name} of {self.robot.name}; add it{hint}, see "
                "docs/interchange.md."
            )
        return self._logs.quantities[name]

    def episode_ends(self, count: int) -> EpisodeEnds:
        """Where the episodes of `count` steps end.

        Raises:
            BodyplanError: the mapping does not say which steps are falls, or two of its quantities
                say where episodes end, or one is wrong.
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

    def final_frame_source(self, steps: int, episodes: int) -> FinalFrameSource:
        """Where the log has the frames after the last steps of its episodes.

        Args:
            steps: number of steps.
            episodes: number of episodes.

        Raises:
            BodyplanError: the quantities disagree, or an array has a wrong number of rows.
        """
        found: dict[FinalFrameSource, str] = {}
        for name, source in self._logs.quantities.items():
            if name in _STEP_QUANTITIES or source.array is None:
                continue
            rows = require_array(self._container, source.array).shape[0]
            if rows == steps:
                found["next" if source.next else "none"] = name
            elif rows == steps + episodes and source.next is None:
                found["rows"] = name
            else:
                raise BodyplanError(
                    f"{self.path}: '{source.array}' ({name}) has {rows} rows, but there are "
                    f"{steps} actions in {episodes} episodes; give {steps} rows, or without `next` "
                    f"{steps + episodes}, one more for each episode's final observation."
                )
        if len(found) > 1:
            raise BodyplanError(
                f"{self.path}: {' and '.join(found.values())} differ in whether they have an "
                "episode's final observation; give `next` to all observed quantities or to none."
            )
        return next(iter(found), "none")

    def steps(self, name: str, count: int | None) -> Float[np.ndarray, "rows _"]:
        """A quantity that has one row a step.

        Args:
            name: the quantity.
            count: number of steps; if it is None, the array decides it.

        Raises:
            BodyplanError: the array is missing, damaged, of another shape, or contains NaN.
        """
        source = self.source(name)
        if source.array is None:
            if count is None:
                raise BodyplanError(f"the mapping must give an array for {name}; name one.")
            return self._constant(name, count)
        rows = require_array(self._container, source.array).shape[0]
        if count is not None and rows != count:
            raise BodyplanError(
                f"{self.path}: '{source.array}' ({name}) has {rows} rows, but there are "
                f"{count} actions; give one row a step."
            )
        return self._values(name, source.array)

    def flags(self, name: str, count: int) -> Bool[np.ndarray, "rows"]:
        """A quantity that is 0 or 1 at each step, as booleans.

        Raises:
            BodyplanError: as `steps`, or it has other numbers than 0 and 1.
        """
        values = self.steps(name, count)[:, 0]
        wrong = values[(values != 0.0) & (values != 1.0)]
        if len(wrong):
            raise BodyplanError(
                f"{self.path}: {name} contains {wrong[0]:g} where only 0 and 1 are allowed; check "
                "the array's name."
            )
        return values.astype(bool)

    def frames(self, name: str, frames: FrameRows) -> Float[np.ndarray, "frames _"]:
        """A quantity that has one row a frame.

        Raises:
            BodyplanError: as `steps`.
        """
        source = self.source(name)
        if source.array is None:
            return self._constant(name, len(frames.rows))
        if source.next is not None:
            after, rows = (
                require_array(self._container, array).shape[0]
                for array in (source.next, source.array)
            )
            if after != rows:
                raise BodyplanError(
                    f"{self.path}: '{source.next}' has {after} rows and "
                    f"'{source.array}' {rows}; give one row a step in both."
                )
        arrays = [source.array, *([source.next] if source.next is not None else [])]
        return np.concatenate([self._values(name, array) for array in arrays])[frames.rows]

    def _stops(self, count: int) -> Int[np.ndarray, "E"]:
        stops = self.steps("episode_ends", None)[:, 0]
        rising = (np.diff(stops, prepend=0) >= 1).all()
        if not rising or stops[-1] != count or (stops != np.floor(stops)).any():
            raise BodyplanError(
                f"{self.path}: '{self.source('episode_ends').array}' must rise to the number of "
                f"steps, {count}; each number is the step after an episode's last."
            )
        return stops.astype(np.int64)

    def _constant(self, name: str, count: int) -> Float[np.ndarray, "rows _"]:
        constant = self.source(name).constant or ()
        if len(constant) != self._width(name):
            raise BodyplanError(
                f"the mapping gives {len(constant)} numbers for {name} of {self.robot.name}, not "
                f"{self._width(name)}; correct it."
            )
        return np.tile(constant, (count, 1))

    def _values(self, name: str, array: str) -> Float[np.ndarray, "rows _"]:
        source, stored = self.source(name), require_array(self._container, array)
        width = math.prod(stored.shape[1:])
        if source.columns is not None and max(source.columns) >= width:
            raise BodyplanError(
                f"{stored.place} has {width} columns, so there is no column "
                f"{max(source.columns)}; correct columns of {name}."
            )
        chosen = width if source.columns is None else len(source.columns)
        if chosen != self._width(name):
            raise BodyplanError(
                f"{stored.place} has {chosen} columns, but {name} of {self.robot.name} "
                f"has {self._width(name)}; choose them with columns = [...]."
            )
        # Before anything is read: a small compressed file may stand for more than memory holds.
        needed = stored.shape[0] * (width + chosen) * np.dtype(np.float64).itemsize
        require_memory(needed, stored.place, "import fewer rows at a time")
        values = stored.rows().reshape(-1, width)
        if source.columns is not None:
            values = values[:, source.columns]
        values = values.astype(np.float64)
        if not np.isfinite(values).all():
            row, column = np.argwhere(~np.isfinite(values))[0].tolist()
            raise BodyplanError(
                f"{stored.place} contains NaN or infinity in row {row}, column {column}; correct "
                "that episode or leave it out."
            )
        return self._ordered(name, values * source.scale + source.offset)

    def _ordered(self, name: str, values: Float[np.ndarray, "rows _"]) -> np.ndarray:
        """Puts the columns of joints and feet into the task's order."""
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
    """Columns of joints or feet in an order, with `each` columns for each of them."""
    return (start + order[:, None] * each + np.arange(each)).ravel()


def _order(
    what: str, names: tuple[str, ...], given: tuple[str, ...] | None
) -> Int[np.ndarray, "_"]:
    """For each joint or foot of the robot, its position in the logs."""
    if given is None:
        return np.arange(len(names))
    for name in given:
        if name not in names:
            raise BodyplanError(
                f"{what}_order has '{name}', which is not a {what} of the robot; "
                f"{did_you_mean(name, names) or f'it has {name_list(names)}.'}"
            )
    if sorted(given) != sorted(names):
        missing = sorted(set(names) - set(given))
        fault = f"lacks {', '.join(missing)}" if missing else "has one twice"
        raise BodyplanError(f"{what}_order {fault}; name each {what} once.")
    return np.array([given.index(name) for name in names])
