"""How Ctrl-C, SIGTERM and SIGHUP stop a command: in order at first, at once when asked again.

Python acts on a signal when it next runs. A call into a library, such as a compilation of half a
minute, keeps it waiting. A thread that waits for signals does not. It speaks meanwhile, and ends
the process where nothing is left to save.
"""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

from bodyplan.early_stop import STOP_SIGNALS
from bodyplan.safe_points import holds_signals, is_saving

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

STOPPED = frozenset(128 + number for number in STOP_SIGNALS)
"""Exit statuses of stopped commands, as a shell has them: 130, 143, 129."""
PATIENCE = 1.0
"""Seconds after which a call that Python waits for is given up, or a sentence tells to wait."""
GRACE = 10.0
"""Seconds after which work that holds signals is given up, unless it saves already."""
_SOON = 0.05  # s
_SHOW_CURSOR = "\x1b[?25h"  # which a progress bar hides


class Stopped(KeyboardInterrupt):
    """A signal that ends a command in order."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def exit_status(stopped: KeyboardInterrupt) -> int:
    """The exit status of a command that was stopped."""
    return 128 + (stopped.number if isinstance(stopped, Stopped) else signal.SIGINT)


@contextmanager
def quick_stop(sentence: str = "stopped") -> Iterator[None]:
    """Raise `Stopped` at a signal, and end this process at the second one.

    The process also ends where Python cannot raise because it waits for a call into a library.
    Files are written as a whole, so that nothing is damaged. Does nothing outside the main thread,
    where Python has no signals.

    Args:
        sentence: what the command says when it ends so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    hook = sys.unraisablehook
    watch = _Watch(reader, hook, sentence)
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    for number, handler in before.items():
        if handler not in (signal.SIG_IGN, None):  # ignored, as by nohup, or not Python's
            signal.signal(number, watch.stop)
    sys.unraisablehook = watch.raise_again
    watch.start()
    try:
        yield
    except Exception:
        # Some libraries make errors of their own of an interrupt, as where they are imported.
        if watch.asked:
            raise Stopped(watch.asked) from None
        raise
    finally:
        watch.forget()
        sys.unraisablehook = hook
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        writer.close()  # which ends the thread
        watch.join()
        reader.close()


def say(text: str) -> None:
    """Write to standard error, if anyone is still there to read it."""
    with suppress(OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()


def leave_at_once(status: int) -> None:
    """Make signals end this process with the status of a command that is done."""
    if threading.current_thread() is threading.main_thread():
        for number in STOP_SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                signal.signal(number, lambda *_: os._exit(status))


class _Watch(threading.Thread):
    """The thread that waits for signals, until the other end of its socket closes."""

    def __init__(
        self,
        reader: socket.socket,
        hook: "Callable[[UnraisableHookArgs], object]",
        sentence: str,
    ) -> None:
        super().__init__(name="signals", daemon=True)
        self._reader = reader
        self._hook = hook  # what is told of other exceptions
        self._sentence = sentence
        self._repeated = 0
        self._again: threading.Timer | None = None
        self.raised = 0  # the signal that Python has raised an exception for
        self.asked = 0  # the same, also where Python has dropped that exception

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Python's handler of the signals."""
        self.raised = self.asked = number
        raise Stopped(number)

    def run(self) -> None:
        number = self._stopped()
        if not number:
            return
        began, told = time.monotonic(), False
        while (again := self._stopped_within(PATIENCE)) is None:
            if self._is_stuck(time.monotonic() - began):
                self._leave(number, self._sentence)
            if not told:
                say("stopping ... (Ctrl-C again stops at once)\n")
                told = True
        if again:
            self._leave(again, self._sentence.replace("stopped", "stopped at once", 1))

    def _is_stuck(self, seconds: float) -> bool:
        """Whether the command does not get to an end by itself after so many seconds."""
        if holds_signals():
            return seconds >= GRACE and not is_saving()
        return not self.raised

    def raise_again(self, unraisable: "UnraisableHookArgs") -> None:
        """Repeat an interrupt that came where Python drops exceptions, as in JAX's callbacks."""
        kind, value = unraisable.exc_type, unraisable.exc_value
        if not issubclass(kind, KeyboardInterrupt):
            self._hook(unraisable)
            return
        self._repeated += 1
        self.raised = 0
        number = value.number if isinstance(value, Stopped) else signal.SIGINT
        # Later and from another thread: raised here, it would be dropped as well.
        self._again = threading.Timer(_SOON, os.kill, [os.getpid(), number])
        self._again.daemon = True
        self._again.start()

    def forget(self) -> None:
        """Do not repeat an interrupt any more."""
        if self._again is not None:
            self._again.cancel()

    def _leave(self, number: int, sentence: str) -> None:
        """End the process, whatever its other threads do."""
        show = _SHOW_CURSOR if sys.stderr.isatty() else ""
        say(f"{sentence}\n{show}")
        os._exit(128 + number)

    def _stopped_within(self, seconds: float) -> int | None:
        """As `_stopped`; None where no signal comes in this time."""
        end = time.monotonic() + seconds
        try:
            return self._stopped(end)
        except TimeoutError:
            return None

    def _stopped(self, end: float | None = None) -> int:
        """The user's next signal that should stop the process; 0 where there will be none."""
        while True:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0.0:
                raise TimeoutError
            self._reader.settimeout(left)
            received = self._reader.recv(1)
            if not received:
                return 0
            if received[0] not in STOP_SIGNALS:
                continue
            if self._repeated:
                self._repeated -= 1
                continue
            return received[0]
