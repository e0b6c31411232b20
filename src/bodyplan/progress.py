"""Progress bars, and the callback by which long tasks report their progress.

    from bodyplan.progress import progress

    with progress() as report:
        evaluate(run, progress=report)

Every long function of the package takes such a callback as its argument `progress`.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

SECONDS_BETWEEN_LINES = 15.0
"""Between two lines of one task where standard error is not a terminal."""
_NAME_WIDTH, _COUNT_WIDTH = 24, 17


@runtime_checkable
class OnProgress(Protocol):
    """A callback that long tasks call as they go on."""

    def __call__(self, task: str, done: int, total: int, note: str = "", /) -> None:
        """Report progress.

        Args:
            task: what is worked on, such as `evaluating` or the name of a robot.
            done: units of work finished, from 0 to `total`.
            total: units of work in all.
            note: more to show beside the bar, such as a speed.
        """


def no_progress(task: str, done: int, total: int, note: str = "", /) -> None:
    """The callback that shows nothing."""


@contextmanager
def progress(
    seconds: float = SECONDS_BETWEEN_LINES, clock: Callable[[], float] = time.monotonic
) -> Iterator[OnProgress]:
    """Show progress bars on standard error, one for each task.

    Where standard error is not a terminal, print a line now and then instead.

    Args:
        seconds: least time between two such lines of one task.
        clock: returns the time in seconds.

    Yields:
        The callback to pass on as `progress`.
    """
    from rich.console import Console

    console = Console(stderr=True, markup=False, emoji=False)
    if not console.is_terminal:
        yield _line_printer(console, seconds, clock)
        return
    with _bars(console) as bars:
        bar_of: dict[str, TaskID] = {}

        def report(task: str, done: int, total: int, note: str = "", /) -> None:
            if task not in bar_of:
                bar_of[task] = bars.add_task(task, total=total, note=note)
            bars.update(bar_of[task], completed=done, total=total, note=note)

        yield report


def _bars(console: "Console") -> "Progress":
    """Progress bars with a note in a line below each: beside it, 80 columns have no room for it."""
    from rich.console import RenderableType
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column
    from rich.text import Text

    class Bars(Progress):
        def get_renderables(self) -> Iterator[RenderableType]:
            for task in self.tasks:
                yield self.make_tasks_table([task])
                if task.fields["note"]:
                    yield Text(f"  {task.fields['note']}")

    name = Column(min_width=_NAME_WIDTH, max_width=_NAME_WIDTH, overflow="fold")
    count = Column(min_width=_COUNT_WIDTH, no_wrap=True, justify="right")
    elapsed, left = (Column(min_width=7, no_wrap=True) for _ in range(2))
    return Bars(
        TextColumn("{task.description}", table_column=name),
        BarColumn(None, table_column=Column(ratio=1)),
        MofNCompleteColumn(table_column=count),
        TimeElapsedColumn(table_column=elapsed),
        TextColumn("eta"),
        TimeRemainingColumn(table_column=left),
        console=console,
        expand=True,
    )


def _line_printer(console: "Console", seconds: float, clock: Callable[[], float]) -> OnProgress:
    """A callback that prints `task: done of total note eta`, but not too often."""
    first: dict[str, tuple[float, int]] = {}
    last: dict[str, float] = {}

    def report(task: str, done: int, total: int, note: str = "", /) -> None:
        now = clock()
        started, before = first.setdefault(task, (now, done))
        if done < total and now - last.setdefault(task, now) < seconds:
            return
        last[task] = now
        parts = [f"{task}: {done:,} of {total:,}", note]
        if before < done < total:
            left = (now - started) * (total - done) / (done - before)
            parts.append(f"eta {timedelta(seconds=round(left))}")
        console.print(" ".join(part for part in parts if part), highlight=False)

    return report
