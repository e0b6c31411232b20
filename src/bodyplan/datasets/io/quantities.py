"""Quantities of the walking task in a user's logs, and how a mapping file gives each.

By the name of an array, by constant numbers, by the word `unknown`, or by a table that says more of
the array: its columns, its unit, what it is after the last step.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bodyplan.errors import BodyplanError
from bodyplan.robots.feature_sizes import GENERAL_OBSERVATION_SIZE
from bodyplan.robots.validation.problem import did_you_mean

_ANGLE = {"rad": 1.0, "deg": np.pi / 180.0}
_RATE = {"rad/s": 1.0, "deg/s": np.pi / 180.0, "rpm": np.pi / 30.0}
_LENGTH = {"m": 1.0, "cm": 0.01, "mm": 0.001}
_SPEED = {"m/s": 1.0, "km/h": 1.0 / 3.6}
_TIME = {"s": 1.0, "ms": 0.001}
_ANY = ("array", "columns", "scale", "offset")
_ON_FRAMES = (*_ANY, "next")


@dataclass(frozen=True)
class Kind:
    """What a quantity may be."""

    width: str
    """Columns: a number, or J joints, F feet, `J3` and so on."""
    units: Mapping[str, float] = field(default_factory=dict)
    """Factors to the task's own unit."""
    keys: tuple[str, ...] = _ON_FRAMES
    """That its table may have, besides `unit`."""
    unknown: bool = False
    """Whether it may be left unknown: only critics see it."""


QUANTITIES: Mapping[str, Kind] = {
    "joint_positions": Kind("J", _ANGLE),
    "joint_velocities": Kind("J", _RATE),
    "previous_actions": Kind("J"),
    "angular_velocity": Kind("3", _RATE, (*_ON_FRAMES, "frame")),
    "linear_velocity": Kind("3", _SPEED, (*_ON_FRAMES, "frame"), unknown=True),
    "gravity": Kind("3"),
    "orientation": Kind("4", keys=(*_ON_FRAMES, "order")),
    "height": Kind("1", _LENGTH, unknown=True),
    "foot_contacts": Kind("F", keys=(*_ON_FRAMES, "threshold")),
    "foot_timers": Kind("F", _TIME),
    "command": Kind("3"),
    "observations": Kind("flat"),
    "joints": Kind("J3"),
    "feet": Kind("F2"),
    "general": Kind(str(GENERAL_OBSERVATION_SIZE)),
    "actions": Kind("J", _ANGLE, (*_ANY, "kind")),
    "rewards": Kind("1", keys=(*_ANY, "least")),
    "terminated": Kind("1", keys=_ANY),
    "truncated": Kind("1", keys=_ANY),
    "episodes": Kind("1", keys=_ANY),
    "episode_ends": Kind("1", keys=_ANY),
}
_CHOICES = {
    "order": ("wxyz", "xyzw"),
    "frame": ("trunk", "world"),
    "kind": ("offset", "target"),
}


@dataclass(frozen=True)
class Quantity:
    """Where a quantity comes from: an array, constant numbers, or nowhere."""

    array: str | None = None
    constant: tuple[float, ...] | None = None
    columns: tuple[int, ...] | None = None
    unit: str | None = None
    scale: float = 1.0
    """Factor to the task's unit."""
    offset: float = 0.0
    """Added after `scale`."""
    next: str | None = None
    """Array of the same after each step; where given, closing frames are taken from it."""
    order: str | None = None
    frame: str = "trunk"
    kind: str = "offset"
    threshold: float = 0.5
    """Above which a foot is on the floor."""
    least: float | None = None
    """To which lower rewards are raised."""

    @property
    def is_unknown(self) -> bool:
        return self.array is None and self.constant is None


def read_quantity(place: str, name: str, given: Any) -> Quantity:
    """Reads what a mapping file gives for the quantity `name`; `place` names it in errors.

    Raises:
        BodyplanError: an entry is unknown or of another type.
    """
    kind = QUANTITIES[name]
    if given == "unknown":
        if not kind.unknown:
            raise BodyplanError(f"{place} cannot be unknown; give the array that holds it.")
        return Quantity()
    if isinstance(given, str):
        return Quantity(array=given, order=_need_order(place, name, None))
    if isinstance(given, int | float | list):
        numbers = given if isinstance(given, list) else [given]
        return Quantity(constant=tuple(float(_number(place, number)) for number in numbers))
    table = typed(place, "value", given, dict)
    require_known(place, table, (*kind.keys, *(["unit"] if kind.units else [])))
    if "array" not in table:
        raise BodyplanError(f'{place} names no array; add array = "...".')
    return Quantity(
        array=typed(place, "array", table["array"], str),
        columns=_columns(place, table.get("columns")),
        unit=table.get("unit"),
        scale=_number(place, table.get("scale", 1.0)) * _factor(place, kind, table.get("unit")),
        offset=_number(place, table.get("offset", 0.0)),
        next=typed(place, "next", table["next"], str) if "next" in table else None,
        order=_need_order(place, name, table.get("order")),
        threshold=_number(place, table.get("threshold", 0.5)),
        least=_number(place, table["least"]) if "least" in table else None,
        frame=_chosen(place, "frame", table.get("frame", "trunk")),
        kind=_chosen(place, "kind", table.get("kind", "offset")),
    )


def _need_order(place: str, name: str, order: Any) -> str | None:
    """Which of a quaternion's numbers is w; the two customs are too often mixed up to guess."""
    if name != "orientation":
        return None
    if order is None:
        raise BodyplanError(
            f'{place} does not say the order of its numbers; add order = "wxyz" or "xyzw".'
        )
    return _chosen(place, "order", order)


def _chosen(place: str, key: str, value: Any) -> str:
    if value not in _CHOICES[key]:
        raise BodyplanError(f"{place} has {key} = {value!r}; choose one of {_CHOICES[key]}.")
    return value


def _factor(place: str, kind: Kind, unit: Any) -> float:
    if unit is None:
        return 1.0
    if unit not in kind.units:
        raise BodyplanError(
            f"{place} has unit = {unit!r}; choose one of {', '.join(kind.units)} or give scale."
        )
    return kind.units[unit]


def _columns(place: str, columns: Any) -> tuple[int, ...] | None:
    if columns is None:
        return None
    numbers = typed(place, "columns", columns, list)
    if not numbers or not all(type(number) is int and number >= 0 for number in numbers):
        raise BodyplanError(f"{place} has columns = {columns!r}; give numbers from 0 on.")
    return tuple(numbers)


def _number(place: str, value: Any) -> float:
    if not isinstance(value, int | float) or not np.isfinite(value):
        raise BodyplanError(f"{place} has {value!r} where a number belongs; correct it.")
    return float(value)


def typed(place: str, key: str, value: Any, kind: type) -> Any:
    """`value`, once it is known to be of a type.

    Raises:
        BodyplanError: it is not.
    """
    if not isinstance(value, kind):
        raise BodyplanError(
            f"{place}: {key} is {value!r}, which is no {_SPOKEN[kind]}; correct it."
        )
    return value


_SPOKEN = {str: "text", int: "whole number", list: "list", dict: "table, array name or number"}


def require_known(place: str, table: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    """Refuses a key that nothing is known of.

    Raises:
        BodyplanError: there is one.
    """
    for key in table:
        if key not in keys:
            asked = did_you_mean(key, keys) or f"known are {', '.join(keys)}."
            raise BodyplanError(f"{place} has an unknown entry '{key}'; {asked}")
