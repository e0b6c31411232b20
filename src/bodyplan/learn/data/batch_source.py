"""How intervals of training come by their data: from the device, or from the host while it works.

`Resident` has all transitions on the device and samples them inside the compiled program.
`Streamed` knows ahead of time which steps will be drawn, because the key alone decides it: a thread
reads those of the next dispatch from disk while the device is busy with the present one. Both give
the same numbers.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt32

from bodyplan.learn.data.device_batches import DeviceData
from bodyplan.learn.data.host_batches import HostData
from bodyplan.learn.gradient_conflict import compile_gram, measured_rows
from bodyplan.learn.learner import IntervalReport, Learner, LearnerState, PreparedBatches

CHUNK_BYTES = 2**27
"""Of one dispatch's batches; two dispatches' are on the device at a time."""

Advance = Callable[
    [LearnerState, DeviceData | PreparedBatches], tuple[LearnerState, IntervalReport]
]
Measure = Callable[[LearnerState, DeviceData | PreparedBatches], Array]
Key = UInt32[np.ndarray, "2"]


@runtime_checkable
class Dispatch(Protocol):
    """What the loop needs to go on."""

    def prepare(self, state: LearnerState, updates: int) -> None:
        """Compile for intervals of this length, where not yet done."""
        ...

    def advance(self, state: LearnerState, updates: int) -> tuple[LearnerState, IntervalReport]:
        """One interval; the state's memory is taken over."""
        ...

    def gram(self, state: LearnerState) -> Array:
        """Inner products `[R, R]` of robots' gradients, on a batch of the measurement's own."""
        ...


class Resident:
    """All data on the device; an interval is one dispatch."""

    def __init__(self, learner: Learner, mixture: DeviceData) -> None:
        self._learner, self._mixture = learner, mixture
        self._programs: dict[int, Advance] = {}
        self._measure: Measure | None = None

    def prepare(self, state: LearnerState, updates: int) -> None:
        if updates not in self._programs:
            self._programs[updates] = self._learner.compile(state, self._mixture, updates)

    def advance(self, state: LearnerState, updates: int) -> tuple[LearnerState, IntervalReport]:
        return self._programs[updates](state, self._mixture)

    def gram(self, state: LearnerState) -> Array:
        if self._measure is None:
            self._measure = compile_gram(self._learner, state, self._mixture)
        return self._measure(state, self._mixture)


class _Fetch(NamedTuple):
    """A dispatch's batches, on their way."""

    key: bytes
    """Of the state that they are for."""
    updates: int
    coming: Future[tuple[Key, PreparedBatches]]
    """Ends with the key of the state after them."""


class Streamed:
    """Data on the host; an interval is as many dispatches as keep the batches small."""

    def __init__(self, learner: Learner, stream: HostData) -> None:
        self._learner, self._stream = learner, stream
        self._programs: dict[int, Advance] = {}
        self._draws: dict[int, Callable[..., tuple[Array, tuple[Array, ...]]]] = {}
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._ahead: _Fetch | None = None
        self._measure: Measure | None = None

    def prepare(self, state: LearnerState, updates: int) -> None:
        length = self._length(updates)
        if length not in self._programs:
            supply = self._fetch(np.array(state.key), length).coming.result()[1]
            self._programs[length] = self._learner.compile(state, supply, length)

    def advance(self, state: LearnerState, updates: int) -> tuple[LearnerState, IntervalReport]:
        length, key = self._length(updates), np.array(state.key)
        reports: list[IntervalReport] = []
        for _ in range(updates // length):
            key, supply = self._fetch(key, length).coming.result()
            self._fetch(key, length)
            state, report = self._programs[length](state, supply)
            if reports:  # the reader may be one dispatch ahead, not more
                jax.block_until_ready(reports[-1])
            reports.append(report)
        return state, _joined(reports)

    def gram(self, state: LearnerState) -> Array:
        learner, stream = self._learner, self._stream
        rows = measured_rows(learner, jnp.asarray(np.array(state.key)), stream.sizes)
        batches = stream.read([np.asarray(own) for own in rows])
        supply = jax.device_put(PreparedBatches(stream.data.descriptors, batches))
        if self._measure is None:
            self._measure = compile_gram(learner, state, supply)
        return self._measure(state, supply)

    def _length(self, updates: int) -> int:
        """Updates of one dispatch: a divisor of the interval's, in whole turns."""
        every = self._learner.algorithm.actor_every
        turns = updates // every
        most = CHUNK_BYTES // (self._stream.step_bytes * self._learner.batch_size * every)
        return every * max(n for n in range(1, turns + 1) if turns % n == 0 and n <= max(most, 1))

    def _fetch(self, key: Key, updates: int) -> _Fetch:
        """The batches that a state of this key needs, being read already or from now on."""
        ahead = self._ahead
        if ahead is None or (ahead.key, ahead.updates) != (key.tobytes(), updates):
            ahead = _Fetch(key.tobytes(), updates, self._reader.submit(self._read, key, updates))
            self._ahead = ahead
        return ahead

    def _read(self, key: Key, updates: int) -> tuple[Key, PreparedBatches]:
        if updates not in self._draws:
            draws = partial(self._learner.draws, sizes=self._stream.sizes, updates=updates)
            self._draws[updates] = jax.jit(draws)
        # On the CPU, so that it need not wait until the device has done what it is at.
        after, rows = self._draws[updates](jax.device_put(key, jax.devices("cpu")[0]))
        batches = self._stream.read([np.asarray(own) for own in rows])
        return np.asarray(after), jax.device_put(
            PreparedBatches(self._stream.data.descriptors, batches)
        )


def _joined(reports: list[IntervalReport]) -> IntervalReport:
    """The report of all dispatches of an interval, which are equally long."""

    def mean(*values: Array) -> Array:
        return jnp.stack(values).mean(axis=0)

    metrics = jax.tree.map(mean, *(report.metrics for report in reports))
    return IntervalReport(metrics, jnp.concatenate([report.finite for report in reports]))
