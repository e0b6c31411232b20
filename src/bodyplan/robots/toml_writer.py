"""TOML writer: a robot's task config as text that a person can read and edit."""

from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any

import tomlkit
from tomlkit.items import Item

UNITS = {
    "drop_height": "m: trunk height at reset, and the height the reward asks for",
    "box_min": "m: lowest corner of the robot's box, trunk frame, nominal pose",
    "box_size": "m",
    "kp": "N m / rad",
    "kd": "N m s / rad",
    "action_scale": "rad: target = nominal + action_scale * action",
    "nominal": "rad",
    "max_velocity": "rad/s",
    "min_height": "m: an episode ends when the trunk is lower",
    "contact_geoms": "an episode ends when one of these touches anything",
    "roll_pitch": "x pi rad",
    "joint_position": "nominal x a factor from (a, 1 + a)",
    "joint_velocity": "x max_velocity",
    "linear_velocity": "m/s",
    "angular_velocity": "rad/s",
    "trunk_mass": "kg",
    "com": "m",
}
_WIDTH = 98


def to_toml(content: Mapping[str, Any], notes: Mapping[str, str] | None = None) -> str:
    """A robot's config as TOML: plain entries first, then one section for each table.

    Args:
        content: text, numbers, booleans, sequences of them, and tables of those. Tables within
            tables are written on one line.
        notes: a comment for each key or [table] that should have one, besides those of `UNITS`.
    """
    comments = UNITS | dict(notes or {})
    document = tomlkit.document()
    for key, value in content.items():
        if not isinstance(value, Mapping):
            document.add(key, _item(key, value, comments))
    for name, entries in content.items():
        if isinstance(entries, Mapping):
            table = tomlkit.table()
            for key, value in entries.items():
                table.add(key, _item(key, value, comments))
            if len(document):
                document.add(tomlkit.nl())
            document.add(name, _commented(table, comments.get(f"[{name}]")))
    return tomlkit.dumps(document)


def _item(key: str, value: Any, comments: Mapping[str, str]) -> Item:
    item = _plain(value)
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    if is_list and len(f"{key} = {item.as_string()}") > _WIDTH:
        item = tomlkit.array()
        for line in _wrapped([_plain(own) for own in value]):
            item.add_line(*line, indent="  ")
        item.add_line(indent="")
    return _commented(item, comments.get(key))


def _plain(value: Any) -> Any:
    """A value as an item of TOML on one line."""
    if isinstance(value, bool | str):
        return tomlkit.item(value)
    if isinstance(value, Mapping):
        table = tomlkit.inline_table()
        table.update({key: _plain(own) for key, own in value.items()})
        return table
    if isinstance(value, Sequence):
        array = tomlkit.array()
        array.extend(map(_plain, value))
        return array
    return tomlkit.item(int(value) if isinstance(value, Integral) else float(value))


def _wrapped(items: Sequence[Item]) -> Iterator[list[Item]]:
    """The items of a long list, as many to a line as fit."""
    line: list[Item] = []
    width = 2
    for item in items:
        size = len(item.as_string()) + 2
        if line and width + size > _WIDTH:
            yield line
            line, width = [], 2
        line.append(item)
        width += size
    if line:
        yield line


def _commented(item: Any, comment: str | None) -> Any:
    if comment:
        item.comment(comment)
        item.trivia.comment_ws = "  "
    return item
