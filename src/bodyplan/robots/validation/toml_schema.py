"""What a robot's TOML may say: its tables and keys, and what kind of value each takes."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, fields
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from bodyplan.robots.randomisation_ranges import JointRandomisation, RandomisationRanges
from bodyplan.robots.task_config import (
    RETIRED_REWARD_KEYS,
    ExpertSettings,
    InitialState,
    RewardCoefficients,
    Termination,
)
from bodyplan.robots.validation.problem import Problem, did_you_mean

Point = tuple[float, float, float]
PerJoint = float | tuple[float, ...]
Names = tuple[str, ...]

TOP: dict[str, Any] = {
    "description": str,
    "kind": str,
    "legs": int,
    "trunk": str,
    "drop_height": float,
    "box_min": Point,
    "box_size": Point,
}
TOP_OPTIONAL: dict[str, Any] = {"provenance": str, "senses_feet": bool}
CONTROL: dict[str, Any] = {"kp": float, "kd": float, "action_scale": float}
JOINTS_REQUIRED: dict[str, Any] = {"names": Names, "nominal": PerJoint, "max_velocity": PerJoint}
JOINTS_OPTIONAL: dict[str, Any] = {"children": PerJoint}
FOOT: dict[str, Any] = {"geoms": Names}
FOOT_OPTIONAL: dict[str, Any] = {"point": Point}
RECORDS = {
    "reward": RewardCoefficients,
    "termination": Termination,
    "initial_state": InitialState,
    "randomisation": RandomisationRanges,
    "expert": ExpertSettings,
}
"""Tables that are read into a dataclass; its fields say the rest."""
REQUIRED_TABLES = ("control", "joints", "feet", "reward", "termination")
POSITIVE = ("kp", "action_scale", "drop_height", "max_velocity", "box_size", "legs")

WORDS = {
    str: "text in quotes",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    JointRandomisation: "two numbers, or a table with add or factor",
    Point: "three numbers",
    PerJoint: "a number, or a list with one for each joint",
    Names: "a list of texts",
}


def schema_problems(where: str, config: Mapping[str, Any]) -> list[Problem]:
    """Everything that is wrong with a TOML before it is compared with the model.

    Args:
        where: the file.
        config: its content.
    """
    return [Problem("error", where, problem, fix) for problem, fix in _faults(config)]


def _faults(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    tables = {"control", "joints", "feet", *RECORDS}
    plain = {key: value for key, value in config.items() if key not in tables}
    yield from _table("", plain, TOP, TOP_OPTIONAL, tables)
    for name in REQUIRED_TABLES:
        if name not in config:
            yield f"the table [{name}] is missing", "docs/add_a_robot.md shows one"
    for name in sorted(tables & set(config)):
        if not isinstance(config[name], Mapping):
            yield f"{name} is no table", f"write [{name}] and its keys below it"
        elif name == "feet":
            yield from _feet(config["feet"])
        else:
            yield from _table(f"{name}.", config[name], *_kinds(name))
    yield from _joint_counts(config)


def _kinds(table: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Required and optional keys of a table, with the kinds of their values."""
    if table == "control":
        return CONTROL, {}
    if table == "joints":
        return JOINTS_REQUIRED, JOINTS_OPTIONAL
    required: dict[str, Any] = {}
    optional: dict[str, Any] = {}
    for field in fields(RECORDS[table]):
        kinds = required if field.default is MISSING else optional
        kinds[field.name] = field.type
    if table == "reward":
        optional |= dict.fromkeys(RETIRED_REWARD_KEYS, int)
    return required, optional


def _table(
    path: str,
    table: Mapping[str, Any],
    required: Mapping[str, Any],
    optional: Mapping[str, Any],
    others: Collection[str] = (),
) -> Iterator[tuple[str, str]]:
    kinds = {**required, **optional}
    for key in required:
        if key not in table:
            yield f"{path}{key} is missing", f"give {_word(kinds[key])}"
    for key, value in table.items():
        if key not in kinds:
            known = did_you_mean(key, {*kinds, *others}) or f"known are {', '.join(sorted(kinds))}"
            yield f"{path}{key} is unknown", known
        elif not _fits(value, kinds[key]):
            yield f"{path}{key} = {_short(value)} is wrong", f"give {_word(kinds[key])}"
        elif key in POSITIVE and path != "randomisation." and _lowest(value) <= 0:
            yield f"{path}{key} = {_short(value)} is not above zero", "give a positive number"


def _feet(feet: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not feet:
        yield "[feet] names no foot", 'write name = { geoms = ["geom"] } for each'
    for name, foot in feet.items():
        if not isinstance(foot, Mapping):
            yield f"feet.{name} = {_short(foot)} is wrong", 'give { geoms = ["geom"] }'
            continue
        yield from _table(f"feet.{name}.", foot, FOOT, FOOT_OPTIONAL)
        if foot.get("geoms") == []:
            yield f"feet.{name}.geoms is empty", "name the geoms that touch the floor"


def _joint_counts(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    joints = config.get("joints")
    if not isinstance(joints, Mapping) or not _fits(joints.get("names"), Names):
        return
    names = joints["names"]
    if not names:
        yield "joints.names is empty", "name the joints that the policy drives"
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"joints.names has '{name}' twice", "leave one of them out"
    for key in ("nominal", "max_velocity", "children"):
        value = joints.get(key)
        if isinstance(value, list) and len(value) != len(names):
            yield (
                f"joints.{key} has {len(value)} values for {len(names)} joints",
                "give one for each, or one number for all",
            )


def _fits(value: Any, kind: Any) -> bool:
    if kind is JointRandomisation:
        redraw = isinstance(value, Mapping) and set(value) <= {"add", "factor"}
        return _fits(value, tuple[float, float]) or (
            redraw and all(_fits(number, float) for number in value.values())
        )
    if get_origin(kind) in (Union, UnionType):
        return any(_fits(value, part) for part in get_args(kind) if part is not NoneType)
    if get_origin(kind) is tuple:
        parts = get_args(kind)
        if not isinstance(value, list):
            return False
        if parts[-1] is Ellipsis:
            return all(_fits(item, parts[0]) for item in value)
        return len(value) == len(parts) and all(map(_fits, value, parts))
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


def _word(kind: Any) -> str:
    if kind in WORDS:
        return WORDS[kind]
    if get_origin(kind) in (Union, UnionType):
        return _word(next(part for part in get_args(kind) if part is not NoneType))
    parts = get_args(kind)
    return "a list of pairs of texts" if parts[-1] is Ellipsis else f"{len(parts)} numbers"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _lowest(value: Any) -> float:
    return float(min(value) if isinstance(value, list) and value else value or 0.0)
