"""A terminal of a given width, and what a reader sees on it."""

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from rich.text import Text


def seen_on_terminal(
    monkeypatch: pytest.MonkeyPatch, width: int, function: Callable[..., Any], *arguments: Any
) -> list[str]:
    """The lines that a function writes to a terminal of `width` columns, without colours."""
    lead, follow = os.openpty()
    received: list[bytes] = []

    def read() -> None:
        while True:
            try:
                received.append(os.read(lead, 65536))
            except OSError:  # all is read and the other end is closed
                return

    reader = threading.Thread(target=read)
    reader.start()
    with monkeypatch.context() as patch, os.fdopen(follow, "w") as terminal:
        patch.setenv("COLUMNS", str(width))
        patch.setenv("LINES", "50")
        patch.setenv("TERM", "xterm")
        patch.setattr(sys, "stdout", terminal)
        patch.setattr(sys, "stderr", terminal)
        function(*arguments)
    reader.join()
    os.close(lead)
    text = b"".join(received).decode()
    return [Text.from_ansi(line).plain.rstrip() for line in text.splitlines()]
