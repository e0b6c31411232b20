"""What the nodes of body graphs are compared by: descriptors of one length, standardised.

The paper standardises the descriptors of joints and feet and gives the torso "a zero vector of the
same dimension" (arXiv 2602.18025, section 4.1). It does not say how ten numbers of a foot become
twenty-three, nor over what is standardised. Each reading is one function here, found by name.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from bodyplan.grouping.body_graph import BodyGraph
from bodyplan.robots.feature_sizes import CONTEXT_SIZE, FOOT_DESCRIPTOR_SIZE, JOINT_DESCRIPTOR_SIZE

Table = Float[np.ndarray, "_ 23"]
"""Torso, joints, feet of one robot."""

PADDING = JOINT_DESCRIPTOR_SIZE - FOOT_DESCRIPTOR_SIZE
"""Numbers that a joint has more than a foot."""


def behind(feet: Float[np.ndarray, "F 10"]) -> Float[np.ndarray, "F 23"]:
    """Zeros behind the foot's own numbers."""
    return np.pad(feet, ((0, 0), (0, PADDING)))


def matched(feet: Float[np.ndarray, "F 10"]) -> Float[np.ndarray, "F 23"]:
    """Place and robot where joints have theirs, zeros between."""
    place, context = feet[:, :-CONTEXT_SIZE], feet[:, -CONTEXT_SIZE:]
    return np.hstack([place, np.zeros((len(feet), PADDING)), context])


def over_nodes(tables: Sequence[Table], feet: Sequence[int]) -> list[Table]:
    """Over all nodes of all robots; the torso is a node of zeros like any other."""
    moments = _moments(np.vstack(tables))
    return [_scaled(table, *moments) for table in tables]


def over_parts(tables: Sequence[Table], feet: Sequence[int]) -> list[Table]:
    """Over joints and feet; the torso has no say in it and is zero, the average part, after it."""
    moments = _moments(np.vstack([table[1:] for table in tables]))
    return [_torso_first(_scaled(table[1:], *moments)) for table in tables]


def over_kinds(tables: Sequence[Table], feet: Sequence[int]) -> list[Table]:
    """Joints over joints, feet over feet; the torso is zero after it."""
    pairs = list(zip(tables, feet, strict=True))
    joints = _moments(np.vstack([table[1 : len(table) - count] for table, count in pairs]))
    soles = _moments(np.vstack([table[len(table) - count :] for table, count in pairs]))
    return [
        _torso_first(
            np.vstack(
                [
                    _scaled(table[1 : len(table) - count], *joints),
                    _scaled(table[len(table) - count :], *soles),
                ]
            )
        )
        for table, count in pairs
    ]


def over_robots(tables: Sequence[Table], feet: Sequence[int]) -> list[Table]:
    """Over joints and feet, each robot with the same say however many it has; the torso is zero."""
    weights = np.concatenate([np.full(len(table) - 1, 1.0 / (len(table) - 1)) for table in tables])
    moments = _moments(np.vstack([table[1:] for table in tables]), weights / len(tables))
    return [_torso_first(_scaled(table[1:], *moments)) for table in tables]


def as_they_are(tables: Sequence[Table], feet: Sequence[int]) -> list[Table]:
    """As the policy reads them: scaled by its fixed constants only."""
    return list(tables)


PADDINGS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {"zeros": behind, "matched": matched}
"""How a foot's ten numbers become a joint's twenty-three."""

STANDARDISATIONS: Mapping[str, Callable[[Sequence[Table], Sequence[int]], list[Table]]] = {
    "nodes": over_nodes,
    "parts": over_parts,
    "kinds": over_kinds,
    "robots": over_robots,
    "none": as_they_are,
}
"""Over what columns are brought to mean 0 and deviation 1."""


def node_features(
    graphs: Sequence[BodyGraph], padding: str, standardisation: str
) -> list[Float[np.ndarray, "_ 23"]]:
    """Features [nodes, 23] of every node of each robot; a column that never varies is zero.

    Args:
        graphs: the bodies, standardised together.
        padding: a name in `PADDINGS`.
        standardisation: a name in `STANDARDISATIONS`.
    """
    pad = PADDINGS[padding]
    tables = [_torso_first(np.vstack([graph.joints, pad(graph.feet)])) for graph in graphs]
    return STANDARDISATIONS[standardisation](tables, [len(graph.feet) for graph in graphs])


def _torso_first(parts: Float[np.ndarray, "parts 23"]) -> Table:
    return np.pad(parts, ((1, 0), (0, 0)))


def _moments(
    rows: Float[np.ndarray, "n 23"], weights: Float[np.ndarray, "n"] | None = None
) -> tuple[Float[np.ndarray, "23"], Float[np.ndarray, "23"]]:
    """Mean and deviation of columns; infinite where a column does not vary."""
    if not len(rows):
        return np.zeros(rows.shape[1]), np.full(rows.shape[1], np.inf)
    mean = np.average(rows, axis=0, weights=weights)
    deviation = np.sqrt(np.average((rows - mean) ** 2, axis=0, weights=weights))
    # A constant column can have a deviation of rounding error instead of zero.
    varies = deviation > 1e-9 * np.maximum(1.0, np.abs(rows).max(axis=0))
    return mean, np.where(varies, deviation, np.inf)


def _scaled(
    rows: Float[np.ndarray, "n 23"],
    mean: Float[np.ndarray, "23"],
    deviation: Float[np.ndarray, "23"],
) -> Float[np.ndarray, "n 23"]:
    return (rows - mean) / deviation
