"""The streams of a command: letters that a terminal lacks, and readers that have gone."""

import codecs
import io
import sys
from typing import Any

_PLAIN = {"±": "+-", "≤": "<=", "≥": ">=", "→": "->", "←": "<-", "…": "...", "°": "deg"} | dict(
    zip("–—−─━│×²µμ·•“”‘’█", "-----|x2uu.*\"\"''#", strict=True)
)
"""What is written for letters that an encoding such as ASCII or Latin-1 lacks."""


def lasting_streams() -> None:
    """Make both streams write whatever there is to write.

    A letter that the encoding lacks is written as others that are like it, a file's undecodable
    name as its bytes. Standard error goes on without its reader, as after a terminal is closed:
    what is told there is not the work. A stream that is closed from the start swallows all.
    """
    codecs.register_error("bodyplan_plain", _plain)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, io.TextIOWrapper(_Void(), "utf-8"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="bodyplan_plain")
    if isinstance(sys.stderr, io.TextIOWrapper) and sys.__stderr__ is sys.stderr:
        try:
            lasting: io.RawIOBase = _Lasting(sys.stderr.fileno(), "wb", closefd=False)
        except OSError:  # the descriptor is closed, or is no longer one
            lasting = _Void()
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(lasting),
            sys.stderr.encoding,
            "bodyplan_plain",
            line_buffering=True,
        )


class _Lasting(io.FileIO):
    """A file that takes what it can no longer write."""

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except OSError:
            return memoryview(content).nbytes


class _Void(io.RawIOBase):
    """Takes everything and keeps nothing."""

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        return memoryview(content).nbytes


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    """Codec error handler: letters of ASCII instead, or the raw byte of an undecodable name."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    if 0xDC80 <= ord(letter) <= 0xDCFF:
        return bytes([ord(letter) - 0xDC00]), error.start + 1
    return _PLAIN.get(letter, "?"), error.start + 1
