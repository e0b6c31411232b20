"""Parts: a robot's steps recorded a stretch at a time, each kept in a file until all are there.

A part is saved as soon as it is finished and depends on nothing but the settings and its number, so
that parts may be recorded in any order, several at once, and an interrupted build goes on with the
first one missing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bodyplan.datasets.descriptor_sets import merge_sets
from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.format import ARRAYS, DESCRIPTOR_IDS
from bodyplan.datasets.verification import non_finite
from bodyplan.errors import BodyplanError
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.storage import atomic_write, read_archive

PART_STEPS = 256_000
"""Steps of a part, but for a robot's last."""
_SETS = "descriptors."  # begins the names of a part's descriptor sets


class Part(NamedTuple):
    """A stretch of a robot's steps."""

    number: int
    start: int
    stop: int
    path: Path


def parts_of(folder: Path, steps: int) -> list[Part]:
    """The parts of `steps` steps, and where each is kept."""
    starts = range(0, steps, PART_STEPS)
    return [
        Part(number, start, min(start + PART_STEPS, steps), folder / f"part-{number:04d}.npz")
        for number, start in enumerate(starts)
    ]


def save_part(path: Path, episodes: Episodes) -> None:
    """Writes a part, atomically.

    Raises:
        BodyplanError: it holds NaN or infinity, the disk is full, or the place is not writable.
    """
    if faulty := non_finite(episodes):
        raise BodyplanError(
            f"the simulation of {path.parent.name} diverged in {path.stem} (NaN or infinity in "
            f"{', '.join(faulty)}); check the robot's model and its snapshots, or change the seed."
        )
    arrays = {DESCRIPTOR_IDS: np.zeros(len(episodes.general), np.int32), **episodes.arrays()}
    sets = {f"{_SETS}{name}": part for name, part in episodes.descriptors._asdict().items()}
    with atomic_write(path) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays, **sets)


def join_parts(parts: Sequence[Part]) -> Episodes:
    """The episodes of all parts, one array after another.

    Raises:
        BodyplanError: a part is damaged.
    """
    paths = [part.path for part in parts]
    joined = {name: [read_stored(path, name) for path in paths] for name in ARRAYS}
    lengths = [len(rewards) for rewards in joined["rewards"]]
    offsets = np.cumsum([0, *lengths[:-1]])
    joined["episode_ends"] = [
        ends + offset for ends, offset in zip(joined["episode_ends"], offsets, strict=True)
    ]
    arrays = {name: np.concatenate(joined.pop(name)) for name in ARRAYS}
    tables = [
        RobotDescriptor(*(read_stored(path, _SETS + name) for name in RobotDescriptor._fields))
        for path in paths
    ]
    table, ids = merge_sets(tables, [read_stored(path, DESCRIPTOR_IDS) for path in paths])
    return Episodes(**arrays, descriptors=table, descriptor_ids=ids)


def read_stored(path: Path, name: str) -> np.ndarray:
    """One array of a file that is kept only until a build or a run is finished.

    Raises:
        BodyplanError: the file is missing or damaged.
    """
    try:
        return read_archive(path, [name])[name]
    except BodyplanError as error:
        raise BodyplanError(
            f"{path} is damaged ({error.__cause__ or 'it is not there'}); delete it and run the "
            "same command again."
        ) from error
