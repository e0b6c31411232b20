"""The TOML of a robot's walk, written so that a person can read and edit it."""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

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


def to_toml(config: Mapping[str, Any], notes: Mapping[str, str] | None = None) -> str:
    """A robot's config as TOML: plain entries first, then one section for each table.

    Args:
        config: text, numbers, booleans, sequences of them, and tables of those; tables within
            tables are written on one line.
        notes: a comment for each key that should have one, besides those of `UNITS`.
    """
    comments = UNITS | dict(notes or {})
    plain = {key: value for key, value in config.items() if not isinstance(value, Mapping)}
    tables = {key: value for key, value in config.items() if isinstance(value, Mapping)}
    lines = _entries(plain, comments)
    for name, table in tables.items():
        note = comments.get(f"[{name}]")
        lines += [
            "",
            f"[{_key(name)}]" + (f"  # {note}" if note else ""),
            *_entries(table, comments),
        ]
    return "\n".join(lines) + "\n"


def _entries(table: Mapping[str, Any], comments: Mapping[str, str]) -> list[str]:
    lines = []
    for key, value in table.items():
        note = f"  # {comments[key]}" if key in comments else ""
        line = f"{_key(key)} = {_value(value)}"
        if len(line) <= _WIDTH or not isinstance(value, Sequence) or isinstance(value, str):
            lines.append(line + note)
            continue
        lines.append(f"{_key(key)} = [{note}")
        lines += [*_wrapped(value), "]"]
    return lines


def _wrapped(values: Sequence[Any]) -> list[str]:
    lines: list[str] = []
    line = " "
    for value in values:
        item = f" {_value(value)},"
        if len(line + item) > _WIDTH:
            lines, line = [*lines, line], " "
        line += item
    return [*lines, line]


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if bare else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = "".join(
            f"\\u{ord(letter):04x}" if ord(letter) < 0x20 or ord(letter) == 0x7F else letter
            for letter in value.replace("\\", "\\\\").replace('"', '\\"')
        )
        return f'"{escaped}"'
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(_value, value)) + "]"
    return repr(int(value) if isinstance(value, Integral) else float(value))
