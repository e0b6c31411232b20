"""Affinity propagation (Frey and Dueck, Science 2007), as scikit-learn has it, but compiled.

Points elect exemplars among themselves by passing messages; how many clusters there are comes out
of it. Arrays keep their shapes, so that a training step can regroup robots as it goes.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

_DAMPING = 0.5
_MOST = 200
_NOISE = 1e-5
"""Relative; scikit-learn's is of rounding's size, which single precision too often loses."""


class Messages(NamedTuple):
    """The election as it stands."""

    availability: Float[Array, "R R"]
    responsibility: Float[Array, "R R"]
    exemplars: Bool[Array, "R"]
    steady: Int[Array, ""]
    """Rounds in a row, the last included, with the same exemplars."""
    rounds: Int[Array, ""]


def affinity_propagation(
    similarity: Float[Array, "R R"], steady_rounds: int = 50
) -> tuple[Int[Array, "R"], Bool[Array, ""]]:
    """Clusters points by their similarity, higher for more alike.

    Args:
        similarity: symmetric or not; its median takes the diagonal's place (the preference).
        steady_rounds: rounds without a change that make an election final.

    Returns:
        Each point's exemplar, and whether the election became final (the labels mean nothing
        otherwise).
    """
    count = len(similarity)
    diagonal = jnp.eye(count, dtype=bool)
    similarity = jnp.where(diagonal, jnp.median(similarity), similarity)
    # Of two points that suit each other equally well as exemplars, a little noise chooses one.
    noise = jax.random.normal(jax.random.PRNGKey(0), similarity.shape)
    similarity *= 1.0 + _NOISE * noise
    nothing, none = jnp.zeros_like(similarity), jnp.zeros(count, bool)

    def final(held: Messages) -> Bool[Array, ""]:
        long = (held.steady >= steady_rounds) & (held.rounds > steady_rounds)
        return long & held.exemplars.any()

    def go_on(held: Messages) -> Bool[Array, ""]:
        return (held.rounds < _MOST) & ~final(held)

    start = Messages(nothing, nothing, none, jnp.int32(0), jnp.int32(0))
    held = jax.lax.while_loop(go_on, lambda held: _round(held, similarity), start)
    labels = _assign(similarity, held.exemplars)
    same = labels[:, None] == labels
    # Each cluster's exemplar becomes the one most similar to all of it.
    fit = jnp.where(same, similarity, 0.0).sum(axis=0)
    best = jnp.argmax(jnp.where(same, fit, -jnp.inf), axis=1)
    return _assign(similarity, best == jnp.arange(count)), final(held)


def _round(held: Messages, similarity: Float[Array, "R R"]) -> Messages:
    """Responsibilities, then availabilities, each half old and half new."""
    count = len(similarity)
    diagonal = jnp.eye(count, dtype=bool)
    offers = held.availability + similarity
    first = jnp.argmax(offers, axis=1)
    at_first = jnp.arange(count) == first[:, None]
    second = jnp.where(at_first, -jnp.inf, offers).max(axis=1, keepdims=True)
    rival = jnp.where(at_first, second, offers.max(axis=1, keepdims=True))
    responsibility = _damped(held.responsibility, similarity - rival)
    support = jnp.where(diagonal, responsibility, jnp.maximum(responsibility, 0.0))
    others = support.sum(axis=0) - support
    availability = _damped(held.availability, jnp.where(diagonal, others, jnp.minimum(others, 0.0)))
    exemplars = jnp.diag(availability) + jnp.diag(responsibility) > 0
    unchanged = (exemplars == held.exemplars).all()
    steady = jnp.where(unchanged, held.steady + 1, 1)
    return Messages(availability, responsibility, exemplars, steady, held.rounds + 1)


def _damped(old: Float[Array, "R R"], new: Float[Array, "R R"]) -> Float[Array, "R R"]:
    return _DAMPING * old + (1.0 - _DAMPING) * new


def _assign(similarity: Float[Array, "R R"], exemplars: Bool[Array, "R"]) -> Int[Array, "R"]:
    """Each point to the exemplar most like it, exemplars to themselves."""
    nearest = jnp.argmax(jnp.where(exemplars, similarity, -jnp.inf), axis=1)
    return jnp.where(exemplars, jnp.arange(len(similarity)), nearest).astype(jnp.int32)
