"""Output of commands, as tables, lines or JSON; and checks of arguments that several share."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bodyplan.errors import BodyplanError

if TYPE_CHECKING:
    from bodyplan.evaluation.evaluation import Evaluation

PIPED_WIDTH = 160
"""Columns of a table that is piped into another program."""
FIGURE_SUFFIXES = (".svg", ".png", ".pdf")
MIN_IMAGE_EDGE, MAX_IMAGE_EDGE = 16, 8192
"""Pixels."""


def comma_list(names: Sequence[str]) -> tuple[str, ...]:
    """Names that were given one by one, or several in one argument with commas."""
    return tuple(part for name in names for part in name.split(",") if part)


def require_figure_path(path: Path, option: str = "--out") -> None:
    """Check that a figure can be written in the format of the path's suffix.

    Raises:
        BodyplanError: the suffix is not one of `FIGURE_SUFFIXES`.
    """
    if path.suffix not in FIGURE_SUFFIXES:
        raise BodyplanError(
            f"{option} {path} cannot be written; give a path that ends in "
            f"{', '.join(FIGURE_SUFFIXES)}"
        )


def require_image_size(width: int, height: int) -> None:
    """Check the size of an image in pixels.

    Raises:
        BodyplanError: an edge is too short or too long.
    """
    if not MIN_IMAGE_EDGE <= min(width, height) <= max(width, height) <= MAX_IMAGE_EDGE:
        raise BodyplanError(
            f"--size {width} {height} is out of range; give a width and a height from "
            f"{MIN_IMAGE_EDGE} to {MAX_IMAGE_EDGE} pixels"
        )


def print_json(answer: Any) -> None:
    """Print one JSON document to standard output."""
    json.dump(answer, sys.stdout, indent=2, default=_plain)
    sys.stdout.write("\n")


def print_table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows with equal keys as a table; numbers are aligned to the right."""
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
        console.width = PIPED_WIDTH  # piped output has no width, and no column may be cut
    console.print(table)


def print_evaluation(evaluation: "Evaluation") -> None:
    """Print an evaluation as a table: the robots, then their mean."""
    rows = evaluation.rows()
    means = {name: "mean" if name == "robot" else evaluation.mean.get(name) for name in rows[0]}
    print_table("Returns of whole episodes", [*rows, means])


def print_line(sentence: str) -> None:
    """Print one line as it is, without wrapping or markup."""
    Console(soft_wrap=True, highlight=False, markup=False, emoji=False).print(sentence)


def _is_numeric(value: Any) -> bool:
    """Whether a value is a number, or text such as 71 % or 1,000."""
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
    import numpy as np  # only here, so that `--help` need not wait for it

    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return str(value)
