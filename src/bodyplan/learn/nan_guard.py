"""NaN guard: training stops before a NaN or infinity reaches a checkpoint, and says where.

It keeps what helps to find the cause: the robots, the update, and each robot's batch.
"""

from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from bodyplan.envs.walking_task import Observation
from bodyplan.learn.data.batch_loader import BatchLoader, Key
from bodyplan.learn.distributed import is_first_host
from bodyplan.learn.learner import IntervalReport, Learner, LearnerState
from bodyplan.learn.run import CHECKPOINTS
from bodyplan.storage import write_tensors


class TrainingDiverged(Exception):  # noqa: N818 (says what happened, not that it is an error)
    """A loss or a parameter became infinite or NaN; the last good checkpoint is kept."""


def require_finite(
    report: IntervalReport,
    learner: Learner,
    loader: BatchLoader,
    key: Key,
    update: int,
    folder: Path,
) -> None:
    """Stop where an interval's losses were not finite, and keep the batch that made them so.

    Args:
        report: of the interval.
        learner: what updated.
        loader: what read the batches.
        key: the run's; it says what was drawn.
        update: updates done before the interval.
        folder: the run's; takes `diverged_<update>.safetensors`.

    Raises:
        TrainingDiverged: naming the robots, the update and the file.
    """
    if report.finite.all():
        return
    iterations, hit = np.nonzero(~np.asarray(report.finite))
    first = int(iterations[0])
    robots = [int(robot) for robot in hit[iterations == first]]
    every = learner.algorithm.actor_every
    at = update + (first + 1) * every
    path = folder / f"diverged_{at}.safetensors"
    if is_first_host():
        write_tensors(path, _batches(loader, key, range(at - every, at), robots), {})
    names = ", ".join(loader.source.robots[robot] for robot in robots)
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


def _batches(
    loader: BatchLoader, key: Key, updates: range, robots: Sequence[int]
) -> dict[str, np.ndarray]:
    """An iteration's batches of these robots, an update after another, and where they are."""
    rows = [loader.rows(key, update) for update in updates]
    batches = [loader.table.unpack(loader.batch(key, update)) for update in updates]
    tensors: dict[str, np.ndarray] = {}
    for robot in robots:
        name, own = loader.source.robots[robot], [batch.robot(robot) for batch in batches]
        tensors[f"{name}.step"] = np.stack([each[robot] for each in rows])
        for part in ("observation", "next_observation"):
            for kind in Observation._fields:
                values = [getattr(getattr(each, part), kind) for each in own]
                tensors[f"{name}.{part}.{kind}"] = np.stack(values)
        for part in ("action", "reward", "terminated"):
            tensors[f"{name}.{part}"] = np.stack([getattr(each, part) for each in own])
    return tensors


def _advice(folder: Path) -> str:
    return (
        "look at the data with `bodyplan data verify` and try a lower learning rate; "
        f"{folder / CHECKPOINTS} keeps the last good checkpoint"
    )
