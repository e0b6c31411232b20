"""How Ctrl-C and SIGTERM stop a command: in order at first, at once when asked again.

Python raises KeyboardInterrupt when it next runs. A call into a library, such as a compilation of
half a minute, keeps it waiting. A thread that waits for signals does not, and speaks meanwhile.
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM
"""Exit statuses, as a shell has them."""
PATIENCE = 1.0
"""Seconds after which a command that has not stopped yet says so."""
_SOON = 0.05  # s
_SHOW_CURSOR = "\x1b[?25h"  # which a progress bar hides


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command in the same order as Ctrl-C."""


@contextmanager
def quick_stop() -> Iterator[None]:
    """Raise `Terminated` at SIGTERM, and end this process at the second signal.

    Files are written as a whole, so that nothing is damaged. Does nothing outside the main thread,
    where Python has no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    hook = sys.unraisablehook
    watch = _Watch(reader, hook)
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    handler = signal.signal(signal.SIGTERM, _terminate)
    sys.unraisablehook = watch.raise_again
    watch.start()
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGTERM, handler)
        signal.set_wakeup_fd(before)
        writer.close()  # which ends the thread
        watch.join()
        reader.close()


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


class _Watch(threading.Thread):
    """The thread that waits for signals, until the other end of its socket closes."""

    def __init__(
        self, reader: socket.socket, hook: "Callable[[UnraisableHookArgs], object]"
    ) -> None:
        super().__init__(name="signals", daemon=True)
        self._reader = reader
        self._hook = hook  # what is told of other exceptions
        self._repeated = 0

    def run(self) -> None:
        if not self._stopped():
            return
        self._reader.settimeout(PATIENCE)
        try:
            again = self._stopped()
        except TimeoutError:
            sys.stderr.write("stopping ... (Ctrl-C again stops at once)\n")
            self._reader.settimeout(None)
            again = self._stopped()
        if again:
            sys.stderr.write("stopped at once\n" + _SHOW_CURSOR * sys.stderr.isatty())
            sys.stderr.flush()
            os._exit(INTERRUPTED if again == signal.SIGINT else TERMINATED)

    def raise_again(self, unraisable: "UnraisableHookArgs") -> None:
        """Repeat an interrupt that came where Python drops exceptions, as in JAX's callbacks."""
        kind = unraisable.exc_type
        if not issubclass(kind, KeyboardInterrupt):
            self._hook(unraisable)
            return
        self._repeated += 1
        number = signal.SIGTERM if issubclass(kind, Terminated) else signal.SIGINT
        # Later and from another thread: raised here, it would be dropped as well.
        timer = threading.Timer(_SOON, os.kill, [os.getpid(), number])
        timer.daemon = True
        timer.start()

    def _stopped(self) -> int:
        """The user's next signal that should stop the process; 0 where there will be none."""
        while received := self._reader.recv(1):
            if received[0] not in (signal.SIGINT, signal.SIGTERM):
                continue
            if self._repeated:
                self._repeated -= 1
                continue
            return received[0]
        return 0
