"""Parts of a recording: files of consecutive steps, saved one by one and joined at the end.

A part depends only on the settings and its number. Parts can therefore be recorded in any order and
several at once, and an interrupted build continues with the first part that is missing.
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

_SETS = "descriptors."  # prefix of the descriptor sets' names in a part


class RecordingPart(NamedTuple):
    """Consecutive steps of one robot, and the file that contains them once they are recorded."""

    number: int
    start: int
    stop: int
    path: Path


def recording_parts(folder: Path, steps: int, part_steps: int) -> list[RecordingPart]:
    """Divides a robot's steps into parts of `part_steps`, whose files are in `folder`."""
    return [
        RecordingPart(
            number, start, min(start + part_steps, steps), folder / f"part-{number:04d}.npz"
        )
        for number, start in enumerate(range(0, steps, part_steps))
    ]


def save_part(path: Path, episodes: Episodes) -> None:
    """Writes a part, atomically.

    Raises:
        BodyplanError: it contains NaN or infinity, the disk is full, or the place is not writable.
    """
    if arrays := non_finite(episodes):
        raise BodyplanError(
            f"the simulation of {path.parent.name} diverged in {path.stem} (NaN or infinity in "
            f"{', '.join(arrays)}); check the robot's model and its snapshots, or change the seed."
        )
    contents = {DESCRIPTOR_IDS: np.zeros(len(episodes.general), np.int32), **episodes.arrays()}
    contents |= {f"{_SETS}{name}": part for name, part in episodes.descriptors._asdict().items()}
    with atomic_write(path) as temporary:
        np.savez(temporary, allow_pickle=False, **contents)


def join_parts(parts: Sequence[RecordingPart]) -> Episodes:
    """The episodes of all parts, in order.

    Raises:
        BodyplanError: a part is missing or damaged.
    """
    paths = [part.path for part in parts]
    arrays = {name: [read_temporary_array(path, name) for path in paths] for name in ARRAYS}
    lengths = [len(rewards) for rewards in arrays["rewards"]]
    offsets = np.cumsum([0, *lengths[:-1]])
    arrays["episode_ends"] = [
        ends + offset for ends, offset in zip(arrays["episode_ends"], offsets, strict=True)
    ]
    joined = {name: np.concatenate(arrays.pop(name)) for name in ARRAYS}  # frees them one by one
    tables = [
        RobotDescriptor(
            *(read_temporary_array(path, _SETS + name) for name in RobotDescriptor._fields)
        )
        for path in paths
    ]
    ids = [read_temporary_array(path, DESCRIPTOR_IDS) for path in paths]
    table, merged = merge_sets(tables, ids)
    return Episodes(**joined, descriptors=table, descriptor_ids=merged)


def read_temporary_array(path: Path, name: str) -> np.ndarray:
    """One array of a file that exists only until a build or a run is finished.

    Raises:
        BodyplanError: the file is missing or damaged.
    """
    try:
        return read_archive(path, [name])[name]
    except BodyplanError as error:
        raise BodyplanError(
            f"{path} is damaged ({error.__cause__ or 'it is missing'}); delete it and run the same "
            "command again."
        ) from error
