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

COLUMNS = 80
"""Of a terminal that all output fits."""
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


class ProgressDisplay(Protocol):
    """What `progress` yields: a callback for `progress` arguments that can say a sentence too."""

    def __call__(self, task: str, done: int, total: int, note: str = "", /) -> None:
        """Report progress, as `OnProgress` has it."""

    def say(self, sentence: str) -> None:
        """Print a sentence above the bars."""


@contextmanager
def progress(
    seconds: float = SECONDS_BETWEEN_LINES, clock: Callable[[], float] = time.monotonic
) -> Iterator[ProgressDisplay]:
    """Show progress bars on standard error, one for each task, with its note below.

    Where standard error is not a terminal, print a line now and then instead. Both fit 80 columns,
    as long as notes do.

    Args:
        seconds: least time between two such lines of one task.
        clock: returns the time in seconds.

    Yields:
        The callback to pass on as `progress`.
    """
    from rich.console import Console

    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        yield _LineDisplay(console, seconds, clock)
        return
    with _bars(console) as bars:
        yield _BarDisplay(bars)


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


class _BarDisplay:
    def __init__(self, bars: "Progress") -> None:
        self._bars, self._tasks = bars, dict[str, "TaskID"]()

    def __call__(self, task: str, done: int, total: int, note: str = "", /) -> None:
        if task not in self._tasks:
            self._tasks[task] = self._bars.add_task(task, total=total, note=note)
        self._bars.update(self._tasks[task], completed=done, total=total, note=note)

    def say(self, sentence: str) -> None:
        self._bars.console.print(sentence)


class _LineDisplay:
    """Prints `task: done of total note eta`, but not too often."""

    def __init__(self, console: "Console", seconds: float, clock: Callable[[], float]) -> None:
        self._console, self._seconds, self._clock = console, seconds, clock
        self._first: dict[str, tuple[float, int]] = {}
        self._last: dict[str, float] = {}

    def __call__(self, task: str, done: int, total: int, note: str = "", /) -> None:
        now = self._clock()
        started, before = self._first.setdefault(task, (now, done))
        if done < total and now - self._last.setdefault(task, now) < self._seconds:
            return
        self._last[task] = now
        parts = [f"{task}: {done:,} of {total:,}", note]
        if before < done < total:
            left = (now - started) * (total - done) / (done - before)
            parts.append(f"eta {timedelta(seconds=round(left))}")
        line = " ".join(part for part in parts if part)
        if note and len(line) > COLUMNS:
            line = " ".join([parts[0], *parts[2:]]) + f"\n  {note}"
        self._console.print(line, soft_wrap=True)

    def say(self, sentence: str) -> None:
        self._console.print(sentence)
