"""Measures the gradient conflict of a finished run on any data, without training on them."""

from dataclasses import replace
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from bodyplan.errors import BodyplanError
from bodyplan.learn.compilation import compile_program
from bodyplan.learn.data.batches import DeviceData
from bodyplan.learn.finetune import finetune_config
from bodyplan.learn.gradient_conflict import Conflicts, gradient_gram
from bodyplan.learn.learner import LearnerState
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
    keys = jax.random.split(jax.random.PRNGKey(seed), batches)

    def measure(keys: PRNGKeyArray, state: LearnerState, data: DeviceData) -> Float[Array, "T R R"]:
        def one(key: PRNGKeyArray) -> Float[Array, "R R"]:
            return gradient_gram(
                setup.learner, eqx.tree_at(lambda state: state.key, state, key), data
            )

        return jax.lax.map(one, keys)

    arguments = keys, state, DeviceData.of(setup.data)
    grams = compile_program(jax.jit(measure).lower(*arguments))(*arguments)
    updates = np.full(batches, int(run.config["updates"]))
    return Conflicts.of(robots, updates, np.asarray(grams))
