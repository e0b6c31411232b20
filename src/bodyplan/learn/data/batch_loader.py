"""The loader of batches: which steps an update samples, and reading them a chunk ahead.

Steps are drawn uniformly and with replacement, by a counter-based generator: what robot X samples
in update u follows from the run's seed, the robot's name and u alone. So a resumed run samples what
an undisturbed one does, and neither other robots nor the length of a chunk change a robot's batch.

The compiled program sees chunks of batches, not the data: their number and lengths do not enter it.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Bool, Int, UInt32

from bodyplan.learn.data.batches import AXIS
from bodyplan.learn.data.training_data import TrainingData
from bodyplan.learn.data.transitions import MemoryData, PackedTransitions, RobotTable, Source
from bodyplan.learn.distributed import mesh, replicate

CHUNK_BYTES = 2**26
"""Largest size of a chunk with several iterations; two chunks are held at a time."""
MOST_ITERATIONS = 128
"""Of one chunk."""

TRAINING, MEASURING = 0, 1
"""Streams of random numbers that have nothing in common."""

Key = UInt32[np.ndarray, "... 2"]
"""A run's seed, as `jax.random.PRNGKey` holds it; where several seeds train, one for each."""


def draw_steps(
    key: Key,
    robot_keys: Sequence[int],
    sizes: Sequence[int],
    updates: range,
    batch_size: int,
    stream: int = TRAINING,
) -> Int[np.ndarray, "*seeds updates R B"]:
    """The steps of each robot that these updates sample.

    Args:
        key: of the run, or of all seeds that train at once.
        robot_keys: a number for each robot.
        sizes: steps that there are of each robot.
        updates: consecutive updates.
        batch_size: steps of each robot in an update.
        stream: `TRAINING` or `MEASURING`.
    """
    if key.ndim > 1:
        return np.stack(
            [draw_steps(own, robot_keys, sizes, updates, batch_size, stream) for own in key]
        )
    blocks = -(-batch_size // 4)  # one count of Philox gives four numbers
    seed = int(key[0]) << 32 | int(key[1])
    drawn = []
    for robot, size in zip(robot_keys, sizes, strict=True):
        counter = [updates.start * blocks, stream, 0, 0]
        # As an array: of a list with numbers beyond 2^63 NumPy makes floats, which merges seeds.
        random = np.random.Philox(key=np.array([seed, robot], np.uint64), counter=counter)
        raw = random.random_raw(len(updates) * blocks * 4).reshape(len(updates), -1)
        # The upper half of 64 random bits, as a share of the robot's steps.
        drawn.append(((raw[:, :batch_size] >> 32) * np.uint64(size) >> 32).astype(np.int32))
    return np.stack(drawn, axis=1)


class Chunk(NamedTuple):
    """Consecutive iterations' batches, of which some are to be used."""

    packed: Any
    """Of each build `PackedTransitions`, arrays `[*seeds, iterations, critic updates, ...]`."""
    first: Any
    """The first iteration to use."""
    iterations: Any
    """How many are to be used."""


class BatchLoader:
    """Reads batches in chunks, one chunk ahead in a thread."""

    def __init__(
        self,
        source: Source,
        table: RobotTable,
        batch_size: int,
        every: int = 1,
        devices: int = 1,
        chunk_bytes: int = CHUNK_BYTES,
        held_out: Sequence[Bool[np.ndarray, "N"]] | None = None,
    ) -> None:
        """Nothing is read yet.

        Args:
            source: what is read from.
            table: the robots.
            batch_size: steps of each robot in a batch.
            every: critic updates in an iteration.
            devices: devices that each batch is split over.
            chunk_bytes: largest size of a chunk with several iterations.
            held_out: of each robot, the steps that are not sampled; by default none.
        """
        self.source, self.table, self.batch_size, self.every = source, table, batch_size, every
        self._devices, self._bytes = devices, chunk_bytes
        self._sampled = [np.flatnonzero(~own).astype(np.int32) for own in held_out or ()]
        self._robot_keys = np.asarray(table.robot_keys).tolist()
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._ahead: dict[tuple[bytes, int], Future[tuple[PackedTransitions, ...]]] = {}

    @classmethod
    def of(
        cls,
        data: TrainingData,
        batch_size: int,
        every: int = 1,
        devices: int = 1,
        weights: Sequence[float] | None = None,
        source: Callable[[TrainingData], Source] = MemoryData,
    ) -> "BatchLoader":
        """A loader of a run's data; all robots have one weight where none are given."""
        table = replicate(RobotTable.of(data, weights), devices)
        return cls(source(data), table, batch_size, every, devices, held_out=data.held_out)

    def chunks(self, key: Key, update: int, updates: int) -> Iterator[Chunk]:
        """The batches of an interval that begins after `update` updates."""
        length = self._length(key)
        iteration, end = update // self.every, (update + updates) // self.every
        while iteration < end:
            number, first = divmod(iteration, length)
            count = min(length - first, end - iteration)
            yield Chunk(self._fetch(key, number, length), np.int32(first), np.int32(count))
            iteration += count

    def batch(self, key: Key, update: int, stream: int = TRAINING) -> tuple[PackedTransitions, ...]:
        """The batch of one update; without axes of iterations and critic updates."""
        rows = self._draw(key, range(update, update + 1), stream)[..., 0, :, :]
        return self._put(self.source.read(rows), leading=key.ndim - 1)

    def rows(self, key: Key, update: int) -> Int[np.ndarray, "R B"]:
        """The steps that one update samples."""
        return self._draw(key, range(update, update + 1), TRAINING)[..., 0, :, :]

    def _draw(self, key: Key, updates: range, stream: int) -> Int[np.ndarray, "*seeds updates R B"]:
        sizes = [len(own) for own in self._sampled] or self.source.sizes
        rows = draw_steps(key, self._robot_keys, sizes, updates, self.batch_size, stream)
        for robot, own in enumerate(self._sampled):
            rows[..., robot, :] = own[rows[..., robot, :]]
        return rows

    def _length(self, key: Key) -> int:
        """Iterations of a chunk: a power of two, so that programs are few."""
        one = self.source.read(np.zeros((len(self._robot_keys), 1), np.int32))
        step = sum(array.nbytes for array in jax.tree.leaves(one))
        iteration = step * self.batch_size * self.every * max(key.size // 2, 1)
        most = min(self._bytes // iteration, MOST_ITERATIONS)
        return 1 << max(int(most).bit_length() - 1, 0)

    def _fetch(self, key: Key, number: int, length: int) -> tuple[PackedTransitions, ...]:
        """A chunk, read already or now; from then on the next one is being read."""
        wanted = [(key.tobytes(), number), (key.tobytes(), number + 1)]
        self._ahead = {
            name: self._ahead.get(name) or self._reader.submit(self._read, key, name[1], length)
            for name in wanted
        }
        return self._ahead[wanted[0]].result()

    def _read(self, key: Key, number: int, length: int) -> tuple[PackedTransitions, ...]:
        updates = length * self.every
        rows = self._draw(key, range(number * updates, (number + 1) * updates), TRAINING)
        seeds, robots = rows.shape[:-3], rows.shape[-2:]
        packed = self.source.read(rows.reshape(*seeds, length, self.every, *robots))
        return self._put(packed, leading=len(seeds) + 2)

    def _put(
        self, packed: tuple[PackedTransitions, ...], leading: int
    ) -> tuple[PackedTransitions, ...]:
        """On the device, or each device's part of every batch on it."""
        if self._devices == 1:
            return jax.device_put(packed)
        devices = mesh(self._devices)
        return jax.tree.map(
            lambda array, own: jax.device_put(array, NamedSharding(devices, own)),
            packed,
            partition(packed, leading),
        )


def partition(batches: Any, seeds: int) -> Any:
    """How batches are laid over devices: split along their samples, the last axis but one.

    Args:
        batches: a chunk, or one batch, or shapes of them.
        seeds: 1 where they have a leading axis of seeds.
    """
    if isinstance(batches, Chunk):
        everywhere = PartitionSpec()
        return Chunk(partition(batches.packed, seeds + 2), everywhere, everywhere)
    two = PartitionSpec(*[None] * (seeds + 2), AXIS)
    one = PartitionSpec(*[None] * (seeds + 1), AXIS)
    return tuple(
        PackedTransitions._make((two, one, None if build.ids is None else two)) for build in batches
    )
