"""Descriptor sets: the descriptors of each body in a robot's data, stored once.

Domain randomisation gives a robot many bodies, and each frame belongs to one of them. A table of K
sets is a `RobotDescriptor` with a leading axis of K. Sets are equal if all their bytes are equal.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int

from bodyplan.datasets.format import REBUILD_HINT
from bodyplan.errors import BodyplanError
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.robots.feature_sizes import CONTEXT_SIZE, FOOT_DESCRIPTOR_SIZE, JOINT_DESCRIPTOR_SIZE
from bodyplan.storage import atomic_write, read_archive


def unique_sets(described: RobotDescriptor) -> tuple[RobotDescriptor, Int[np.ndarray, "M"]]:
    """Merges equal sets.

    Args:
        described: M sets.

    Returns:
        The table of different sets, in order of first use, and the row of each of the M in it.
    """
    flat = np.concatenate([part.reshape(len(part), -1) for part in described], axis=1)
    keys = np.ascontiguousarray(flat).view(np.void(flat.dtype.itemsize * flat.shape[1]))[:, 0]
    _, first, index = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    table = RobotDescriptor(*(part[first[order]] for part in described))
    return table, np.argsort(order)[index]


def concatenate_sets(tables: Iterable[RobotDescriptor]) -> RobotDescriptor:
    """Puts several tables of sets one after the other."""
    return RobotDescriptor(*map(np.concatenate, zip(*tables, strict=True)))


def merge_sets(
    tables: Sequence[RobotDescriptor], ids: Sequence[Int[np.ndarray, "_"]]
) -> tuple[RobotDescriptor, Int[np.ndarray, "frames"] | None]:
    """Merges tables of sets into one without equal or unused sets.

    Args:
        tables: tables of sets.
        ids: for each table, the rows that its frames use.

    Returns:
        The table, and the row that each frame uses; None instead of rows where one set remains.
    """
    starts = np.cumsum([0, *(len(table.context) for table in tables[:-1])])
    whole = concatenate_sets(tables)
    shifted = np.concatenate([own + start for own, start in zip(ids, starts, strict=True)])
    used, index = np.unique(shifted, return_inverse=True)
    table, merged = unique_sets(RobotDescriptor(*(part[used] for part in whole)))
    return table, merged[index].astype(np.int32) if len(table.context) > 1 else None


class DescriptorTable:
    """A growing table of the descriptor sets that S environments have had so far."""

    def __init__(self, num_envs: int) -> None:
        """Begins an empty table for `num_envs` environments."""
        self._ids = np.zeros(num_envs, np.int32)
        self._chunks: list[RobotDescriptor] = []
        self._size = 0
        self._last: RobotDescriptor | None = None  # as it was given
        self._current: RobotDescriptor | None = None  # with one row for each environment

    @property
    def table(self) -> RobotDescriptor:
        """All descriptor sets, in the order in which they were added."""
        return concatenate_sets(self._chunks)

    def add(self, descriptor: RobotDescriptor) -> Int[np.ndarray, "S"]:
        """Adds the sets that are new, and returns the number of each environment's set.

        Args:
            descriptor: one set for all environments, or a leading axis of S.
        """
        if descriptor is self._last:
            return self._ids
        current = descriptor
        if descriptor.context.ndim == 1:
            shapes = [(len(self._ids), *part.shape) for part in descriptor]
            current = RobotDescriptor(*map(np.broadcast_to, descriptor, shapes))
        changed = np.flatnonzero(self._changed(current))
        self._chunks.append(RobotDescriptor(*(part[changed] for part in current)))
        self._ids = self._ids.copy()
        self._ids[changed] = self._size + np.arange(len(changed))
        self._size += len(changed)
        self._last, self._current = descriptor, current
        return self._ids

    def _changed(self, new: RobotDescriptor) -> Bool[np.ndarray, "S"]:
        if self._current is None:
            return np.ones(len(self._ids), bool)
        pairs = zip(new, self._current, strict=True)
        return np.any([(own != old).any(axis=tuple(range(1, own.ndim))) for own, old in pairs], 0)


def write_sets(path: Path, table: RobotDescriptor) -> None:
    """Writes a table of sets.

    Raises:
        BodyplanError: the disk is full, or the place cannot be written to.
    """
    with atomic_write(path) as temporary:
        np.savez(temporary, allow_pickle=False, **table._asdict())


def read_sets(path: Path) -> RobotDescriptor:
    """Reads a table of sets.

    Raises:
        BodyplanError: the file is missing or damaged, or its parts differ in their number of sets.
    """
    table = RobotDescriptor(**read_archive(path, RobotDescriptor._fields))
    counts = {len(part) if part.ndim else 0 for part in table}
    if [part.ndim for part in table] != [3, 3, 2] or len(counts) > 1 or counts == {0}:
        raise BodyplanError(
            f"{path} holds arrays {[list(part.shape) for part in table]} where descriptor sets "
            f"[K, J, {JOINT_DESCRIPTOR_SIZE}], [K, F, {FOOT_DESCRIPTOR_SIZE}] and "
            f"[K, {CONTEXT_SIZE}] belong; {REBUILD_HINT}."
        )
    if any(part.dtype != np.float32 for part in table):
        raise BodyplanError(
            f"{path} holds {', '.join(str(part.dtype) for part in table)}, not float32; "
            f"{REBUILD_HINT}."
        )
    return table
