"""Several seeds trained in parallel: their states are stacked for one compiled program.

They share data, groups and the order in which groups step; initial weights and batches differ. What
is the same for all seeds, the count of updates, stays one number.
"""

from collections.abc import Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from bodyplan.learn.learner import LearnerState

PyTreeT = TypeVar("PyTreeT", bound=PyTree)


def stack_seeds(states: Sequence[LearnerState]) -> LearnerState:
    """The states of all seeds; a single one is left as it is."""
    if len(states) == 1:
        return states[0]
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    return LearnerState(together.actor, together.critic, together.key, states[0].update)


def seed_state(state: LearnerState, seed: int, count: int) -> LearnerState:
    """The state of one seed among `count`."""
    if count == 1:
        return state
    own = seed_part((state.actor, state.critic, state.key), seed, count)
    return LearnerState(*own, state.update)


def seed_part(tree: PyTreeT, seed: int, count: int) -> PyTreeT:
    """One seed's part of what all have on a leading axis."""
    return tree if count == 1 else jax.tree.map(lambda leaf: leaf[seed], tree)
