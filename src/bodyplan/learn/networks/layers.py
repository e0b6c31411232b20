"""Layers as Flax defines them, because URMA's published sizes and initial values are Flax's.

Initial values are drawn with NumPy: compiling JAX's own initialisers takes longer than a short
training run.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import ndtri

from bodyplan.learn.data.batches import varying

Initialiser = Callable[[np.random.Generator, int, int], np.ndarray]
"""A weight `[inputs, outputs]`."""

_TRUNCATED_STD = 0.87962566103423978
"""Standard deviation of a standard normal cut at two."""


def lecun_normal(rng: np.random.Generator, inputs: int, outputs: int) -> np.ndarray:
    """A normal of variance 1 / inputs, cut at two standard deviations (Flax's default)."""
    uniform = rng.uniform(*_CUT, size=(inputs, outputs))
    return ndtri(uniform) / _TRUNCATED_STD / np.sqrt(inputs)


_CUT = (0.022750131948179195, 0.9772498680518208)
"""The normal distribution function at minus and plus two."""


def orthogonal(gain: float) -> Initialiser:
    """A random orthogonal matrix times `gain`, as URMA's cores and decoder start.

    By Gram-Schmidt without BLAS, so that the same seed gives the same bytes whatever the number of
    threads; twice, which is enough for full precision.
    """

    def draw(rng: np.random.Generator, inputs: int, outputs: int) -> np.ndarray:
        rows = rng.normal(size=(min(inputs, outputs), max(inputs, outputs)))
        for index, row in enumerate(rows):
            done = rows[:index]
            for _ in range(2):
                row -= np.einsum("i,ij->j", np.einsum("ij,j->i", done, row), done)
            row /= np.sqrt(np.einsum("j,j->", row, row))
        return gain * (rows.T if inputs >= outputs else rows)

    return draw


class ShapesOnly(np.random.Generator):
    """In place of a generator: layers then have shapes and types, and no numbers."""


class Dense(eqx.Module):
    """`x @ weight + bias` on the last axis; the bias starts at zero."""

    weight: Float[Array, "inputs outputs"]
    bias: Float[Array, "outputs"]

    def __init__(
        self,
        rng: np.random.Generator,
        inputs: int,
        outputs: int,
        weight: Initialiser = lecun_normal,
    ) -> None:
        if isinstance(rng, ShapesOnly):
            shapes = ((inputs, outputs), (outputs,))
            of_shape: Any = partial(jax.ShapeDtypeStruct, dtype=np.float32)
            self.weight, self.bias = map(of_shape, shapes)
            return
        self.weight = jax.device_put(weight(rng, inputs, outputs).astype(np.float32))
        self.bias = jax.device_put(np.zeros(outputs, np.float32))

    def __call__(self, x: Float[Array, "... inputs"]) -> Float[Array, "... outputs"]:
        flat = product(x.reshape(-1, x.shape[-1]), self.weight)
        return (flat + on_rows(self.bias, len(flat))).reshape(*x.shape[:-1], flat.shape[-1])


def product(
    x: Float[Array, "*robots samples inputs"], weight: Float[Array, "*robots inputs outputs"]
) -> Float[Array, "*robots samples outputs"]:
    """A matrix product with gradients in the forms that XLA's products on a CPU are quickest at.

    They have the smaller factor on the left. Of the others they read one factor by columns, which
    takes up to twice as long.
    """
    return _product(varying(x), varying(weight))


@jax.custom_vjp
def _product(x: Array, weight: Array) -> Array:
    return x @ weight


def _product_forward(x: Array, weight: Array) -> tuple[Array, tuple[Array, Array]]:
    return x @ weight, (x, weight)


def _product_backward(factors: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, weight = factors
    robots = tuple(range(x.ndim - 2))
    last, before = x.ndim - 1, x.ndim - 2

    def contract(left: Array, right: Array, axis: int) -> Array:
        return jax.lax.dot_general(left, right, (((axis,), (axis,)), (robots, robots)))

    if robots:
        of_x = _transposed(contract(weight, gradient, last))
    else:
        of_x = contract(gradient, weight, last)
    if x.shape[-1] <= gradient.shape[-1]:
        return of_x, contract(x, gradient, before)
    return of_x, _transposed(contract(gradient, x, before))


_product.defvjp(_product_forward, _product_backward)


def _transposed(matrices: Float[Array, "*robots rows columns"]) -> Array:
    return jax.lax.optimization_barrier(matrices).swapaxes(-1, -2)


def on_rows(vector: Float[Array, "width"], rows: int) -> Float[Array, "rows width"]:
    """A vector in every row; its gradient is a product with ones.

    For a sum of rows XLA compiles two or three kernels on a CPU, for a product none.
    """
    return _on_rows(varying(vector), rows)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _on_rows(vector: Array, rows: int) -> Array:
    return jnp.broadcast_to(vector, (rows, *vector.shape))


_on_rows.defvjp(
    lambda vector, rows: (_on_rows(vector, rows), None),
    lambda rows, _, gradient: (jnp.ones(rows, gradient.dtype) @ gradient,),
)


class LayerNorm(eqx.Module):
    """Normalisation over the last axis with a learned scale and shift."""

    scale: Float[Array, "width"]
    shift: Float[Array, "width"]

    def __init__(self, width: int) -> None:
        self.scale = jax.device_put(np.ones(width, np.float32))
        self.shift = jax.device_put(np.zeros(width, np.float32))

    def __call__(self, x: Float[Array, "... width"]) -> Float[Array, "... width"]:
        rows = x.reshape(-1, x.shape[-1])
        centred = rows - rows.mean(-1, keepdims=True)
        variance = jnp.square(centred).mean(-1, keepdims=True)
        normalised = centred * jax.lax.rsqrt(variance + 1e-6)
        scale, shift = on_rows(self.scale, len(rows)), on_rows(self.shift, len(rows))
        return (normalised * scale + shift).reshape(x.shape)


@jax.custom_jvp
def elu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The exponential linear unit; its derivative is read off its value.

    `jax.nn.elu` exponentiates again in the backward pass, a fifth of an update's time on a CPU.
    """
    return jnp.where(x > 0, x, jnp.exp(jnp.minimum(x, 0.0)) - 1.0)


elu.defjvps(lambda tangent, value, x: jnp.where(x > 0, tangent, tangent * (value + 1.0)))


def split(array: Array, lengths: Sequence[int], axis: int = 0) -> tuple[Array, ...]:
    """Cut an axis that holds all robots into one piece per robot."""
    return tuple(jnp.split(array, np.cumsum(lengths)[:-1], axis))
