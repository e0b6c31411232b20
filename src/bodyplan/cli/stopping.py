"""How Ctrl-C and SIGTERM stop a command: in order at first, at once when asked again.

Python raises KeyboardInterrupt when it next runs. A call into a library, such as a compilation of
half a minute, keeps it waiting. A thread that waits for signals does not, and speaks meanwhile.
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM
"""Exit statuses, as a shell has them."""
PATIENCE = 1.0
"""Seconds after which a command that has not stopped yet says so."""
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
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    handler = signal.signal(signal.SIGTERM, _terminate)
    thread = threading.Thread(target=_watch, args=[reader], daemon=True, name="signals")
    thread.start()
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
        signal.set_wakeup_fd(before)
        writer.close()  # which ends the thread
        thread.join()
        reader.close()


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _watch(reader: socket.socket) -> None:
    """Wait for signals until the other end closes."""
    if not _stopped(reader):
        return
    reader.settimeout(PATIENCE)
    try:
        again = _stopped(reader)
    except TimeoutError:
        sys.stderr.write("stopping ... (Ctrl-C again stops at once)\n")
        reader.settimeout(None)
        again = _stopped(reader)
    if again:
        sys.stderr.write("stopped at once\n" + _SHOW_CURSOR * sys.stderr.isatty())
        sys.stderr.flush()
        os._exit(INTERRUPTED if again == signal.SIGINT else TERMINATED)


def _stopped(reader: socket.socket) -> int:
    """The next signal that should stop the process; 0 where there will be none."""
    while received := reader.recv(1):
        if received[0] in (signal.SIGINT, signal.SIGTERM):
            return received[0]
    return 0
