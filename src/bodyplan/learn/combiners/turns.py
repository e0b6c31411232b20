"""Groups one after another, in an order drawn anew each time, as one compiled program."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

Carry = TypeVar("Carry")
Told = TypeVar("Told")
Robots = tuple[int, ...]


def take_turns(
    key: PRNGKeyArray,
    groups: Sequence[Robots],
    carry: Carry,
    step: Callable[[Robots, Carry], tuple[Carry, Told]],
) -> tuple[Carry, Told]:
    """Let each group step once; what the steps tell is added up.

    So a step tells of its own robots in their places, and zero of all others.
    """
    branches = [partial(step, robots) for robots in groups]

    def turn(carry: Carry, group: Array) -> tuple[Carry, Told]:
        return jax.lax.switch(group, branches, carry)

    order = jax.random.permutation(key, len(groups))
    carry, told = jax.lax.scan(turn, carry, order)
    return carry, jax.tree.map(lambda values: values.sum(axis=0), told)


def in_places(
    values: dict[str, Float[Array, "G"]], robots: Robots, count: int
) -> dict[str, Float[Array, "R"]]:
    """A group's numbers in the places of its robots among `count`, zero elsewhere."""
    places = jnp.array(robots)
    return {name: jnp.zeros(count).at[places].set(own) for name, own in values.items()}
