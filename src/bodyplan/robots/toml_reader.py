"""TOML reader: a robot's TOML as a `TaskConfig`, or everything that is wrong with it.

The records of `task_config.py` say which tables and keys there are and what values they take.
msgspec checks and converts the values. What it does not do is here: it stops at the first fault,
and its messages name no fix.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import msgspec

from bodyplan.errors import BodyplanError
from bodyplan.robots.randomisation_ranges import JointRandomisation
from bodyplan.robots.reading.robot_folder import require_file
from bodyplan.robots.task_config import (
    RETIRED_REWARD_KEYS,
    FootConfig,
    Names,
    NotNegative,
    Point,
    Positive,
    PositiveInteger,
    PositivePerJoint,
    PositivePoint,
    RewardCoefficients,
    TaskConfig,
    ValuePerJoint,
)
from bodyplan.robots.validation.problem import Problem, did_you_mean

WORDS: dict[Any, str] = {
    str: "text in quotes",
    int: "a whole number",
    PositiveInteger: "a positive whole number",
    float: "a number",
    bool: "true or false",
    Positive: "a positive number",
    NotNegative: "a number that is not negative",
    Point: "three numbers",
    PositivePoint: "three positive numbers",
    ValuePerJoint: "a number, or a list with one for each joint",
    PositivePerJoint: "a positive number, or a list with one for each joint",
    Names: "a list of texts",
    tuple[tuple[str, str], ...]: "a list of pairs of texts",
    tuple[float, float]: "two numbers",
    JointRandomisation: "two numbers, or a table with add or factor",
    FootConfig: '{ geoms = ["geom"] }',
}
"""What a value of each type is, in the words of a message."""
MAX_TOML_BYTES = 1_000_000
MAX_VALUE = 1e9
"""Of a number's magnitude, whatever its unit; NaN is not below it."""
RETIRED_KEYS: dict[type, tuple[str, ...]] = {RewardCoefficients: RETIRED_REWARD_KEYS}


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        BodyplanError: the file is no regular file, is too large, or is not valid TOML.
    """
    content = require_file(path, MAX_TOML_BYTES).read_bytes()
    try:
        return tomllib.loads(content.decode("utf-8"))
    except RecursionError as error:
        raise BodyplanError(f"{path}: its lists are nested too deeply; write fewer [") from error
    except ValueError as error:  # of TOML, of UTF-8, or of a number with thousands of digits
        reason = " ".join(str(error).split())[:120]
        raise BodyplanError(
            f"{path}: this is not valid TOML ({reason}); correct that place"
        ) from error


def parse_config(where: str, content: Mapping[str, Any]) -> tuple[TaskConfig | None, list[Problem]]:
    """Read the content of a robot's TOML.

    Args:
        where: path of the TOML, which the problems name.
        content: what the TOML holds.

    Returns:
        The config, None where an entry is missing or wrong; and every problem.
    """
    parser = _Parser()
    config = parser.record("", TaskConfig, content)
    parser.check_feet(content.get("feet"))
    parser.check_joints(content.get("joints"))
    return config, [Problem("error", where, problem, fix) for problem, fix in parser.faults]


@dataclass
class _Parser:
    """Converts values and collects the faults: pairs of a problem and its fix."""

    faults: list[tuple[str, str]] = field(default_factory=list)

    def record(self, path: str, kind: type, table: Mapping[str, Any]) -> Any:
        """A dataclass from a table; None where an entry is missing or wrong.

        Args:
            path: keys that lead to the table, each with a dot behind it.
            kind: the dataclass.
            table: its fields by name.
        """
        known = {own.name: own for own in fields(kind)}
        missing = [own for own in known.values() if own.name not in table and _is_required(own)]
        self.faults += [_missing(path, own) for own in missing]
        for key in table:
            if key not in known and key not in RETIRED_KEYS.get(kind, ()):
                fix = did_you_mean(key, known) or f"known are {', '.join(sorted(known))}"
                self.faults.append((f"{path}{key} is unknown", fix))
        values = {
            key: self.value(f"{path}{key}", own.type, table[key])
            for key, own in known.items()
            if key in table
        }
        return kind(**values) if not missing and None not in values.values() else None

    def value(self, path: str, kind: Any, value: Any) -> Any:
        """A value as its type; None where it is wrong."""
        if get_origin(kind) is dict:
            return self.records(path, get_args(kind)[1], value)
        if kind is JointRandomisation and isinstance(value, list):
            value = {"between": value}
        if is_dataclass(kind) and isinstance(value, Mapping):
            return self.record(f"{path}.", kind, value)  # type: ignore[arg-type]
        try:
            if not is_dataclass(kind) and all(abs(own) <= MAX_VALUE for own in _numbers(value)):
                return msgspec.convert(value, kind)
        except msgspec.ValidationError:
            pass
        self.faults.append(_wrong(path, kind, value))
        return None

    def records(self, path: str, kind: type, table: Any) -> dict[str, Any] | None:
        """Records by name; None where one is wrong."""
        if not isinstance(table, Mapping):
            self.faults.append((f"{path} is no table", f"write [{path}] and its keys below it"))
            return None
        values = {key: self.value(f"{path}.{key}", kind, own) for key, own in table.items()}
        return None if None in values.values() else values

    def check_feet(self, feet: Any) -> None:
        """Every robot has feet, and every foot has geoms."""
        if not isinstance(feet, Mapping):
            return
        if not feet:
            self.faults.append(("[feet] names no foot", 'write name = { geoms = ["geom"] }'))
        for name, foot in feet.items():
            if isinstance(foot, Mapping) and foot.get("geoms") == []:
                fix = "name the geoms that touch the floor"
                self.faults.append((f"feet.{name}.geoms is empty", fix))

    def check_joints(self, joints: Any) -> None:
        """Every joint is named once, and lists have a value for each."""
        names = joints.get("names") if isinstance(joints, Mapping) else None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return
        if not names:
            self.faults.append(("joints.names is empty", "name the joints that the policy drives"))
        for name in sorted({name for name in names if names.count(name) > 1}):
            self.faults.append((f"joints.names has '{name}' twice", "leave one of them out"))
        for key, value in joints.items():
            if key != "names" and isinstance(value, list) and len(value) != len(names):
                problem = f"joints.{key} has {len(value)} values for {len(names)} joints"
                self.faults.append((problem, "give one for each, or one number for all"))


def _is_required(own: Field[Any]) -> bool:
    return own.default is MISSING and own.default_factory is MISSING


def _missing(path: str, own: Field[Any]) -> tuple[str, str]:
    if is_dataclass(own.type) or get_origin(own.type) is dict:
        return f"the table [{path}{own.name}] is missing", "docs/add_a_robot.md shows one"
    return f"{path}{own.name} is missing", f"give {_word(own.type)}"


def _wrong(path: str, kind: Any, value: Any) -> tuple[str, str]:
    if is_dataclass(kind) and kind not in WORDS:
        return f"{path} is no table", f"write [{path}] and its keys below it"
    text = repr(value)
    short = text if len(text) <= 40 else f"{text[:37]}..."
    return f"{path} = {short} is wrong", f"give {_word(kind)}"


def _word(kind: Any) -> str:
    if kind not in WORDS and get_origin(kind) in (Union, UnionType):
        return _word(reduce(or_, (part for part in get_args(kind) if part is not NoneType)))
    return WORDS[kind]


def _numbers(value: Any) -> Iterator[float]:
    """All numbers in a value."""
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, Iterable) and not isinstance(value, str):
        for item in value:
            yield from _numbers(item)
