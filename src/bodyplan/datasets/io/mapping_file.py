"""Reads the mapping file, which assigns the arrays of a user's logs to quantities of the task.

It is a TOML file with one table `[[robots]]` for each robot. docs/interchange.md is the reference.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bodyplan.datasets.io.quantities import (
    QUANTITIES,
    QuantitySource,
    read_quantity,
    require_known_keys,
    require_type,
)
from bodyplan.envs.walking_task import Command, parse_command
from bodyplan.errors import BodyplanError
from bodyplan.robots.task_config import CONTROL_STEP

_RATE_HZ = round(1.0 / CONTROL_STEP)
_OTHER_KEYS = ("robot", "files", "rate", "joint_order", "foot_order")
_TOP_KEYS = ("recipe", "seed", "command", "robots")


@dataclass(frozen=True)
class RobotLogs:
    """One robot's logs."""

    robot: str
    """Name, or path of an MJCF file."""
    files: tuple[Path, ...]
    quantities: Mapping[str, QuantitySource]
    joint_order: tuple[str, ...] | None = None
    """Names of the joints in the order of the logs' columns; by default that of the robot."""
    foot_order: tuple[str, ...] | None = None
    """Likewise of the feet."""


@dataclass(frozen=True)
class LogMapping:
    """The content of a mapping file."""

    path: Path
    robots: tuple[RobotLogs, ...]
    recipe: str = "logs"
    seed: int = 0
    command: Command | None = None


def read_mapping(path: Path) -> LogMapping:
    """Reads and checks a mapping file, but not the arrays that it names.

    Raises:
        BodyplanError: it is missing or not TOML, has an unknown entry or one of a wrong type, or
            names files that do not exist.
    """
    content = _content(path)
    require_known_keys(str(path), content, _TOP_KEYS)
    tables = content.get("robots")
    if not isinstance(tables, list) or not tables:
        raise BodyplanError(f"{path} names no robot; add a table [[robots]].")
    command = content.get("command")
    return LogMapping(
        path=path,
        robots=tuple(_robot(path, number, table) for number, table in enumerate(tables, 1)),
        recipe=require_type(str(path), "recipe", content.get("recipe", "logs"), str),
        seed=require_type(str(path), "seed", content.get("seed", 0), int),
        command=None if command is None else parse_command(command),
    )


def _content(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes()
        if b"\0" in text:
            raise BodyplanError(
                f"{path} is not a TOML file but data; give the TOML file that describes it."
            )
        return tomllib.loads(text.decode("utf-8"))
    except OSError as error:
        raise BodyplanError(f"{path} cannot be read ({error.strerror}); check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BodyplanError(f"{path} is not valid TOML: {error}; correct it there.") from error


def _robot(path: Path, number: int, table: Any) -> RobotLogs:
    place = f"{path}: robots table {number}"
    if not isinstance(table, dict):
        raise BodyplanError(f"{place} is not a table; begin it with [[robots]].")
    require_known_keys(place, table, (*_OTHER_KEYS, *QUANTITIES))
    for key in ("robot", "files"):
        if key not in table:
            raise BodyplanError(f"{place} has no '{key}'; add it.")
    rate = table.get("rate", _RATE_HZ)
    if rate != _RATE_HZ:
        raise BodyplanError(
            f"{place} has rate = {rate!r}, but the task has {_RATE_HZ} control steps a second; "
            "resample the logs to that rate."
        )
    robot = require_type(place, "robot", table["robot"], str)
    return RobotLogs(
        robot=str(path.parent / robot) if robot.endswith(".xml") else robot,
        files=_files(path, place, table["files"]),
        quantities={
            name: read_quantity(f"{place}: {name}", name, table[name])
            for name in QUANTITIES
            if name in table
        },
        joint_order=_names(place, table, "joint_order"),
        foot_order=_names(place, table, "foot_order"),
    )


def _files(path: Path, place: str, patterns: Any) -> tuple[Path, ...]:
    found: list[Path] = []
    for pattern in (
        [patterns] if isinstance(patterns, str) else require_type(place, "files", patterns, list)
    ):
        require_type(place, "files", pattern, str)
        if Path(pattern).is_absolute():
            raise BodyplanError(
                f"{place}: files has the absolute path '{pattern}'; give it relative to the "
                f"mapping file, in {path.parent.resolve()}."
            )
        matching = sorted(path.parent.glob(pattern))
        if not matching:
            raise BodyplanError(
                f"{place}: no file matches '{pattern}' in {path.parent}; give a path or a pattern "
                "relative to the mapping file."
            )
        found += [file for file in matching if file not in found]
    return tuple(found)


def _names(place: str, table: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    if key not in table:
        return None
    names = require_type(place, key, table[key], list)
    return tuple(require_type(place, key, name, str) for name in names)
