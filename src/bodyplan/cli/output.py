"""What commands print: tables, JSON and sentences; and what several of them check of arguments."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bodyplan.errors import BodyplanError

PIPED_WIDTH = 160
PICTURES = (".svg", ".png", ".pdf")
SMALLEST, LARGEST = 16, 8192
"""Edges of a picture in pixels."""


def comma_list(names: Sequence[str]) -> tuple[str, ...]:
    """Names given one by one, or several with commas between."""
    return tuple(part for name in names for part in name.split(",") if part)


def require_picture(path: Path, option: str = "--out") -> None:
    """Refuses a name that is not of a figure.

    Raises:
        BodyplanError: its suffix is none of `PICTURES`.
    """
    if path.suffix not in PICTURES:
        raise BodyplanError(
            f"{option} {path} is no figure that can be written; let its name end in "
            f"{', '.join(PICTURES)}"
        )


def require_size(width: int, height: int) -> None:
    """Refuses what is no size of a picture.

    Raises:
        BodyplanError: an edge is too short or too long.
    """
    if not SMALLEST <= min(width, height) <= max(width, height) <= LARGEST:
        raise BodyplanError(
            f"--size {width} {height} is no size of a picture; give a width and a height of "
            f"{SMALLEST} to {LARGEST} pixels"
        )


def print_json(answer: Any) -> None:
    """Print one JSON document to standard output."""
    json.dump(answer, sys.stdout, indent=2, default=_plain)
    sys.stdout.write("\n")


def print_table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows of equal keys, numbers to the right."""
    if not rows:
        return
    table = Table(title=Text(title), title_justify="left", header_style="bold")
    for name in rows[0]:
        numeric = any(_is_numeric(row.get(name)) for row in rows)
        table.add_column(name, justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(Text(_text(value)) for value in row.values()))
    console = Console()
    if not console.is_terminal:
        console.width = PIPED_WIDTH  # piped output has no width; columns must not be cut short
    console.print(table)


def say(sentence: str) -> None:
    """Print one line for the reader, whatever its width."""
    Console(soft_wrap=True, highlight=False, markup=False, emoji=False).print(sentence)


def _is_numeric(value: Any) -> bool:
    """Of a number, or of one in words: 71 %, 1,000."""
    if isinstance(value, str):
        value = value.rstrip(" %").replace(",", "")
        return value.replace(".", "", 1).isdigit()
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if value is None:
        return "-"
    if isinstance(value, list | tuple):
        return ", ".join(_text(item) for item in value)
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return str(value)


def say_returns(evaluation: Mapping[str, Any]) -> None:
    """Print an evaluation as a table, robots first, their mean last."""
    names = ["return_mean", "return_se", "data_return", "expert_return", "normalised_return"]
    names += ["length_mean", "velocity_error"]
    rows = [
        {"robot": robot, **{name: score.get(name) for name in names}}
        for robot, score in evaluation["robots"].items()
    ]
    mean = evaluation["mean"]
    rows.append({"robot": "mean", **{name: mean.get(name) for name in names}})
    print_table("Returns of whole episodes", rows)
