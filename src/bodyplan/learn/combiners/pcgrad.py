"""Gradient surgery (Yu et al. 2020, arXiv 2001.06782, Algorithm 1): PCGrad.

Each robot's gradient drops, for each other robot in random order, the part that points against that
robot's gradient. The step goes along the mean of what is left: where no two gradients conflict, it
is the pooled one. (The paper sums; the mean keeps the scale that the gradient clip was chosen for.)
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from bodyplan.learn.combiners.gradient_surgery import GradientSurgery


@dataclass(frozen=True, kw_only=True)
class PCGrad(GradientSurgery):
    """No hyperparameters."""

    def weigh(self, gram: Float[Array, "R R"], key: PRNGKeyArray) -> Float[Array, "R"]:
        """The mean of the projected gradients."""
        return surgery(gram, random_orders(key, len(gram)))


def random_orders(key: PRNGKeyArray, robots: int) -> Int[Array, "R R"]:
    """For each robot an order of all robots, its own."""
    keys = jax.random.split(key, robots)
    return jax.vmap(lambda own: jax.random.permutation(own, robots))(keys)


def surgery(gram: Float[Array, "R R"], orders: Int[Array, "R R"]) -> Float[Array, "R"]:
    """The weights of the gradients in the mean of the projected ones.

    A projected gradient is a sum of original ones, and is known by their weights in it; its inner
    products follow from `gram`. It is held against other gradients as they were before surgery.

    Args:
        gram: inner products of the robots' gradients.
        orders: in row i the robots in the order that gradient i meets them, i itself included,
            which has no effect.
    """
    robots = jnp.arange(len(gram))
    squares = jnp.maximum(jnp.diag(gram), jnp.finfo(gram.dtype).tiny)

    def meet(
        weights: Float[Array, "R R"], others: Int[Array, "R"]
    ) -> tuple[Float[Array, "R R"], None]:
        """All robots' projections go one robot further, each to the next of its own order."""
        along = jnp.sum(weights * gram[others], axis=1)
        excess = jnp.where(others == robots, 0.0, jnp.minimum(along, 0.0))
        return weights.at[robots, others].add(-excess / squares[others]), None

    weights, _ = jax.lax.scan(meet, jnp.eye(len(gram), dtype=gram.dtype), orders.T)
    return weights.mean(axis=0)
