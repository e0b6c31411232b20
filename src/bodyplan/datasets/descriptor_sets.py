"""Descriptor sets: the bodies behind one robot's data, each kept once.

Under domain randomisation a robot is many bodies, each frame being of one. A table of sets is a
`RobotDescriptor` with a leading axis of K; sets are the same where all their bytes are.
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
    """Merges the equal ones of M sets; the table, in order of first use, and each one's place."""
    flat = np.concatenate([part.reshape(len(part), -1) for part in described], axis=1)
    keys = np.ascontiguousarray(flat).view(np.void(flat.dtype.itemsize * flat.shape[1]))[:, 0]
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    table = RobotDescriptor(*(part[first[order]] for part in described))
    return table, np.argsort(order)[place]


def concatenate_sets(tables: Iterable[RobotDescriptor]) -> RobotDescriptor:
    """Several tables as one, one after the other."""
    return RobotDescriptor(*map(np.concatenate, zip(*tables, strict=True)))


def merge_sets(
    tables: Sequence[RobotDescriptor], ids: Sequence[Int[np.ndarray, "_"]]
) -> tuple[RobotDescriptor, Int[np.ndarray, "frames"] | None]:
    """One table of several, each with places in it: sets nobody has dropped, equal ones merged.

    Returns the table and all places in it, which are left out where one set remains.
    """
    starts = np.cumsum([0, *(len(table.context) for table in tables[:-1])])
    whole = concatenate_sets(tables)
    shifted = np.concatenate([own + start for own, start in zip(ids, starts, strict=True)])
    used, place = np.unique(shifted, return_inverse=True)
    table, merged = unique_sets(RobotDescriptor(*(part[used] for part in whole)))
    return table, merged[place].astype(np.int32) if len(table.context) > 1 else None


class DescriptorTable:
    """The sets that S robots side by side have had, and the one that each has now."""

    def __init__(self, count: int) -> None:
        """Nothing is known yet of `count` robots."""
        self._latest: RobotDescriptor | None = None
        self._everyone: RobotDescriptor | None = None
        self._now = np.zeros(count, np.int32)
        self._pages: list[RobotDescriptor] = []
        self._size = 0

    @property
    def table(self) -> RobotDescriptor:
        """All sets, in the order in which they came up."""
        return concatenate_sets(self._pages)

    def add(self, descriptor: RobotDescriptor) -> Int[np.ndarray, "S"]:
        """The place of each robot's set now; `descriptor` is of all, or has a leading axis of S."""
        if descriptor is self._latest:
            return self._now
        everyone = descriptor
        if descriptor.context.ndim == 1:
            shapes = [(len(self._now), *part.shape) for part in descriptor]
            everyone = RobotDescriptor(*map(np.broadcast_to, descriptor, shapes))
        changed = np.flatnonzero(self._changed(everyone))
        self._pages.append(RobotDescriptor(*(part[changed] for part in everyone)))
        self._now = self._now.copy()
        self._now[changed] = self._size + np.arange(len(changed))
        self._size += len(changed)
        self._latest, self._everyone = descriptor, everyone
        return self._now

    def _changed(self, everyone: RobotDescriptor) -> Bool[np.ndarray, "S"]:
        if self._everyone is None:
            return np.ones(len(self._now), bool)
        pairs = zip(everyone, self._everyone, strict=True)
        return np.any([(new != old).any(axis=tuple(range(1, new.ndim))) for new, old in pairs], 0)


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
