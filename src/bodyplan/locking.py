"""File locks that keep two processes from writing to the same folder or file."""

import os
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from bodyplan.errors import BodyplanError
from bodyplan.storage import explain_errors


@contextmanager
def writer_lock(path: str | Path) -> Iterator[None]:
    """Holds the only writer's lock of `path` while the block runs.

    The lock is the file `.<name>.lock` beside `path`, or in it where only the folder itself is the
    user's. It contains the process, host and command of its holder. The operating system releases
    the lock when that process ends, however it ends.

    Raises:
        BodyplanError: another process holds the lock, or the place cannot be written to.
    """
    path = Path(path)
    file = _lock_file(path)
    lock = FileLock(file, blocking=False)
    with explain_errors(path):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout as error:
            raise BodyplanError(
                f"{_holder(file)} is writing to {path}; wait for it, or choose another folder."
            ) from error
    try:
        with suppress(OSError):  # the text only improves an error message
            file.write_text(f"process {os.getpid()} on {socket.gethostname()}: {_command()}\n")
        yield
    finally:
        # Removed before the release: a process that waits on the removed file tries again.
        with suppress(OSError):
            file.unlink()
        lock.release()


def _lock_file(path: Path) -> Path:
    path = Path(os.path.abspath(path))  # "." has no name
    beside = path.with_name(f".{path.name}.lock")
    own_only = path.is_dir() and not os.access(path.parent, os.W_OK)
    return path / beside.name if own_only else beside


def _command() -> str:
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200]


def _holder(file: Path) -> str:
    """The text that the lock's holder has written, or a general one."""
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    return f"another process ({lines[0]})" if lines else "another process"
