"""One writer at a time: a lock that ends with its process, however that ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bodyplan.errors import BodyplanError

try:
    import fcntl
except ImportError:  # Windows has no such locks; two writers are then not kept apart
    fcntl = None  # type: ignore[assignment]


@contextmanager
def writer_lock(path: Path) -> Iterator[None]:
    """Holds the lock of `path` while the block runs; `.<name>.lock` lies beside it meanwhile.

    Raises:
        BodyplanError: another process holds it.
    """
    lock = path.with_name(f".{path.name}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BodyplanError(
                f"another process is at work on {path}; wait for it, or choose another folder."
            ) from error
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
