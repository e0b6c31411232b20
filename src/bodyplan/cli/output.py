"""How commands speak: lists taken either way, JSON on request, else a table; progress meanwhile."""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from bodyplan.errors import BodyplanError

QUIET_SECONDS = 15.0
"""Between two lines of progress where there is no terminal to draw a bar on."""
PIPED_WIDTH = 160
PICTURES = (".svg", ".png", ".pdf")
SMALLEST, LARGEST = 16, 8192
"""Edges of a picture in pixels."""


@runtime_checkable
class ProgressReport(Protocol):
    """Tells how far a task has come."""

    def __call__(self, task: str, done: int, total: int, note: str = "") -> None: ...


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


@contextmanager
def progress() -> Iterator[ProgressReport]:
    """Progress bars on standard error; plain lines now and then where it is no terminal."""
    console = Console(stderr=True, markup=False, emoji=False)
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, Any] = {}

        def report(task: str, done: int, total: int, note: str = "") -> None:
            if task not in tasks:
                tasks[task] = bars.add_task(task, total=total, note=note)
            bars.update(tasks[task], completed=done, total=total, note=note)

        yield report


def _lines(console: Console) -> ProgressReport:
    first: dict[str, tuple[float, int]] = {}
    last: dict[str, float] = {}

    def report(task: str, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        started, before = first.setdefault(task, (now, done))
        if done < total and now - last.setdefault(task, now) < QUIET_SECONDS:
            return
        last[task] = now
        parts = [f"{task}: {done:,} of {total:,}", note]
        if before < done < total:
            seconds = (now - started) * (total - done) / (done - before)
            parts.append(f"eta {timedelta(seconds=round(seconds))}")
        console.print(" ".join(part for part in parts if part), highlight=False)

    return report


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
