"""Agglomerative clustering of a distance matrix into a given number of groups."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from bodyplan.errors import BodyplanError

LINKAGES = ("ward", "average", "complete")


def cluster(
    distances: Float[np.ndarray, "rows columns"],
    names: Sequence[str],
    count: int,
    linkage: str = "ward",
) -> tuple[tuple[str, ...], ...]:
    """Cluster robots into exactly `count` groups.

    Groups follow the order of their first robot in `names`. Robots within a group follow the order
    of `names`.

    Args:
        distances: between the robots; one row and column for each.
        names: of the robots.
        count: number of groups.
        linkage: one of `LINKAGES`.

    Raises:
        BodyplanError: the matrix is not a distance matrix of `names`, or `count` or `linkage` does
            not fit.
    """
    check_names(names)
    check_count(count, len(names))
    labels = cut_tree(merge_tree(distances, names, linkage), count)
    return tuple(
        tuple(name for name, label in zip(names, labels, strict=True) if label == group)
        for group in range(count)
    )


def merge_tree(
    distances: Float[np.ndarray, "rows columns"], names: Sequence[str], linkage: str = "ward"
) -> Float[np.ndarray, "merges 4"]:
    """The merges of agglomerative clustering in SciPy's format; empty for a single robot.

    Ward's formula is meant for Euclidean distances. It is applied to the matrix as it is, as in the
    official release.

    Raises:
        BodyplanError: the matrix is not a distance matrix of `names`, or `linkage` is unknown.
    """
    from scipy.cluster.hierarchy import linkage as agglomerate
    from scipy.spatial.distance import squareform

    if linkage not in LINKAGES:
        raise BodyplanError(f"linkage '{linkage}' is unknown; choose one of {', '.join(LINKAGES)}")
    matrix = np.asarray(distances, float)
    if matrix.shape != (len(names), len(names)):
        raise BodyplanError(
            f"a distance matrix of shape {matrix.shape} does not fit {len(names)} robots; "
            "give one row and column for each"
        )
    is_sound = np.isfinite(matrix).all() and np.allclose(matrix, matrix.T) and (matrix >= 0).all()
    if not is_sound or np.diagonal(matrix).any():
        raise BodyplanError(
            "the distance matrix must be finite, symmetric and non-negative with a zero diagonal"
        )
    if len(names) == 1:
        return np.zeros((0, 4))
    return agglomerate(squareform(matrix, checks=False), linkage)  # type: ignore[arg-type]


def cut_tree(tree: Float[np.ndarray, "merges 4"], count: int) -> Int[np.ndarray, "robots"]:
    """The group of each robot once a tree is cut to `count` groups, numbered by first robot.

    The last count - 1 merges are undone. This gives exactly `count` groups even where heights tie.
    SciPy's `fcluster` cuts at a height and does not.
    """
    size = len(tree) + 1
    members = {index: [index] for index in range(size)}
    for step, (left, right) in enumerate(tree[: size - count, :2].astype(int)):
        members[size + step] = members.pop(left) + members.pop(right)
    labels = np.empty(size, int)
    for label, group in enumerate(sorted(members.values(), key=min)):
        labels[group] = label
    return labels


def check_names(names: Sequence[str]) -> None:
    """Check that there are robots to group, and that no name occurs twice.

    Raises:
        BodyplanError: there are none, or a name occurs twice.
    """
    if not names:
        raise BodyplanError("there are no robots to group; name at least one")
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise BodyplanError(f"robot named twice: {', '.join(twice)}; name each once")


def check_count(count: int, robots: int) -> None:
    """Check that so many robots can form `count` groups.

    Raises:
        BodyplanError: they cannot.
    """
    if not 1 <= count <= robots:
        raise BodyplanError(
            f"cannot form {count} groups of {robots} robots; choose from 1 to {robots}"
        )
