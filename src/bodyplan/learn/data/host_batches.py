"""Batches read from disk while the device works, for data that do not fit on the device.

The arrays stay on disk, mapped into memory. Which steps a batch holds follows from the key alone,
so they can be read one chunk of an interval ahead. What is read has the very bits that
`DeviceData` would have sampled.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray, UInt32

from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.format import FRAME_ARRAYS
from bodyplan.envs.walking_task import Observation
from bodyplan.learn.data.batches import Batch, PreparedBatches, draw_indices
from bodyplan.learn.data.normalisation import ObservationScale
from bodyplan.learn.data.training_data import TrainingData

CHUNK_BYTES = 2**27
"""Size of the batches of one chunk; two chunks are on the device at a time."""

Key = UInt32[np.ndarray, "2"]
DrawRows = Callable[[Sequence[int], Array, int], tuple[Array, tuple[Array, ...]]]
"""From robots' numbers of steps, a state's key and a number of updates to the key after them and
each robot's rows."""


class HostData:
    """The transitions of R robots on the host."""

    def __init__(self, data: TrainingData) -> None:
        """Nothing is read yet."""
        self.data = data
        self.sizes = tuple(episodes.num_steps for episodes in data.episodes)
        """Steps of each robot."""
        self._frames = [episodes.frame_indices() for episodes in data.episodes]

    @property
    def step_bytes(self) -> int:
        """Size of one step of each robot in a batch."""
        one = self.read([np.zeros(1, np.int32)] * len(self.sizes))
        return sum(array.nbytes for array in jax.tree.leaves(one))

    def read(self, rows: Sequence[Int[np.ndarray, "*drawn"]]) -> tuple[Batch, ...]:
        """The given steps of each robot, in NumPy; arrays begin with the axes of `rows`."""
        scale = self.data.observation_scale
        each = zip(self.data.episodes, self._frames, self.data.reward_scales, rows, strict=True)
        return tuple(
            _read(episodes, frames[own], own, factor, scale)
            for episodes, frames, factor, own in each
        )

    def prepare(self, rows: Sequence[Int[np.ndarray, "iterations every B"]]) -> PreparedBatches:
        """The given steps of each robot on the device."""
        return jax.device_put(PreparedBatches(self.data.descriptors, self.read(rows)))


class _Fetch(NamedTuple):
    """A chunk on its way."""

    key: bytes
    """Of the state that it is for."""
    updates: int
    coming: Future[tuple[Key, PreparedBatches]]
    """Ends with the key of the state after the chunk."""


class HostLoader:
    """Reads an interval's batches in chunks, one chunk ahead."""

    def __init__(
        self,
        data: HostData,
        draw_rows: DrawRows,
        batch_size: int,
        every: int,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        """Nothing is read yet.

        Args:
            data: what is read from.
            draw_rows: says which steps an interval samples.
            batch_size: steps of each robot in a batch.
            every: critic updates in an iteration; chunks hold whole iterations.
            chunk_bytes: largest size of the batches of a chunk with several iterations.
        """
        self._data = data
        self._draw_rows = jax.jit(partial(draw_rows, data.sizes), static_argnums=1)
        self._most = max(chunk_bytes // (data.step_bytes * batch_size * every), 1)
        self._every = every
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._ahead: _Fetch | None = None

    def chunks(self, key: Key, updates: int) -> Iterator[tuple[PreparedBatches, int]]:
        """The batches of an interval that starts from a state with this key, in equal chunks."""
        length = self._length(updates)
        for _ in range(updates // length):
            key, batches = self._fetch(key, length).coming.result()
            self._fetch(key, length)
            yield batches, length

    def one_batch(self, key: PRNGKeyArray, batch_size: int) -> PreparedBatches:
        """The batch that `DeviceData.sample` draws with this key."""
        rows = draw_indices(key, self._data.sizes, batch_size)
        return self._data.prepare([np.asarray(own)[None, None] for own in rows])

    def _length(self, updates: int) -> int:
        """Updates of one chunk: a divisor of the interval's, in whole iterations."""
        iterations = updates // self._every
        fitting = range(1, min(self._most, iterations) + 1)
        return self._every * max(n for n in fitting if iterations % n == 0)

    def _fetch(self, key: Key, updates: int) -> _Fetch:
        """The chunk that a state of this key needs, being read already or from now on."""
        ahead = self._ahead
        if ahead is None or (ahead.key, ahead.updates) != (key.tobytes(), updates):
            ahead = _Fetch(key.tobytes(), updates, self._reader.submit(self._read, key, updates))
            self._ahead = ahead
        return ahead

    def _read(self, key: Key, updates: int) -> tuple[Key, PreparedBatches]:
        # On the CPU, so that it need not wait until the device has finished its present work.
        after, rows = self._draw_rows(jax.device_put(key, jax.devices("cpu")[0]), updates)
        return np.asarray(after), self._data.prepare([np.asarray(own) for own in rows])


def _read(
    episodes: Episodes,
    here: Int[np.ndarray, "*drawn"],
    rows: Int[np.ndarray, "*drawn"],
    factor: float,
    scale: ObservationScale | None,
) -> Batch:
    def observe(frames: Int[np.ndarray, "*drawn"]) -> Observation:
        observation = Observation(*(getattr(episodes, name)[frames] for name in FRAME_ARRAYS))
        return scale(observation) if scale else observation

    ids = episodes.descriptor_ids
    batch = Batch(
        observation=observe(here),
        action=episodes.actions[rows],
        reward=episodes.rewards[rows] * np.float32(factor),
        next_observation=observe(here + 1),
        terminated=episodes.terminated[rows].astype(np.float32),
    )
    if ids is None:
        return batch
    return batch._replace(descriptor_ids=ids[here], next_descriptor_ids=ids[here + 1])
