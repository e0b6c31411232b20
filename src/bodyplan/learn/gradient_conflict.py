"""Gradient conflict: inner products of robots' actor gradients, measured during training.

A robot's gradient is that of its own mean actor loss, over its part of the batch, with respect to
all of the actor's parameters, before clipping and before Adam (Abe et al., arXiv 2602.18025,
section 5).
"""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import numpy as np
from jaxtyping import Array, Float

from bodyplan.learn.combiners.gradient_surgery import robot_gradients
from bodyplan.learn.compilation import compile_program
from bodyplan.learn.data.batch_loader import MEASURING, BatchLoader
from bodyplan.learn.data.transitions import PackedTransitions, RobotTable
from bodyplan.learn.learner import Learner, LearnerState, Numbers


class ConflictMeter:
    """Measures the inner products of robots' gradients on batches that training does not use."""

    def __init__(self, learner: Learner, numbers: Numbers, loader: BatchLoader) -> None:
        """Nothing is compiled yet."""
        self._learner, self._numbers, self._loader = learner, numbers, loader
        self._program: Callable[..., Float[Array, ...]] | None = None

    def __call__(
        self, state: LearnerState, moment: int | None = None
    ) -> Float[np.ndarray, "*seeds R R"]:
        """The Gram matrix of the robots' gradients; where several seeds train, one for each.

        Args:
            state: gives the networks.
            moment: decides the batch, with the state's key; the updates done where not given.
        """
        key = np.array(state.key)
        moment = int(state.update) if moment is None else moment
        packed = self._loader.batch(key, moment, MEASURING)
        arguments = state, self._numbers, self._loader.table, packed
        if self._program is None:
            program = self._learner.over_seeds_and_devices(
                partial(gradient_gram, self._learner), state, self._numbers, packed, 0
            )
            self._program = compile_program(jax.jit(program).lower(*arguments))
        return np.asarray(self._program(*arguments))


def gradient_gram(
    learner: Learner,
    state: LearnerState,
    numbers: Numbers,
    table: RobotTable,
    packed: Sequence[PackedTransitions],
) -> Float[Array, "R R"]:
    """Inner products of the robots' actor gradients on a batch.

    Args:
        learner: gives the losses.
        state: gives the networks.
        numbers: the learner's hyperparameters.
        table: the robots.
        packed: the batch.
    """
    algorithm = learner.with_numbers(numbers).algorithm
    policy, critic = state.actor.policy, state.critic
    batch = table.unpack(packed)
    noise = jax.random.fold_in(jax.random.fold_in(state.key, state.update), MEASURING)
    critic_key, loss_key = jax.random.split(noise)
    _, aux, _ = algorithm.critic_update(critic, policy, batch, critic_key)
    return robot_gradients(algorithm, policy, critic, batch._replace(aux=aux), loss_key).gram
