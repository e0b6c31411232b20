"""Quantities of the walking task that a mapping file can give: their columns, units and options.

A quantity is given by the name of an array, by constant numbers, by the word `unknown`, or by a
table. The table names the array and its columns, unit, scale and so on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, NotRequired, TypedDict

import numpy as np
from msgspec import Meta

from bodyplan.errors import BodyplanError
from bodyplan.records import Count, checked_record
from bodyplan.robots.feature_sizes import GENERAL_OBSERVATION_SIZE
from bodyplan.robots.validation.problem import did_you_mean

_ANGLE = {"rad": 1.0, "deg": np.pi / 180.0}
_RATE = {"rad/s": 1.0, "deg/s": np.pi / 180.0, "rpm": np.pi / 30.0}
_LENGTH = {"m": 1.0, "cm": 0.01, "mm": 0.001}
_SPEED = {"m/s": 1.0, "km/h": 1.0 / 3.6}
_TIME = {"s": 1.0, "ms": 0.001}
_STEP_KEYS = ("array", "columns", "scale", "offset")
_FRAME_KEYS = (*_STEP_KEYS, "next")


@dataclass(frozen=True)
class QuantityKind:
    """What the mapping file may say about a quantity."""

    width: str
    """Number of columns: a number, `J` (joints), `F` (feet), `J3` (3 J), `F2` (2 F) or `flat`."""
    units: Mapping[str, float] = field(default_factory=dict)
    """Units, each with its factor to the task's unit."""
    keys: tuple[str, ...] = _FRAME_KEYS
    """Keys of its table besides `unit`."""
    unknown: bool = False
    """Whether it may be unknown, because policies do not observe it."""


QUANTITIES: Mapping[str, QuantityKind] = {
    "joint_positions": QuantityKind("J", _ANGLE),
    "joint_velocities": QuantityKind("J", _RATE),
    "previous_actions": QuantityKind("J"),
    "angular_velocity": QuantityKind("3", _RATE, (*_FRAME_KEYS, "frame")),
    "linear_velocity": QuantityKind("3", _SPEED, (*_FRAME_KEYS, "frame"), unknown=True),
    "gravity": QuantityKind("3"),
    "orientation": QuantityKind("4", keys=(*_FRAME_KEYS, "order")),
    "height": QuantityKind("1", _LENGTH, unknown=True),
    "foot_contacts": QuantityKind("F", keys=(*_FRAME_KEYS, "threshold")),
    "foot_timers": QuantityKind("F", _TIME),
    "command": QuantityKind("3"),
    "observations": QuantityKind("flat"),
    "joints": QuantityKind("J3"),
    "feet": QuantityKind("F2"),
    "general": QuantityKind(str(GENERAL_OBSERVATION_SIZE)),
    "actions": QuantityKind("J", _ANGLE, (*_STEP_KEYS, "kind")),
    "rewards": QuantityKind("1", keys=(*_STEP_KEYS, "least")),
    "terminated": QuantityKind("1", keys=_STEP_KEYS),
    "truncated": QuantityKind("1", keys=_STEP_KEYS),
    "episodes": QuantityKind("1", keys=_STEP_KEYS),
    "episode_ends": QuantityKind("1", keys=_STEP_KEYS),
}


_CHOICES = {
    "order": ("wxyz", "xyzw"),
    "frame": ("trunk", "world"),
    "kind": ("offset", "target"),
}


class _Table(TypedDict):
    """A quantity's table."""

    array: str
    columns: NotRequired[Annotated[list[Count], Meta(min_length=1)]]
    unit: NotRequired[str]
    scale: NotRequired[float]
    offset: NotRequired[float]
    next: NotRequired[str]
    order: NotRequired[str]
    threshold: NotRequired[float]
    least: NotRequired[float]
    frame: NotRequired[str]
    kind: NotRequired[str]


@dataclass(frozen=True)
class QuantitySource:
    """Where a quantity comes from: an array, constant numbers, or nowhere (unknown)."""

    array: str | None = None
    constant: tuple[float, ...] | None = None
    columns: tuple[int, ...] | None = None
    unit: str | None = None
    scale: float = 1.0
    """Factor to the task's unit, that of `unit` included."""
    offset: float = 0.0
    """Added after `scale`."""
    next: str | None = None
    """Array of the values after each step, from which final frames are taken."""
    order: str | None = None
    frame: str = "trunk"
    kind: str = "offset"
    threshold: float = 0.5
    """A foot is on the floor where its value is above this."""
    least: float | None = None
    """Lower rewards are raised to this."""

    @property
    def is_unknown(self) -> bool:
        return self.array is None and self.constant is None


def read_quantity(place: str, name: str, given: Any) -> QuantitySource:
    """Reads the entry of a mapping file for a quantity.

    Args:
        place: where the entry is, for error messages.
        name: the quantity.
        given: the entry.

    Raises:
        BodyplanError: the entry has an unknown key or a wrong type.
    """
    kind = QUANTITIES[name]
    if given == "unknown":
        if not kind.unknown:
            raise BodyplanError(f"{place} cannot be unknown; give the array that holds it.")
        return QuantitySource()
    if isinstance(given, str):
        return QuantitySource(array=given, order=_quaternion_order(place, name, None))
    if isinstance(given, int | float | list):
        numbers = given if isinstance(given, list) else [given]
        checked_record(place, numbers, list[bool | float], "correct it")
        return QuantitySource(constant=tuple(_number(place, number) for number in numbers))
    if isinstance(given, dict):
        require_known_keys(place, given, (*kind.keys, *(["unit"] if kind.units else [])))
    table = checked_record(place, given, _Table, "correct it")
    columns, least = table.get("columns"), table.get("least")
    return QuantitySource(
        array=table["array"],
        columns=None if columns is None else tuple(columns),
        unit=table.get("unit"),
        scale=_scale(place, table.get("scale", 1.0)) * _factor(place, kind, table.get("unit")),
        offset=_number(place, table.get("offset", 0.0)),
        next=table.get("next"),
        order=_quaternion_order(place, name, table.get("order")),
        threshold=_number(place, table.get("threshold", 0.5)),
        least=None if least is None else _number(place, least),
        frame=_chosen(place, "frame", table.get("frame", "trunk")),
        kind=_chosen(place, "kind", table.get("kind", "offset")),
    )


def _quaternion_order(place: str, name: str, order: str | None) -> str | None:
    """The order of a quaternion's numbers, which must be given because both orders are common."""
    if name != "orientation":
        return None
    if order is None:
        raise BodyplanError(
            f'{place} does not say the order of its numbers; add order = "wxyz" or "xyzw".'
        )
    return _chosen(place, "order", order)


def _chosen(place: str, key: str, value: str) -> str:
    if value not in _CHOICES[key]:
        raise BodyplanError(f"{place} has {key} = {value!r}; choose one of {_CHOICES[key]}.")
    return value


def _factor(place: str, kind: QuantityKind, unit: str | None) -> float:
    if unit is None:
        return 1.0
    if unit not in kind.units:
        raise BodyplanError(
            f"{place} has unit = {unit!r}; choose one of {', '.join(kind.units)} or give scale."
        )
    return kind.units[unit]


def _number(place: str, value: float) -> float:
    """A number of TOML, which has infinity and NaN, too."""
    if not np.isfinite(value):
        raise BodyplanError(f"{place} has {value!r}, which is not a number; correct it.")
    return float(value)


def _scale(place: str, value: float) -> float:
    if value == 0.0:
        raise BodyplanError(f"{place} has scale = 0, which makes all numbers 0; correct it.")
    return _number(place, value)


def require_known_keys(place: str, table: Mapping[str, Any], keys: Iterable[str]) -> None:
    """Checks that a table has no keys but these.

    Raises:
        BodyplanError: it has another key.
    """
    for key in table:
        if key not in keys:
            hint = did_you_mean(key, keys) or f"known are {', '.join(keys)}."
            raise BodyplanError(f"{place} has an unknown entry '{key}'; {hint}")
