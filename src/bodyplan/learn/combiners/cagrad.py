"""Conflict-averse gradient descent (Liu et al. 2021, arXiv 2110.14048): CAGrad.

Among all steps d within c |g0| of the mean gradient g0, the one that helps the worst-off robot
most: max over d of min over robots of g_i . d. Its dual (their equation 3) is convex and as small
as there are robots: over weights w on the simplex, with g_w = sum w_i g_i, minimise
g_w . g0 + c |g0| |g_w|; then d = g0 + c |g0| g_w / |g_w|.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from bodyplan.bounds import FromZero
from bodyplan.learn.combiners.gradient_surgery import GradientSurgery

_ROUNDS = 80
_SHRINKING = 0.85
_SMOOTHING = 1e-3


@dataclass(frozen=True, kw_only=True)
class CAGrad(GradientSurgery):
    """Hyperparameters."""

    c: FromZero = 0.5
    """How far the step may be from the mean gradient, as a share of its length; 0 is pooled."""
    unscaled: bool = False
    """Leave out what the authors' code has: the step divided by 1 + c^2."""

    def weigh(self, gram: Float[Array, "R R"], key: PRNGKeyArray) -> Float[Array, "R"]:
        """The conflict-averse direction."""
        weights = avert(gram, self.c)
        return weights if self.unscaled else weights / (1.0 + self.c**2)


def avert(gram: Float[Array, "R R"], c: float) -> Float[Array, "R"]:
    """The weights of the gradients in the conflict-averse direction.

    An interior-point method: w starts at the simplex's centre, held off its faces by a logarithmic
    barrier that fades. In place of |g_w| each round has the parabola that touches it there from
    above, so that no round overshoots, and |g_w| is smoothed by a thousandth of the gradients' own
    length. Hence the direction is right also where some mix of the gradients vanishes and
    g_w / |g_w| would be lost in rounding.
    """
    count = len(gram)
    size = jnp.diag(gram).mean()
    products = gram / jnp.where(size > 0.0, size, 1.0)
    along = products.mean(axis=1)
    radius = c * jnp.sqrt(jnp.maximum(along.mean(), 0.0))

    def length(weights: Float[Array, "R"]) -> Float[Array, ""]:
        square = jnp.maximum(weights @ products @ weights, 0.0)
        return jnp.sqrt(square + _SMOOTHING**2)

    def improve(
        weights: Float[Array, "R"], barrier: Float[Array, ""]
    ) -> tuple[Float[Array, "R"], None]:
        """A Newton step in the weights' relative changes, which keeps their sum."""
        pull = radius / length(weights)
        slope = weights * (along + pull * products @ weights) - barrier
        bend = pull * weights[:, None] * products * weights + barrier * jnp.eye(count)
        to_slope, to_weights = jnp.linalg.solve(bend, jnp.stack([slope, weights], axis=1)).T
        change = to_weights * (weights @ to_slope) / (weights @ to_weights) - to_slope
        change /= jnp.maximum(1.0, -change.min() / 0.9)
        weights = weights * (1.0 + change)
        return weights / weights.sum(), None

    centre = jnp.full(count, 1.0 / count, gram.dtype)
    barriers = 0.1 * _SHRINKING ** jnp.arange(_ROUNDS, dtype=gram.dtype)
    weights, _ = jax.lax.scan(improve, centre, barriers)
    return 1.0 / count + radius / length(weights) * weights
