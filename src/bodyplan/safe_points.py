"""Safe points of long work: a signal that asks it to stop waits until what is done can be saved.

    with safe_points() as stop:
        while work_is_left:
            do_a_piece()
            if stop.requested():
                save()
                stop.now()

Ctrl-C, SIGTERM (from schedulers) and SIGHUP (from a terminal that closes) are such signals.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from bodyplan.early_stop import STOP_SIGNALS

_APART = 0.1
"""Seconds between signals of which the second is a wish of its own. A scheduler signals a worker,
and so does the worker's parent that is signalled with it."""
_Handler = Callable[[int, FrameType | None], Any] | int | None


class SafePoints:
    """The stop that was asked for while work went on, if any."""

    def __init__(self) -> None:
        """Nothing is asked for yet."""
        self._asked = 0
        self._since = 0.0  # of `time.monotonic`
        self._noticed = False
        self._before: dict[int, _Handler] = {}

    def requested(self) -> bool:
        """Whether work should be saved now, and then stopped by `now`."""
        self._noticed = self._noticed or bool(self._asked)
        return self._noticed

    def now(self) -> None:
        """Stop, if that was asked for.

        Raises:
            KeyboardInterrupt: or whatever the signal led to before the work began.
        """
        self._release()
        self._deliver()
        self._hold()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """A part of the work that has nothing to save, such as a compilation: signals stop it."""
        held = self in _HOLDING
        self._release()
        self._deliver()
        try:
            yield
        finally:
            if held:
                self._hold()

    def _hold(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        _HOLDING.append(self)
        for number in STOP_SIGNALS:
            handler = signal.getsignal(number)
            if handler not in (signal.SIG_IGN, None):  # ignored, as by nohup, or not Python's
                self._before[number] = handler
                signal.signal(number, self._note)

    def _release(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())
        if self in _HOLDING:
            _HOLDING.remove(self)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._asked and time.monotonic() < self._since + _APART:
            return
        if self._asked:  # and now again
            self._release()
            self._deliver()
        self._asked, self._since = number, time.monotonic()

    def _deliver(self) -> None:
        """Do what the signal would have done."""
        number, self._asked = self._asked, 0
        if not number:
            return
        handler = signal.getsignal(number)
        if callable(handler):
            handler(number, None)
        else:
            signal.raise_signal(number)


_HOLDING: list[SafePoints] = []


@contextmanager
def safe_points(hold: bool = True) -> Iterator[SafePoints]:
    """Hold signals that ask to stop, until the work notices them or ends.

    A second signal stops at once. Does nothing outside the main thread, where Python has no
    signals.

    Args:
        hold: whether to do so at all.
    """
    points = SafePoints()
    if hold:
        points._hold()
    try:
        yield points
    finally:
        points._release()
    points._deliver()


def holds_signals() -> bool:
    """Whether some work holds signals, from its begin to its end."""
    return bool(_HOLDING)


def is_saving() -> bool:
    """Whether some work has noticed that it should stop, and saves what it has done."""
    return any(points._noticed for points in _HOLDING)
