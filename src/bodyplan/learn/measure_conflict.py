"""Measures the gradient conflict of a finished run on any data, without training on them."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from bodyplan.errors import BodyplanError
from bodyplan.learn.conflicts import Conflicts
from bodyplan.learn.finetune import finetune_config
from bodyplan.learn.gradient_conflict import ConflictMeter
from bodyplan.learn.run import Run
from bodyplan.learn.training_setup import TrainingSetup


def measure_conflicts(
    run: Run,
    data: str | Path | None = None,
    batch_size: int | None = None,
    batches: int = 16,
    seed: int = 0,
) -> Conflicts:
    """Conflict between the robots' gradients of a finished run's actor, on any data.

    Args:
        run: the run; its networks are those after its last update.
        data: folder of a dataset of the same robots; the run's own where not given.
        batch_size: transitions of each robot; as many as in training where not given.
        batches: measurements, each on a batch of its own.
        seed: decides the batches.

    Raises:
        BodyplanError: the run is not finished, the data are not of its robots, or a number is
            below 1.
    """
    robots = run.robots
    folder = run.config["data"] if data is None else data
    config = finetune_config(run, robots, folder, run.path)
    config = replace(config, batch_size=batch_size or config.batch_size, devices=1)
    if batches < 1:
        raise BodyplanError(f"batches is {batches}; give 1 or more")
    setup = TrainingSetup.of(config)
    state = setup.initial_state(seed)
    measure = ConflictMeter(setup.learner, setup.learner.numbers, setup.loader())
    grams = np.stack([measure(state, moment) for moment in range(batches)])
    updates = np.full(batches, int(run.config["updates"]))
    return Conflicts.of(setup.dataset.robots, updates, grams)
