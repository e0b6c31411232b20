"""Reads the mapping file, which assigns the arrays of a user's logs to quantities of the task.

It is a TOML file with one table `[[robots]]` for each robot. docs/interchange.md is the reference.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta

from bodyplan.datasets.io.quantities import (
    QUANTITIES,
    QuantitySource,
    read_quantity,
    require_known_keys,
)
from bodyplan.envs.walking_task import Command, parse_command
from bodyplan.errors import BodyplanError
from bodyplan.records import Triple, checked_record
from bodyplan.robots.task_config import CONTROL_STEP

_RATE_HZ = round(1.0 / CONTROL_STEP)


class _Robot(TypedDict):
    """A table [[robots]], which also has the quantities."""

    robot: str
    files: str | Annotated[list[str], Meta(min_length=1)]
    rate: NotRequired[float]
    joint_order: NotRequired[list[str]]
    foot_order: NotRequired[list[str]]


class _Mapping(TypedDict):
    """The whole file."""

    recipe: NotRequired[Annotated[str, Meta(min_length=1, max_length=100)]]
    seed: NotRequired[Annotated[int, Meta(ge=0, lt=2**32)]]
    command: NotRequired[str | Triple]
    robots: list[_Robot]


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
    require_known_keys(str(path), content, _Mapping.__annotations__)
    if not content.get("robots"):
        raise BodyplanError(f"{path} names no robot; add a table [[robots]].")
    checked_record(str(path), content, _Mapping, "correct it")
    robots = enumerate(content["robots"], 1)
    return LogMapping(
        path=path,
        robots=tuple(_robot(path, f"{path}: robots table {at}", table) for at, table in robots),
        recipe=content.get("recipe", "logs"),
        seed=content.get("seed", 0),
        command=parse_command(content["command"]) if "command" in content else None,
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


def _robot(path: Path, place: str, table: Mapping[str, Any]) -> RobotLogs:
    require_known_keys(place, table, (*_Robot.__annotations__, *QUANTITIES))
    rate = table.get("rate", _RATE_HZ)
    if rate != _RATE_HZ:
        raise BodyplanError(
            f"{place} has rate = {rate!r}, but the task has {_RATE_HZ} control steps a second; "
            "resample the logs to that rate."
        )
    robot = table["robot"]
    return RobotLogs(
        robot=str(path.parent / robot) if robot.endswith(".xml") else robot,
        files=_files(path, place, table["files"]),
        quantities={
            name: read_quantity(f"{place}: {name}", name, table[name])
            for name in QUANTITIES
            if name in table
        },
        joint_order=tuple(table["joint_order"]) if "joint_order" in table else None,
        foot_order=tuple(table["foot_order"]) if "foot_order" in table else None,
    )


def _files(path: Path, place: str, patterns: str | Sequence[str]) -> tuple[Path, ...]:
    found: list[Path] = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        if Path(pattern).is_absolute():
            raise BodyplanError(
                f"{place}: files has the absolute path '{pattern}'; give it relative to the "
                f"mapping file, in {path.parent.resolve()}."
            )
        if not Path(pattern).parts:  # empty, or "."
            raise BodyplanError(f"{place}: files has '{pattern}', which names no file; give one.")
        try:
            matching = sorted(path.parent.glob(pattern))
        except ValueError as error:
            raise BodyplanError(f"{place}: files has '{pattern}', which is no pattern.") from error
        if not matching:
            raise BodyplanError(
                f"{place}: no file matches '{pattern}' in {path.parent}; give a path or a pattern "
                "relative to the mapping file."
            )
        found += [file for file in matching if file not in found]
    return tuple(found)
