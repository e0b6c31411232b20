"""Output of commands, as tables, lines or JSON; and checks of arguments that several share."""

import json
import os
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bodyplan.errors import BodyplanError

if TYPE_CHECKING:
    from bodyplan.evaluation.evaluation import Evaluation

LONGEST_WORD, LONGEST_TEXT = 24, 40
"""Characters of a word that is never folded, and of the text of a `Column.whole`."""
_GAP = 2  # between columns
_NONE = "-"
_ONE_NUMBER = r"[-+]?(\d[\d,]*(\.\d+)?(e[-+]?\d+)?|nan|inf)( ?%|\*)?"
_NUMBER = re.compile(rf"{_ONE_NUMBER}(( ±|,) {_ONE_NUMBER})*")  # 71 %, 45.2 ± 0.3, 0.98, -0.1
FIGURE_SUFFIXES = (".svg", ".png", ".pdf")
MIN_IMAGE_EDGE, MAX_IMAGE_EDGE = 16, 8192
"""Pixels."""


def comma_list(names: Sequence[str]) -> tuple[str, ...]:
    """Names that were given one by one, or several in one argument with commas."""
    return tuple(part.strip() for name in names for part in name.split(",") if part.strip())


def require_figure_path(path: Path, option: str = "--out") -> None:
    """Check that a figure can be written, in the format of the path's suffix.

    Raises:
        BodyplanError: the suffix is not one of `FIGURE_SUFFIXES`, or the place is not writable.
    """
    if path.suffix not in FIGURE_SUFFIXES:
        raise BodyplanError(
            f"{option} {path} cannot be written; give a path that ends in "
            f"{', '.join(FIGURE_SUFFIXES)}"
        )
    require_writable(path)


def require_writable(path: Path) -> None:
    """Check that a file or folder can be written, before the work begins that ends in it.

    Raises:
        BodyplanError: it cannot.
    """
    place = path.absolute()
    if place.is_dir() and path.suffix:
        raise BodyplanError(f"{path} is a folder; give the path of a file")
    while not place.exists():
        place = place.parent
    if place.is_file() and place != path.absolute():
        raise BodyplanError(f"{path} cannot be written, for {place} is a file; choose another path")
    if not os.access(place, os.W_OK):
        raise BodyplanError(f"{path} is not writable; choose a folder that you own")


def figure_place(out: Path | None, usual: Path) -> Path:
    """The file of a figure: --out, or the command's usual place.

    What --out names is replaced. At the usual place only a picture is replaced that bodyplan drew.

    Raises:
        BodyplanError: another file is at the usual place.
    """
    if out is not None:
        require_writable(out)
        return out
    from bodyplan.rendering.picture_mark import is_marked

    if usual.exists() and not is_marked(usual):
        raise BodyplanError(
            f"{usual} exists and was not drawn by bodyplan; give another file with --out"
        )
    require_writable(usual)
    return usual


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


@dataclass(frozen=True)
class Column:
    """A column of a table: which value of a row it shows, and how.

    Headings are short, because a terminal has 80 columns. What one leaves out belongs into a line
    below the table. A heading may have several lines.
    """

    key: str
    """The value's name in a row. The column is left out where no row has it."""
    heading: str | None = None
    """By default the key."""
    unit: str = ""
    """Of the numbers, below the heading."""
    digits: int | None = None
    """Decimals of numbers that are no integers; by default four significant digits."""
    share: bool = False
    """The numbers are shares from 0 to 1, shown in percent."""
    whole: bool = False
    """Text that is not folded, up to `LONGEST_TEXT`; numbers never are."""
    wide: bool = False
    """Shown only where there is room for all columns, and with --wide."""

    def text(self, row: Mapping[str, Any]) -> str:
        """The cell of a row."""
        value = row.get(self.key)
        if self.share and isinstance(value, int | float):
            return f"{100.0 * value:z.{self.digits or 0}f}"  # z: no negative zero
        return _text(value, self.digits)

    def head(self) -> str:
        """The heading, with the unit in a line of its own."""
        heading = self.key if self.heading is None else self.heading
        unit = self.unit or ("%" if self.share else "")
        return f"{heading}\n{unit}" if unit else heading


def print_table(
    title: str,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[Column] | None = None,
    wide: bool | None = None,
) -> None:
    """Print rows as a table. Numbers stand to the right, and are never cut or folded.

    On a terminal that is too narrow for all columns, `Column.wide` ones are left out. Where the
    others have no room either, the table goes on below, each part with the first column. In a pipe
    every column is shown, as wide as it is.

    Args:
        title: in a line above.
        rows: values by key.
        columns: which values, in which order, and how; by default all keys of the first row.
        wide: the command's --wide; None where it has no such option.
    """
    if not rows:
        return
    if columns is None:
        columns = [Column(key) for key in rows[0]]
    else:
        columns = [own for own in columns if any(row.get(own.key) is not None for row in rows)]
    layouts = [_Layout.of(column, rows) for column in columns]
    console = Console(highlight=False)
    room = console.width if console.is_terminal else sum(own.width + _GAP for own in layouts)
    hidden = []
    if not wide and _least_width(layouts) > room:
        hidden = [own.column.head().replace("\n", " ") for own in layouts if own.column.wide]
        layouts = [own for own in layouts if not own.column.wide]
    heading = wrapped(title, room) if console.is_terminal else title
    console.print(Text(heading, style="bold"), soft_wrap=True)
    for part in _parts(layouts, room):
        table = Table(
            box=box.SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            padding=(0, _GAP - 1, 0, 0),
            header_style="bold",
        )
        for own in part:
            table.add_column(
                Text(own.column.head()),
                justify="right" if own.numeric else "left",
                no_wrap=own.least == own.width,
                min_width=own.least,
                overflow="fold",
            )
        for index in range(len(rows)):
            table.add_row(*(Text(own.cells[index]) for own in part))
        console.width = max(room, _least_width(part))
        console.print(table)
    if hidden and wide is not None:
        print_line(f"--wide adds {', '.join(hidden)}.")


@dataclass(frozen=True)
class _Layout:
    """A column with its cells and the characters that it needs."""

    column: Column
    cells: Sequence[str]
    numeric: bool
    width: int
    """So that nothing folds."""
    least: int
    """So that no number is cut, nor a word up to `LONGEST_WORD`."""

    @classmethod
    def of(cls, column: Column, rows: Sequence[Mapping[str, Any]]) -> "_Layout":
        cells = [column.text(row) for row in rows]
        values = [cell for cell in cells if cell not in ("", _NONE)]
        numeric = bool(values) and all(_NUMBER.fullmatch(value) for value in values)
        head = [cell_len(line) for line in column.head().split("\n")]
        width = max([*head, *(cell_len(line) for cell in cells for line in cell.split("\n"))])
        if numeric or (column.whole and width <= LONGEST_TEXT):
            return cls(column, cells, numeric, width, width)
        words = [cell_len(word) for cell in cells for word in cell.split()]
        return cls(column, cells, numeric, width, max([*head, min(LONGEST_WORD, max([0, *words]))]))


def _least_width(layouts: Sequence[_Layout]) -> int:
    return sum(own.least + _GAP for own in layouts) - _GAP


def _parts(layouts: Sequence[_Layout], room: int) -> Iterator[Sequence[_Layout]]:
    """The columns in as many parts as the room asks for, each with the first column."""
    first, *rest = layouts
    part = [first]
    for own in rest:
        if len(part) > 1 and _least_width([*part, own]) > room:
            yield part
            part = [first]
        part.append(own)
    yield part


EVALUATION_COLUMNS = (
    Column("robot", whole=True),
    Column("return_mean", "return", digits=1),
    Column("return_se", "±", digits=1),
    Column("normalised_return", "score", share=True),
    Column("fall_share", "falls", share=True),
    Column("floor_return", "floor", digits=1),
    Column("data_return", "data", digits=1),
    Column("data_best_return", "data's\nbest", digits=1, wide=True),
    Column("expert_return", "expert", digits=1),
    Column("length_mean", "length", "steps", digits=0, wide=True),
    Column("velocity_error", "error", "m/s", digits=2),
)


def print_evaluation(evaluation: "Evaluation", wide: bool | None = None) -> None:
    """Print an evaluation as a table: the robots, then their mean.

    Args:
        evaluation: what to print.
        wide: the command's --wide; None where it has no such option.
    """
    rows = evaluation.rows()
    means = {name: "mean" if name == "robot" else evaluation.mean.get(name) for name in rows[0]}
    print_table("Returns of whole episodes", [*rows, means], EVALUATION_COLUMNS, wide)


def print_line(sentence: str, hang: int = 0) -> None:
    """Print one line as it is, without markup; a terminal's lines break between words.

    Args:
        sentence: what to print.
        hang: spaces before what goes on in the next line of a terminal.
    """
    console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
    text = wrapped(sentence, console.width, hang) if console.is_terminal else sentence
    console.print(text)


def wrapped(text: str, width: int, hang: int = 0) -> str:
    """Text with lines of at most `width`, broken between words; no word is broken."""
    return "\n".join(
        textwrap.fill(
            line,
            width,
            subsequent_indent=" " * hang,
            break_long_words=False,
            break_on_hyphens=False,
            replace_whitespace=False,
            expand_tabs=False,
        )
        for line in text.split("\n")
    )


def _text(value: Any, digits: int | None = None) -> str:
    if value is None:
        return _NONE
    if isinstance(value, float):
        if digits is None:
            return f"{value:,.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:.4g}"
        return f"{value:z,.{digits}f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(_text(item, digits) for item in value)
    return str(value)


def _plain(value: Any) -> Any:
    import numpy as np  # only here, so that `--help` need not wait for it

    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return str(value)
