"""Features of the nodes of body graphs: descriptors padded to one length and standardised.

The paper standardises the descriptors of joints and feet and gives the torso "a zero vector of the
same dimension" (arXiv 2602.18025, section 4.1). It does not say how the 10 numbers of a foot become
23, nor over which nodes features are standardised. Each reading is one function here, in a table.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from bodyplan.grouping.body_graph import BodyGraph
from bodyplan.robots.feature_sizes import CONTEXT_SIZE, FOOT_DESCRIPTOR_SIZE, JOINT_DESCRIPTOR_SIZE

FeatureTable = Float[np.ndarray, "_ 23"]
"""Features of one robot's nodes: torso, joints, feet."""

_PADDING = JOINT_DESCRIPTOR_SIZE - FOOT_DESCRIPTOR_SIZE  # numbers that a foot lacks


def pad_at_end(feet: Float[np.ndarray, "F 10"]) -> Float[np.ndarray, "F 23"]:
    """Feet with zeros behind their own numbers."""
    return np.pad(feet, ((0, 0), (0, _PADDING)))


def pad_matched(feet: Float[np.ndarray, "F 10"]) -> Float[np.ndarray, "F 23"]:
    """Feet with position and context in the columns where joints have theirs, zeros between."""
    position, context = feet[:, :-CONTEXT_SIZE], feet[:, -CONTEXT_SIZE:]
    return np.hstack([position, np.zeros((len(feet), _PADDING)), context])


def standardise_nodes(tables: Sequence[FeatureTable], feet: Sequence[int]) -> list[FeatureTable]:
    """Standardise over all nodes of all robots, among them the torso with its zeros."""
    moments = _mean_and_std(np.vstack(tables))
    return [_standardised(table, *moments) for table in tables]


def standardise_parts(tables: Sequence[FeatureTable], feet: Sequence[int]) -> list[FeatureTable]:
    """Standardise over joints and feet. The torso is left out and stays zero, the mean."""
    moments = _mean_and_std(np.vstack([table[1:] for table in tables]))
    return [_with_torso(_standardised(table[1:], *moments)) for table in tables]


def standardise_kinds(tables: Sequence[FeatureTable], feet: Sequence[int]) -> list[FeatureTable]:
    """Standardise joints over joints and feet over feet. The torso stays zero."""
    joint_tables = [
        table[1 : len(table) - count] for table, count in zip(tables, feet, strict=True)
    ]
    foot_tables = [table[len(table) - count :] for table, count in zip(tables, feet, strict=True)]
    of_joints = _mean_and_std(np.vstack(joint_tables))
    of_feet = _mean_and_std(np.vstack(foot_tables))
    return [
        _with_torso(np.vstack([_standardised(joints, *of_joints), _standardised(soles, *of_feet)]))
        for joints, soles in zip(joint_tables, foot_tables, strict=True)
    ]


def standardise_robots(tables: Sequence[FeatureTable], feet: Sequence[int]) -> list[FeatureTable]:
    """Standardise over joints and feet, every robot with the same weight. The torso stays zero."""
    weights = np.concatenate([np.full(len(table) - 1, 1.0 / (len(table) - 1)) for table in tables])
    moments = _mean_and_std(np.vstack([table[1:] for table in tables]), weights / len(tables))
    return [_with_torso(_standardised(table[1:], *moments)) for table in tables]


def not_standardised(tables: Sequence[FeatureTable], feet: Sequence[int]) -> list[FeatureTable]:
    """Features as the policy reads them, scaled by fixed constants only."""
    return list(tables)


PADDINGS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "zeros": pad_at_end,
    "matched": pad_matched,
}
"""How the 10 numbers of a foot become 23 like those of a joint."""

STANDARDISATIONS: Mapping[
    str, Callable[[Sequence[FeatureTable], Sequence[int]], list[FeatureTable]]
] = {
    "nodes": standardise_nodes,
    "parts": standardise_parts,
    "kinds": standardise_kinds,
    "robots": standardise_robots,
    "none": not_standardised,
}
"""Over which nodes columns are brought to mean 0 and standard deviation 1."""


def node_features(
    graphs: Sequence[BodyGraph], padding: str, standardisation: str
) -> list[Float[np.ndarray, "_ 23"]]:
    """Features [nodes, 23] of every node of each robot; constant columns become zero.

    Args:
        graphs: the bodies, standardised together.
        padding: a name in `PADDINGS`.
        standardisation: a name in `STANDARDISATIONS`.
    """
    pad = PADDINGS[padding]
    tables = [_with_torso(np.vstack([graph.joints, pad(graph.feet)])) for graph in graphs]
    return STANDARDISATIONS[standardisation](tables, [len(graph.feet) for graph in graphs])


def _with_torso(parts: Float[np.ndarray, "parts 23"]) -> FeatureTable:
    """A row of zeros for the torso above the joints and feet."""
    return np.pad(parts, ((1, 0), (0, 0)))


def _mean_and_std(
    rows: Float[np.ndarray, "n 23"], weights: Float[np.ndarray, "n"] | None = None
) -> tuple[Float[np.ndarray, "23"], Float[np.ndarray, "23"]]:
    """Mean and standard deviation of columns; the latter is infinite for constant columns."""
    if not len(rows):
        return np.zeros(rows.shape[1]), np.full(rows.shape[1], np.inf)
    mean = np.average(rows, axis=0, weights=weights)
    std = np.sqrt(np.average((rows - mean) ** 2, axis=0, weights=weights))
    # Rounding can give a constant column a tiny standard deviation instead of zero.
    varies = std > 1e-9 * np.maximum(1.0, np.abs(rows).max(axis=0))
    return mean, np.where(varies, std, np.inf)


def _standardised(
    rows: Float[np.ndarray, "n 23"],
    mean: Float[np.ndarray, "23"],
    std: Float[np.ndarray, "23"],
) -> Float[np.ndarray, "n 23"]:
    return (rows - mean) / std
