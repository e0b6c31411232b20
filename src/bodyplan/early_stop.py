"""Signals that come while the program is still being imported: one word, and the end.

Nothing but two modules of Python itself is imported here, so that the handlers stand as soon as
possible. What comes before, in the first 20 ms or so, is Python's own start: there, SIGTERM and
SIGHUP end it without a word, and SIGINT in Python's way.
"""

import os
import signal

STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Signals that ask to stop: of Ctrl-C, of schedulers, of a terminal that closes."""


def stop_early() -> None:
    """End this process at a signal, until something else handles it."""
    for number in STOP_SIGNALS:
        if signal.getsignal(number) not in (signal.SIG_IGN, None):  # ignored, as by nohup
            signal.signal(number, _leave)


def _leave(number: int, frame: object) -> None:
    try:
        os.write(2, b"stopped\n")
    finally:  # also where nobody reads it any more
        os._exit(128 + number)
