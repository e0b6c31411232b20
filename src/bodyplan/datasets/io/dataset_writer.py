"""A robot's arrays written row by row, so that a dataset may be larger than memory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from bodyplan.datasets.descriptor_sets import concatenate_sets, merge_sets, write_sets
from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.format import DESCRIPTOR_IDS, DESCRIPTORS, FRAME_ARRAYS, STEP_ARRAYS
from bodyplan.envs.walking_task import Observation
from bodyplan.errors import BodyplanError
from bodyplan.locking import writer_lock
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.robots.feature_sizes import (
    FOOT_OBSERVATION_SIZE,
    GENERAL_OBSERVATION_SIZE,
    JOINT_OBSERVATION_SIZE,
)
from bodyplan.storage import atomic_folder, read_array, write_array

MOST_SETS = 100_000
"""Descriptor sets of one robot; the official release has 2,700 to 4,600 (dataset documentation)."""


class ArrayWriter:
    """An `.npy` file of rows; it can be read once it is closed."""

    def __init__(self, path: Path, row: tuple[int, ...], dtype: type) -> None:
        """Begins a file with no rows of shape `row`."""
        self._row, self._dtype, self._count = row, np.dtype(dtype), 0
        self._file = path.open("wb")
        self._header()

    def append(self, rows: np.ndarray) -> None:
        """Adds rows at the end."""
        self._file.write(np.ascontiguousarray(rows, self._dtype).data)
        self._count += len(rows)

    def close(self) -> None:
        """Says in the header how many rows there are."""
        self._file.seek(0)
        self._header()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def abandon(self) -> None:
        """Lets go of the file, whole or not."""
        self._file.close()

    def _header(self) -> None:
        # NumPy leaves room in a header for the first axis to grow, so that its length stays.
        about = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self._count, *self._row),
        }
        np.lib.format.write_array_header_1_0(self._file, about)


class EpisodeWriter:
    """One robot's episodes while they come in."""

    def __init__(self, folder: Path, joints: int, feet: int) -> None:
        """Begins the arrays of a robot in `folder`."""
        folder.mkdir()
        self._folder = folder
        rows: dict[str, tuple[tuple[int, ...], type]] = {
            "joints": ((joints, JOINT_OBSERVATION_SIZE), np.float32),
            "feet": ((feet, FOOT_OBSERVATION_SIZE), np.float32),
            "general": ((GENERAL_OBSERVATION_SIZE,), np.float32),
            "actions": ((joints,), np.float32),
            "rewards": ((), np.float32),
            "terminated": ((), np.bool_),
            "truncated": ((), np.bool_),
            DESCRIPTOR_IDS: ((), np.int32),
        }
        self._arrays = {
            name: ArrayWriter(folder / f"{name}.npy", *row) for name, row in rows.items()
        }
        self._pages: list[RobotDescriptor] = []
        self._sets, self._steps = 0, 0
        self._latest: RobotDescriptor | None = None

    def append_frames(self, described: RobotDescriptor, sensed: Observation) -> RobotDescriptor:
        """Adds frames, each with its descriptor set; returns the sets that have begun with them.

        Raises:
            BodyplanError: the descriptors change all the time.
        """
        for name, part in zip(FRAME_ARRAYS, sensed, strict=True):
            self._arrays[name].append(part)
        begun = np.ones(len(described.context), bool)
        begun[1:] = _differs(described)
        if self._latest is not None:
            joined = (
                np.concatenate([old, new[:1]])
                for old, new in zip(self._latest, described, strict=True)
            )
            begun[0] = _differs(RobotDescriptor(*joined))[0]
        fresh = RobotDescriptor(*(part[begun].copy() for part in described))
        self._arrays[DESCRIPTOR_IDS].append(self._sets - 1 + np.cumsum(begun))
        self._sets += len(fresh.context)
        if self._sets > MOST_SETS:
            raise BodyplanError(
                f"the descriptors of {self._folder.name} change more than {MOST_SETS:,} times; "
                "check that the observations have the paper's layout and order of robots."
            )
        self._pages.append(fresh)
        self._latest = RobotDescriptor(*(part[-1:].copy() for part in described))
        return fresh

    def append_steps(self, **steps: np.ndarray) -> None:
        """Adds steps: `actions`, `rewards`, `terminated` and `truncated`."""
        for name in STEP_ARRAYS:
            self._arrays[name].append(steps[name])
        self._steps += len(steps["rewards"])

    def abandon(self) -> None:
        """Lets go of all files, whole or not."""
        for array in self._arrays.values():
            array.abandon()

    def finish(self) -> dict[str, Any]:
        """Closes all files and writes the rest; returns the robot's entry for the card.

        Raises:
            BodyplanError: no step came in, or the disk is full.
        """
        if not self._steps:
            raise BodyplanError(
                f"no whole step is left of {self._folder.name}; give longer episodes or next "
                "observations."
            )
        for array in self._arrays.values():
            array.close()
        stored = {name: self._stored(name) for name in (*FRAME_ARRAYS, *STEP_ARRAYS)}
        ends = np.flatnonzero(stored["terminated"] | stored["truncated"]) + 1
        write_array(self._folder / "episode_ends.npy", ends)
        table, ids = self._bodies()
        episodes = Episodes(**stored, episode_ends=ends, descriptors=table, descriptor_ids=ids)
        return episodes.card_entry(self._folder)

    def _bodies(self) -> tuple[RobotDescriptor, Int[np.ndarray, "frames"] | None]:
        table, ids = merge_sets(
            [concatenate_sets(self._pages)], [np.array(self._stored(DESCRIPTOR_IDS))]
        )
        write_sets(self._folder / DESCRIPTORS, table)
        if ids is None:
            (self._folder / f"{DESCRIPTOR_IDS}.npy").unlink()
        else:
            write_array(self._folder / f"{DESCRIPTOR_IDS}.npy", ids)
        return table, ids

    def _stored(self, name: str) -> np.ndarray:
        return read_array(self._folder / f"{name}.npy")


def _differs(described: RobotDescriptor) -> Bool[np.ndarray, "_"]:
    """Whether each set but the first differs from the one before it."""
    changed: list[np.ndarray] = [
        (part[1:] != part[:-1]).reshape(len(part) - 1, part[0].size) for part in described
    ]
    return np.any(np.concatenate(changed, axis=1), axis=1)


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yields a folder to fill, which becomes `out` once the block has succeeded.

    Raises:
        BodyplanError: there is something at `out`, another process is at work on it, or the disk
            is full or not writable.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise BodyplanError(f"{out} is not empty; delete it or choose another folder with --out.")
    with writer_lock(out), atomic_folder(out) as folder:
        yield folder
