"""Writes a dataset in pieces, so that it may be larger than memory, into a new folder."""

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
from bodyplan.datasets.whole_episodes import WHOLE, whole_episodes
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

MAX_DESCRIPTOR_SETS = 100_000
"""Most descriptor sets of one robot. The paper's release is documented to have up to 4,600."""


class ArrayWriter:
    """Writes an `.npy` file a few rows at a time; it can be read after `close`."""

    def __init__(self, path: Path, row: tuple[int, ...], dtype: type) -> None:
        """Begins a file with no rows; `row` is the shape of one."""
        self._row, self._dtype, self._count = row, np.dtype(dtype), 0
        self._file = path.open("wb")
        self._write_header()

    def append(self, rows: np.ndarray) -> None:
        """Adds rows at the end."""
        self._file.write(np.ascontiguousarray(rows, self._dtype).data)
        self._count += len(rows)

    def close(self) -> None:
        """Writes the number of rows into the header and closes the file."""
        self._file.seek(0)
        self._write_header()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def abandon(self) -> None:
        """Closes the file as it is."""
        self._file.close()

    def _write_header(self) -> None:
        # NumPy pads the header for a growing first axis, so its length does not change.
        header = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self._count, *self._row),
        }
        np.lib.format.write_array_header_1_0(self._file, header)


class EpisodeWriter:
    """Writes the episodes of one robot as frames and steps arrive."""

    def __init__(
        self, folder: Path, joints: int, feet: int, max_sets: int = MAX_DESCRIPTOR_SETS
    ) -> None:
        """Begins the arrays of a robot.

        Args:
            folder: the robot's folder, which is created.
            joints: number of joints.
            feet: number of feet.
            max_sets: most descriptor sets; more are an error.
        """
        folder.mkdir()
        self._folder, self._max_sets = folder, max_sets
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
        self._sets: list[RobotDescriptor] = []
        self._num_sets, self._num_steps = 0, 0
        self._last: RobotDescriptor | None = None

    def append_frames(
        self, descriptors: RobotDescriptor, observations: Observation
    ) -> RobotDescriptor:
        """Adds frames, each with its descriptor set.

        Args:
            descriptors: of M frames, on a leading axis.
            observations: likewise.

        Returns:
            The descriptor sets that differ from that of the frame before.

        Raises:
            BodyplanError: the descriptors change too often.
        """
        for name, part in zip(FRAME_ARRAYS, observations, strict=True):
            self._arrays[name].append(part)
        changed = np.ones(len(descriptors.context), bool)
        changed[1:] = _differs(descriptors)
        if self._last is not None:
            joined = (
                np.concatenate([old, new[:1]])
                for old, new in zip(self._last, descriptors, strict=True)
            )
            changed[0] = _differs(RobotDescriptor(*joined))[0]
        new_sets = RobotDescriptor(*(part[changed].copy() for part in descriptors))
        self._arrays[DESCRIPTOR_IDS].append(self._num_sets - 1 + np.cumsum(changed))
        self._num_sets += len(new_sets.context)
        if self._num_sets > self._max_sets:
            raise BodyplanError(
                f"the descriptors of {self._folder.name} change more than {self._max_sets:,} "
                "times; check that the observations have the paper's layout and order of robots."
            )
        self._sets.append(new_sets)
        self._last = RobotDescriptor(*(part[-1:].copy() for part in descriptors))
        return new_sets

    def append_steps(self, **steps: np.ndarray) -> None:
        """Adds steps: `actions`, `rewards`, `terminated` and `truncated`."""
        for name in STEP_ARRAYS:
            self._arrays[name].append(steps[name])
        self._num_steps += len(steps["rewards"])

    def abandon(self) -> None:
        """Closes all files as they are."""
        for array in self._arrays.values():
            array.abandon()

    def finish(self) -> dict[str, Any]:
        """Completes all files and returns the robot's entry for the card.

        Raises:
            BodyplanError: there are no steps, or the disk is full.
        """
        if not self._num_steps:
            raise BodyplanError(
                f"no complete step is left of {self._folder.name}; give longer episodes or next "
                "observations."
            )
        for array in self._arrays.values():
            array.close()
        stored = {name: self._read(name) for name in (*FRAME_ARRAYS, *STEP_ARRAYS)}
        ends = np.flatnonzero(stored["terminated"] | stored["truncated"]) + 1
        write_array(self._folder / "episode_ends.npy", ends)
        table, ids = self._write_descriptors()
        episodes = Episodes(**stored, episode_ends=ends, descriptors=table, descriptor_ids=ids)
        return {**episodes.card_entry(self._folder), WHOLE: whole_episodes(episodes)}

    def _write_descriptors(self) -> tuple[RobotDescriptor, Int[np.ndarray, "frames"] | None]:
        """Merges equal sets, which the frames so far number separately."""
        ids = np.array(self._read(DESCRIPTOR_IDS))
        table, merged = merge_sets([concatenate_sets(self._sets)], [ids])
        write_sets(self._folder / DESCRIPTORS, table)
        if merged is None:
            (self._folder / f"{DESCRIPTOR_IDS}.npy").unlink()
        else:
            write_array(self._folder / f"{DESCRIPTOR_IDS}.npy", merged)
        return table, merged

    def _read(self, name: str) -> np.ndarray:
        return read_array(self._folder / f"{name}.npy")


def _differs(descriptors: RobotDescriptor) -> Bool[np.ndarray, "_"]:
    """Whether each set but the first differs from the one before it."""
    changed: list[np.ndarray] = [
        (part[1:] != part[:-1]).reshape(len(part) - 1, part[0].size) for part in descriptors
    ]
    return np.any(np.concatenate(changed, axis=1), axis=1)


@contextmanager
def new_dataset_folder(out: Path) -> Iterator[Path]:
    """Yields a temporary folder that becomes `out` when the block has succeeded.

    Raises:
        BodyplanError: `out` exists and is not empty, another process writes to it, or the disk is
            full or not writable.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise BodyplanError(f"{out} is not empty; delete it or choose another folder with --out.")
    with writer_lock(out), atomic_folder(out) as folder:
        yield folder
