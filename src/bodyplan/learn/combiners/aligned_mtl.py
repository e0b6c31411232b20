"""Aligned-MTL (Senushkin et al., CVPR 2023, Algorithm 1): gradients made orthogonal and alike.

The matrix of all robots' gradients is replaced by the nearest one whose rows are orthogonal and of
one length (its singular vectors with equal singular values): then no robot's step undoes another's,
and none dominates. The step goes along the mean of its rows.
"""

from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from bodyplan.learn.combiners.gradient_surgery import GradientSurgery

Scale = Literal["min", "median", "rmse"]


@dataclass(frozen=True, kw_only=True)
class AlignedMTL(GradientSurgery):
    """Hyperparameters; the default is the paper's."""

    scale: Scale = "min"
    """What all singular values become: the least of them, their median, or their mean square's root
    (the authors' code)."""

    def weigh(self, gram: Float[Array, "R R"], key: PRNGKeyArray) -> Float[Array, "R"]:
        """The mean of the aligned gradients."""
        return align(gram, self.scale)


def align(gram: Float[Array, "R R"], scale: Scale = "min") -> Float[Array, "R"]:
    """The weights of the gradients in the mean of the aligned ones.

    Directions in which the gradients do not reach, up to rounding, stay out; gradients that are all
    zero weigh alike.
    """
    count = len(gram)
    values, vectors = jnp.linalg.eigh(gram)
    kept = values > values.max() * count * jnp.finfo(gram.dtype).eps
    rank = kept.sum()
    # Ascending, so what is kept comes last; of an even number the lower median.
    chosen = {
        "min": values[count - rank],
        "median": values[count - rank + (rank - 1) // 2],
        "rmse": jnp.where(kept, values, 0.0).sum() / rank,
    }[scale]
    ratios = jnp.where(kept, jnp.sqrt(chosen / jnp.where(kept, values, 1.0)), 0.0)
    aligned = (vectors * ratios) @ vectors.mean(axis=0)
    return jnp.where(rank > 0, aligned, 1.0 / count)
