"""Whose samples they are: those of one body, or of specimens that differ from sample to sample.

Networks compute what depends on descriptions alone once for each body. Where a robot's data hold
K > 1 descriptor sets there are two ways, chosen by size when the program is compiled: K sets once
each, every sample then taking what belongs to it; or, where a batch is smaller than K, the sets of
its samples alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from bodyplan.robots.descriptors import RobotDescriptor


class BodyBatch(NamedTuple):
    """The bodies of one robot's samples where they differ."""

    sets: RobotDescriptor
    """Descriptor sets on a leading axis."""
    ids: Int[Array, "batch"] | None
    """The set of each sample; None where each has its own, in the same order."""

    def of_samples(self, values: Float[Array, "sets ..."]) -> Float[Array, "batch ..."]:
        """What was computed of each set, sample by sample."""
        return values if self.ids is None else _pick(values, self.ids)


Body = RobotDescriptor | BodyBatch
"""One body for all samples, or theirs."""


def bodies_of(
    descriptors: Sequence[RobotDescriptor], ids: Sequence[Int[Array, "batch"] | None]
) -> tuple[Body, ...]:
    """The bodies behind a batch, one entry a robot.

    Args:
        descriptors: a set, or a table of K with a leading axis.
        ids: each sample's place in that table; None where there is one set.
    """
    return tuple(
        own if places is None else _specimens(own, places)
        for own, places in zip(descriptors, ids, strict=True)
    )


def joint_rows(body: Body) -> Float[Array, "rows 23"]:
    """Descriptions of joints, those of all sets on one axis."""
    return _rows(body.sets.joints if isinstance(body, BodyBatch) else body.joints)


def foot_rows(body: Body) -> Float[Array, "rows 10"]:
    """Descriptions of feet, those of all sets on one axis."""
    return _rows(body.sets.feet if isinstance(body, BodyBatch) else body.feet)


def of_elements(body: Body, rows: Float[Array, "rows ..."]) -> Float[Array, "... elements _"]:
    """What was computed of each row; where samples differ, on an axis of samples before."""
    if not isinstance(body, BodyBatch):
        return rows
    count = len(body.sets.context)
    return body.of_samples(rows.reshape(count, len(rows) // count, *rows.shape[1:]))


def _specimens(table: RobotDescriptor, ids: Int[Array, "batch"]) -> BodyBatch:
    if len(table.context) <= len(ids):
        return BodyBatch(table, ids)
    return BodyBatch(RobotDescriptor._make(_pick(jnp.asarray(part), ids) for part in table), None)


def _pick(values: Float[Array, "sets ..."], ids: Int[Array, "batch"]) -> Float[Array, "batch ..."]:
    return values.at[ids].get(mode="promise_in_bounds")


def _rows(descriptions: ArrayLike) -> Float[Array, "rows width"]:
    table = jnp.asarray(descriptions)
    return table.reshape(-1, table.shape[-1])
