"""Vectors of N robots by component, so that one formula serves many robots and also a single one.

The K components of many robots are an array [K, N]; those of a single robot are a list of K Python
numbers. Arithmetic rounds both alike, so results have the same bits. But a NumPy call takes twenty
times as long as the arithmetic of one number.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

Component = Any
"""Shape [N], or a number. A number also stands for N equal ones."""
Components = Any
"""Shape [K, N], or a list of K numbers."""


def split_components(vectors: Shaped[np.ndarray, "N K"]) -> Components:
    """The components of N vectors, a copy."""
    return vectors[0].tolist() if len(vectors) == 1 else vectors.T.copy()


def join_components(components: Components, count: int) -> Float[np.ndarray, "N K"]:
    """N vectors as a new array; N is `count`."""
    if count == 1:
        return np.array([components], float)
    if isinstance(components, np.ndarray):
        return components.T.copy()
    vectors = np.empty((count, len(components)))
    for index, component in enumerate(components):
        vectors[:, index] = component
    return vectors


def set_to_zero(components: Components, mask: Bool[np.ndarray, "N"]) -> Components:
    """The components with zeros for the robots in `mask`."""
    if isinstance(components, list):
        return [0.0] * len(components) if mask[0] else components
    return np.where(mask, 0.0, components)


def for_each(formula: Callable[..., Component], *components: Components) -> Components:
    """A formula of single components, of each."""
    if isinstance(components[0], list):
        return list(map(formula, *components))
    return formula(*components)


def sum_of_each(
    formula: Callable[..., tuple[Component, ...]], *components: Components
) -> Sequence[Component]:
    """The sums of what a formula gives of each, added in their order for any N."""
    if isinstance(components[0], list):
        return [reduce(add, parts) for parts in zip(*map(formula, *components), strict=True)]
    return [np.add.accumulate(parts)[-1] for parts in formula(*components)]


def at_least(low: float, x: Component) -> Component:
    """The larger of a limit and x."""
    return np.maximum(x, low) if isinstance(x, np.ndarray) else max(x, low)


def within(limit: float, x: Component) -> Component:
    """x, but the limit or its negative where x is beyond them."""
    if isinstance(x, np.ndarray):
        return np.minimum(np.maximum(x, -limit), limit)
    return min(max(x, -limit), limit)


def total(components: Iterable[Component]) -> Component:
    """The sum, added in the given order; that of `sum` depends on Python's version."""
    return reduce(add, components, 0.0)


def any_of(flags: Iterable[Component]) -> Component:
    """1 where any of the flags is 1, else 0."""
    return within(1.0, total(flags))


def largest(components: Components) -> Component:
    """The largest absolute value."""
    if isinstance(components, list):
        return max(map(abs, components))
    return np.abs(components).max(axis=0)
