"""Records: JSON and TOML documents whose every field has its type before anyone reads it.

A record is a `TypedDict` beside the code that writes it. `read_record` reads a file once. What it
returns holds the fields with their types, and whatever else the file holds.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec

from bodyplan.errors import BodyplanError
from bodyplan.storage import read_json

Triple = tuple[float, float, float]
"""A command: vx, vy (m/s) and yaw rate (rad/s)."""
Count = Annotated[int, msgspec.Meta(ge=0)]
Size = Annotated[int, msgspec.Meta(ge=1)]
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object with fields",
    "null": "null",
}


def read_record(
    path: str | Path, kind: Any, fix: str = "restore it", newest: int | None = None
) -> dict[str, Any]:
    """Reads a JSON object as a record.

    Args:
        path: the file.
        kind: a `TypedDict`.
        fix: what to do about a wrong field; the end of a sentence.
        newest: the newest `format` that this version reads, where files of this kind have one.

    Raises:
        BodyplanError: the file is missing or damaged, of another format, or a field is wrong.
    """
    content = read_json(path, fix)
    if newest is not None:
        require_format(str(path), content, newest, fix)
    checked: dict[str, Any] = checked_record(str(path), content, kind, fix)
    return checked


def checked_record(place: str, content: Any, kind: Any, fix: str = "restore it") -> Any:
    """The same content, after each field has been found to have its type.

    Args:
        place: what an error calls the content: its file.
        content: as `json` or `tomllib` read it.
        kind: what it should be.
        fix: what to do about a wrong field; the end of a sentence.

    Raises:
        BodyplanError: a field is missing or of another type, or no machine has such a number.
    """
    if any(abs(number) >= 2**63 for number in _integers(content)):
        raise BodyplanError(f"{place}: it holds a whole number of more than 63 bits; {fix}.")
    try:
        msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at ")
        field = _with_keys(content, where, lambda: _fits(content, kind)).removeprefix(".")
        raise BodyplanError(f"{place}: {_sentence(reason, field)}; {fix}.") from error
    return content


def require_format(place: str, content: Any, newest: int, fix: str = "restore it") -> None:
    """Refuses a document of another `format`.

    Raises:
        BodyplanError: it is of a newer version, which is to be installed, or of none that is known.
    """
    found = checked_record(place, content, dict, fix).get("format")
    if type(found) is int and found > newest:
        raise BodyplanError(
            f"{place} has format {found}, and this version of bodyplan reads {newest}; "
            "upgrade bodyplan."
        )
    if type(found) is not int or found != newest:
        raise BodyplanError(
            f"{place} has format {found!r}, and this version of bodyplan reads {newest}; {fix}."
        )


def _integers(content: Any) -> Iterator[int]:
    """All whole numbers in a document, which NumPy takes up to 63 bits."""
    left = [content]
    while left:
        value = left.pop()
        if isinstance(value, int):
            yield value
        elif isinstance(value, dict | list):
            left.extend(value.values() if isinstance(value, dict) else value)


def _fits(content: Any, kind: Any) -> bool:
    try:
        msgspec.convert(content, kind)
    except msgspec.ValidationError:
        return False
    return True


def _with_keys(content: Any, where: str, fits: Callable[[], bool]) -> str:
    """The path to a fault, with the keys that msgspec gives as `[...]`: it tries one by one."""
    parts, table = [], content
    for name, index, place in re.findall(r"\.([^.\[`]+)|(\[\d+\])|(\[\.\.\.\])", where):
        if place and isinstance(table, dict):
            name, entries = "...", dict(table)
            for key in entries:
                table.clear()
                table[key] = entries[key]
                if not fits():
                    name = key
                    break
            table.clear()
            table.update(entries)
        parts.append(f".{name}" if name else index or place)
        key = name or (int(index[1:-1]) if index else None)
        table = table[key] if key in table or index else None
    return "".join(parts)


def _sentence(reason: str, field: str) -> str:
    """What msgspec says of a field, in words."""
    missing = re.fullmatch("Object missing required field `(.*)`", reason)
    if missing:
        return f"{field + '.' if field else ''}{missing[1]} is missing"
    words = re.sub(r"`([^`]*)`", lambda found: _in_words(found[1]), reason)
    words = words.replace("of length >= 1", "that is not empty")
    wrong = re.fullmatch("Expected (.*), got (.*[^0-9])", words)  # not of a number of entries
    text = f"is {wrong[2]} where {wrong[1]} belongs" if wrong else f"is wrong ({words.lower()})"
    return f"{field or 'its content'} {text}"


def _in_words(types: str) -> str:
    return " or ".join(_WORDS.get(one, one) for one in types.split(" | "))
