"""NaN guard: training stops before a NaN or infinity reaches a checkpoint, and says where.

It keeps what helps to find the cause: the robots, the update, and each robot's batch.
"""

from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from bodyplan.learn.data.host_batches import HostData
from bodyplan.learn.data.training_data import TrainingData
from bodyplan.learn.distributed import is_first_host
from bodyplan.learn.learner import IntervalReport, Learner, LearnerState
from bodyplan.learn.run import CHECKPOINTS
from bodyplan.storage import write_tensors


class TrainingDiverged(Exception):  # noqa: N818 (says what happened, not that it is an error)
    """A loss or a parameter became infinite or NaN; the last good checkpoint is kept."""


def require_finite(
    report: IntervalReport,
    learner: Learner,
    data: TrainingData,
    key: np.ndarray,
    update: int,
    length: int,
    folder: Path,
) -> None:
    """Stop where an interval's losses were not finite, and keep the batch that made them so.

    Args:
        report: of the interval.
        learner: what drew the batches.
        data: what they were drawn from.
        key: the state's before the interval; it says what was drawn.
        update: updates done before the interval.
        length: updates in it.
        folder: the run's; takes `diverged_<update>.safetensors`.

    Raises:
        TrainingDiverged: naming the robots, the update and the file.
    """
    if report.finite.all():
        return
    iterations, hit = np.nonzero(~np.asarray(report.finite))
    first = int(iterations[0])
    robots = [int(robot) for robot in hit[iterations == first]]
    at = update + (first + 1) * learner.algorithm.actor_every
    path = folder / f"diverged_{at}.safetensors"
    if is_first_host():
        write_tensors(path, _batch(learner, data, key, length, first, robots), {})
    names = ", ".join(data.robots[robot] for robot in robots)
    raise TrainingDiverged(
        f"the losses of {names} stopped being finite at update {at}; {path.name} in {folder} has "
        f"their batch; {_advice(folder)}"
    )


def require_finite_state(state: LearnerState, folder: Path) -> None:
    """The same for parameters: the last update's losses say nothing of its gradients."""
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state)):
        raise TrainingDiverged(
            f"parameters stopped being finite by update {int(state.update)}; {_advice(folder)}"
        )


def _batch(
    learner: Learner,
    data: TrainingData,
    key: np.ndarray,
    length: int,
    iteration: int,
    robots: Sequence[int],
) -> dict[str, np.ndarray]:
    """An iteration's batches of these robots, and where in the data they are."""
    host = HostData(data)
    _, rows = learner.draw_rows(host.sizes, jax.numpy.asarray(key), length)
    drawn = [np.asarray(own)[iteration] for own in rows]
    batches = host.read(drawn)
    tensors: dict[str, np.ndarray] = {}
    for robot in robots:
        name, batch = data.robots[robot], batches[robot]
        tensors[f"{name}.step"] = drawn[robot]
        for part in ("observation", "next_observation"):
            for kind, values in getattr(batch, part)._asdict().items():
                tensors[f"{name}.{part}.{kind}"] = np.asarray(values)
        for part in ("action", "reward", "terminated"):
            tensors[f"{name}.{part}"] = np.asarray(getattr(batch, part))
    return tensors


def _advice(folder: Path) -> str:
    return (
        "look at the data with `bodyplan data verify` and try a lower learning rate; "
        f"{folder / CHECKPOINTS} keeps the last good checkpoint"
    )
