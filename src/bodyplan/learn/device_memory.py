"""Memory of training: compared with the data before they are packed; its lack is explained."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax

from bodyplan.datasets.format import FRAME_ARRAYS
from bodyplan.errors import BodyplanError
from bodyplan.learn.data.training_data import TrainingData
from bodyplan.memory import require_memory

_FIX = "give data_on host, fewer robots, a smaller batch_size or a smaller network"


def require_room(data: TrainingData) -> None:
    """Refuses data that neither this process nor its device can hold, before they are packed.

    Raises:
        BodyplanError: memory does not suffice.
    """
    packed = sum(
        getattr(episodes, name).nbytes
        for episodes in data.episodes
        for name in (*FRAME_ARRAYS, "actions", "rewards")
    )
    require_memory(packed, "the data of this training", _FIX)
    free = _free_on_device()
    if free is not None and packed > free:
        raise BodyplanError(
            f"the data of this training need {packed / 2**30:.1f} GiB on the device and "
            f"{free / 2**30:.1f} GiB are free; {_FIX}"
        )


@contextmanager
def enough_memory() -> Iterator[None]:
    """Errors of a lack of memory in the block as a sentence.

    Raises:
        BodyplanError: memory of this process or of a device does not suffice.
    """
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        reason = str(error).splitlines()[0] if str(error) else "none is left"
        raise BodyplanError(
            f"memory does not suffice for this training ({reason}); {_FIX}"
        ) from error


def _free_on_device() -> int | None:
    """Bytes; None where a device does not say, as CPUs do not."""
    found = jax.local_devices()[0].memory_stats() or {}
    limit = found.get("bytes_limit")
    return None if limit is None else int(limit) - int(found.get("bytes_in_use", 0))
