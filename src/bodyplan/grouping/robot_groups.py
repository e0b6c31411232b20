"""Which robots share an actor step: by body distances, at random, by leg count, or from a file.

Embodiment Grouping (Abe et al., arXiv 2602.18025, section 4) clusters the robots once, before
training, by agglomerative clustering of their body distances cut to exactly M clusters. Random
groups of the same sizes are its control, and kinds of robots as anyone would sort them are the
other; a JSON file holds any grouping by hand.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from bodyplan.errors import BodyplanError
from bodyplan.grouping import BodyMetric, body_graph, distance_matrix, estimated_distances
from bodyplan.grouping.body_metric import DEFAULT
from bodyplan.grouping.distance_cache import fingerprint, recalled
from bodyplan.progress import OnProgress
from bodyplan.robots.robot import Robot

RobotGroups = tuple[tuple[str, ...], ...]
GroupSource = Callable[[int], RobotGroups]
"""From the updates done to the groups that hold from there on."""

LINKAGES = ("ward", "average", "complete")


def embodiment_distances(
    robots: Sequence[str | Robot],
    metric: BodyMetric = DEFAULT,
    landmarks: int | None = None,
    cache: Path | None = None,
    progress: OnProgress | None = None,
) -> Float[np.ndarray, "R R"]:
    """Body distances between robots given by name, path or as `Robot`.

    Args:
        robots: whose bodies are compared, and over whom distances are scaled.
        metric: what the paper leaves open.
        landmarks: all distances are exact where not given; else those to this many robots.
        cache: folder in which matrices are kept, and looked for; none where not given.
        progress: called now and then with the pairs done.

    Raises:
        BodyplanError: a robot cannot be loaded, or `landmarks` does not fit.
    """
    graphs = [body_graph(robot) for robot in _load(robots)]

    def compute() -> Float[np.ndarray, "R R"]:
        if landmarks is None:
            return distance_matrix(graphs, metric, progress=progress)
        return estimated_distances(graphs, landmarks, metric, progress=progress)

    if cache is None:
        return compute()
    name = fingerprint(graphs, metric, landmarks)
    return recalled(cache / f"{name}.safetensors", len(graphs), compute)


def embodiment_groups(
    robots: Sequence[str | Robot], count: int, linkage: str = "ward"
) -> RobotGroups:
    """The paper's grouping: `count` groups of robots with alike bodies.

    Raises:
        BodyplanError: a robot cannot be loaded, or `count` or `linkage` does not fit.
    """
    loaded = _load(robots)
    return cluster(embodiment_distances(loaded), [robot.name for robot in loaded], count, linkage)


def cluster(
    distances: Float[np.ndarray, "rows columns"],
    names: Sequence[str],
    count: int,
    linkage: str = "ward",
) -> RobotGroups:
    """Cut the agglomerative tree of a distance matrix to exactly `count` groups.

    Groups follow the order of their first robot in `names`, robots within a group the order of
    `names`.

    Raises:
        BodyplanError: the matrix is no distance matrix of `names`, or `count` or `linkage` does
            not fit.
    """
    _check_names(names)
    _check_count(count, len(names))
    labels = cut(merge_tree(distances, names, linkage), count)
    return tuple(
        tuple(name for name, label in zip(names, labels, strict=True) if label == group)
        for group in range(count)
    )


def cut(tree: Float[np.ndarray, "merges 4"], count: int) -> Int[np.ndarray, "robots"]:
    """The group of each robot, numbered by their first robots, once a tree is cut to `count`.

    Undoing the last count - 1 merges gives exactly `count` groups even where heights tie, which
    cutting at a height (SciPy's `fcluster`) does not.
    """
    size = len(tree) + 1
    members = {index: [index] for index in range(size)}
    for step, (left, right) in enumerate(tree[: size - count, :2].astype(int)):
        members[size + step] = members.pop(left) + members.pop(right)
    labels = np.empty(size, int)
    for label, group in enumerate(sorted(members.values(), key=min)):
        labels[group] = label
    return labels


def merge_tree(
    distances: Float[np.ndarray, "rows columns"], names: Sequence[str], linkage: str = "ward"
) -> Float[np.ndarray, "merges 4"]:
    """The merges of agglomerative clustering as SciPy writes them; empty for a single robot.

    Ward's formula is meant for Euclidean distances; it is applied to the matrix as it is, as the
    official release does.

    Raises:
        BodyplanError: the matrix is no distance matrix of `names`, or `linkage` is unknown.
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
    proper = np.isfinite(matrix).all() and np.allclose(matrix, matrix.T) and (matrix >= 0).all()
    if not proper or np.diagonal(matrix).any():
        raise BodyplanError(
            "the distance matrix must be finite, symmetric and non-negative with a zero diagonal"
        )
    if len(names) == 1:
        return np.zeros((0, 4))
    return agglomerate(squareform(matrix, checks=False), linkage)  # type: ignore[arg-type]


def random_groups(names: Sequence[str], sizes: Sequence[int], seed: int) -> RobotGroups:
    """Robots dealt at random into groups of the given sizes, the control for a grouping.

    Raises:
        BodyplanError: the sizes do not add up to the number of robots.
    """
    _check_names(names)
    if min(sizes, default=0) < 1 or sum(sizes) != len(names):
        raise BodyplanError(
            f"group sizes {list(sizes)} do not divide {len(names)} robots; "
            "give positive sizes that add up to it"
        )
    order = np.random.default_rng(seed).permutation(len(names))
    dealt = np.split(order, np.cumsum(sizes)[:-1])
    return tuple(tuple(names[i] for i in sorted(group)) for group in dealt)


def heuristic_groups(robots: Sequence[str | Robot]) -> RobotGroups:
    """Robots by their number of legs, and bipeds that are legs alone (Cassie) by themselves.

    Of the paper's sixteen: bipeds, quadrupeds, the hexapod, bipeds without an upper body.

    Raises:
        BodyplanError: a robot cannot be loaded.
    """
    kinds: dict[tuple[int, bool], list[str]] = {}
    for robot in _load(robots):
        kinds.setdefault((robot.legs, robot.legs == 2 and _legs_alone(robot)), []).append(
            robot.name
        )
    return tuple(map(tuple, kinds.values()))


def _legs_alone(robot: Robot) -> bool:
    """Whether every joint is on the way from the trunk to a foot."""
    graph = body_graph(robot)
    above = {child: parent for parent, child in graph.edges}
    on_the_way = {0}
    for foot in range(len(graph.nodes) - robot.num_feet, len(graph.nodes)):
        node = foot
        while node:
            on_the_way.add(node)
            node = above[node]
    return len(on_the_way) == len(graph.nodes)


def read_groups(path: str | Path, names: Sequence[str]) -> RobotGroups:
    """Groups by hand: a JSON list of lists of names, or an object with such a list as `groups`.

    Raises:
        BodyplanError: the file is missing or damaged, or does not name every robot exactly once.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BodyplanError(
            f"cannot read groups from {path} ({error.strerror}); give the path of a JSON file"
        ) from error
    except ValueError as error:
        raise BodyplanError(f"{path} is not valid JSON ({error}); correct it") from error
    groups: Any = content.get("groups") if isinstance(content, dict) else content
    if not _is_list_of_names(groups):
        raise BodyplanError(
            f'{path} holds no groups; write them as [["unitree_go1", "badger"], ["hexapod"]]'
        )
    listed = [name for group in groups for name in group]
    if sorted(listed) != sorted(names):
        raise BodyplanError(f"{path} must name every robot exactly once{_mismatch(listed, names)}")
    return tuple(tuple(group) for group in groups)


def _load(robots: Sequence[str | Robot]) -> list[Robot]:
    return [robot if isinstance(robot, Robot) else Robot.load(robot) for robot in robots]


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise BodyplanError("there are no robots to group; name at least one")
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise BodyplanError(f"robot named twice: {', '.join(twice)}; name each once")


def _check_count(count: int, robots: int) -> None:
    if not 1 <= count <= robots:
        raise BodyplanError(
            f"cannot form {count} groups of {robots} robots; choose from 1 to {robots}"
        )


def _is_list_of_names(groups: object) -> bool:
    return (
        isinstance(groups, list)
        and all(isinstance(group, list) and group for group in groups)
        and all(isinstance(name, str) for group in groups for name in group)
    )


def _mismatch(listed: Sequence[str], names: Sequence[str]) -> str:
    faults = {
        "missing": sorted(set(names) - set(listed)),
        "unknown": sorted(set(listed) - set(names)),
        "repeated": sorted({name for name in listed if list(listed).count(name) > 1}),
    }
    return "".join(f"; {word}: {', '.join(found)}" for word, found in faults.items() if found)
