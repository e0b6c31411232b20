"""A dataset that comes from outside: its folder is whole or absent.

It takes its name once its card is written. What a killed import leaves behind is no dataset, and
the next one to the same place replaces it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from bodyplan import __version__
from bodyplan.datasets.layout import CARD, FORMAT
from bodyplan.datasets.verification import seal
from bodyplan.envs.walking import Command
from bodyplan.errors import BodyplanError
from bodyplan.storage import atomic_folder, write_json


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yields a folder to fill, which becomes `out` once the block has succeeded.

    Raises:
        BodyplanError: there is something at `out`, or the disk is full or not writable.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise BodyplanError(f"{out} is not empty; delete it or choose another folder with --out.")
    with atomic_folder(out) as folder:
        yield folder


def write_card(
    folder: Path,
    source: str,
    recipe: str,
    command: Command,
    seed: int,
    robots: Mapping[str, Mapping[str, Any]],
    facts: Mapping[str, Any],
) -> None:
    """Writes the card of a dataset from outside; `robots` are their entries, `facts` the rest."""
    versions = {"bodyplan": __version__, "mujoco": mujoco.__version__, "numpy": np.__version__}
    card = {
        "format": FORMAT,
        "source": source,
        "recipe": recipe,
        "command": list(command),
        "seed": seed,
        **facts,
        "versions": versions,
        "robots": dict(robots),
    }
    write_json(folder / CARD, {**card, "seal": seal(card)})
