"""A dataset that comes from outside: its folder is whole or absent.

It takes its name once its card is written. What a killed import leaves behind is no dataset, and
the next one to the same place replaces it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bodyplan.errors import BodyplanError
from bodyplan.locking import sole_writer
from bodyplan.storage import atomic_folder


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yields a folder to fill, which becomes `out` once the block has succeeded.

    Raises:
        BodyplanError: there is something at `out`, another process is at work on it, or the disk
            is full or not writable.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise BodyplanError(f"{out} is not empty; delete it or choose another folder with --out.")
    with sole_writer(out), atomic_folder(out) as folder:
        yield folder
