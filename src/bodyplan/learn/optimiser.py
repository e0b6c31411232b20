"""How parameters step: Adam behind a clip on the gradient's global norm."""

from typing import TypeVar

import jax
import optax

Parameters = TypeVar("Parameters")


def clipped_adam(
    learning_rate: float, gradient_clip: float, decay_steps: int = 0
) -> optax.GradientTransformation:
    """Adam whose gradient is first scaled down to a global norm of at most `gradient_clip`.

    The rate falls to 0 as a cosine within `decay_steps`, or stays where none are given.

    It works on all parameters as one vector: few large operations instead of many small ones, which
    are slow to run on a GPU and slow to compile on a CPU.
    """
    rate = optax.cosine_decay_schedule(learning_rate, decay_steps) if decay_steps else learning_rate
    adam = optax.chain(optax.clip_by_global_norm(gradient_clip), optax.adam(rate))
    flat = optax.flatten(adam)
    return optax.GradientTransformation(jax.jit(flat.init), flat.update)


def descend(
    optimiser: optax.GradientTransformation,
    parameters: Parameters,
    gradient: Parameters,
    state: optax.OptState,
) -> tuple[Parameters, optax.OptState]:
    """One step: the new parameters and the new optimiser state."""
    updates, state = optimiser.update(gradient, state, parameters)
    return optax.apply_updates(parameters, updates), state
