"""The choices that make body graphs comparable, and graphs made comparable by them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float

from bodyplan.errors import BodyplanError
from bodyplan.grouping.body_graph import BodyGraph
from bodyplan.grouping.node_features import node_features


@dataclass(frozen=True)
class BodyMetric:
    """What the paper leaves open about the distance between bodies.

    The defaults read it to the letter, and come nearest to the distances known of its authors'
    release among the readings that do (docs/method.md).

    Raises:
        BodyplanError: `alpha` is no weight, or a choice is unknown.
    """

    alpha: float = 0.55
    """Weight of the tree against what nodes look like: 0 compares looks alone, 1 trees alone."""
    padding: Literal["zeros", "matched"] = "zeros"
    """How a foot's 10 numbers become a joint's 23: zeros behind them, or each where a joint has
    its like."""
    standardisation: Literal["nodes", "parts", "kinds", "robots", "none"] = "nodes"
    """Over what features are standardised: all nodes with the torso's zeros among them, joints and
    feet with the torso at zero afterwards, the same for each kind apart, the same with an equal
    say for every robot, or not at all."""
    feature_scale: Literal["largest", "mean", "pair", "none"] = "largest"
    """What distances between features are divided by: the largest of all, their mean, the largest
    of the pair of robots, or nothing."""
    tree_scale: Literal["largest", "own", "none"] = "largest"
    """What distances within trees are divided by: the largest of all, the tree's own, nothing."""
    start: Literal["product", "several"] = "product"
    """Where the solver begins: POT's plan, or the best end of three."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.alpha <= 1.0:
            raise BodyplanError(f"alpha = {self.alpha} is no weight; give a number from 0 to 1")
        for field in fields(self):
            known = get_args(field.type)
            value = getattr(self, field.name)
            if known and value not in known:
                raise BodyplanError(
                    f"{field.name} = '{value}' is unknown; choose one of {', '.join(known)}"
                )


DEFAULT = BodyMetric()


class Bodies(NamedTuple):
    """Body graphs in numbers that a distance can be computed from."""

    features: list[Float[np.ndarray, "_ d"]]
    """Of each robot's nodes, scaled, torso first."""
    trees: list[Float[np.ndarray, "_ _"]]
    """Path lengths between nodes, scaled."""
    rank: list[int]
    """Places of the robots in an order that follows from what they are."""
    metric: BodyMetric

    def costs(self, first: int, second: int) -> Float[np.ndarray, "n m"]:
        """Distance of each node of one robot from each of another."""
        from scipy.spatial.distance import cdist

        found = cdist(self.features[first], self.features[second])
        return found / (found.max() or 1.0) if self.metric.feature_scale == "pair" else found


def comparable_graphs(graphs: Sequence[BodyGraph], metric: BodyMetric) -> Bodies:
    """Graphs standardised and scaled together, each with its nodes in an order of their own.

    The order follows from what nodes are, and so does the rank of robots, so that numbering joints
    or robots otherwise changes nothing, not even which of several equal corners the solver takes.
    """
    features = node_features(graphs, metric.padding, metric.standardisation)
    trees = [graph.path_lengths() for graph in graphs]
    scale = FEATURE_SCALES[metric.feature_scale](features) or 1.0
    scales = TREE_SCALES[metric.tree_scale](trees)
    ordered = [_order(table, tree) for table, tree in zip(features, trees, strict=True)]
    features = [table[order] / scale for table, order in zip(features, ordered, strict=True)]
    trees = [
        tree[np.ix_(order, order)] / (length or 1.0)
        for tree, order, length in zip(trees, ordered, scales, strict=True)
    ]
    return Bodies(features, trees, _rank(features, trees), metric)


def _order(table: Float[np.ndarray, "n d"], tree: Float[np.ndarray, "n n"]) -> np.ndarray:
    """Torso first, then by depth, by distance from all others, and by features."""
    return np.lexsort((*_rounded(table).T[::-1], tree.sum(axis=0), tree[0]))


def _rank(features: Sequence[np.ndarray], trees: Sequence[np.ndarray]) -> list[int]:
    """By size, then by content."""
    keys = [
        (len(tree), _rounded(table).tobytes(), _rounded(tree).tobytes())
        for table, tree in zip(features, trees, strict=True)
    ]
    rank = np.empty(len(keys), int)
    rank[sorted(range(len(keys)), key=keys.__getitem__)] = np.arange(len(keys))
    return rank.tolist()


def _rounded(values: np.ndarray) -> np.ndarray:
    """Without the last digits, which depend on the order of sums; no negative zeros."""
    return np.round(values, 9) + 0.0


def _largest(features: Sequence[np.ndarray]) -> float:
    """Largest distance between nodes of two different robots."""
    return max((float(block.max()) for block in _blocks(features)), default=0.0)


def _mean(features: Sequence[np.ndarray]) -> float:
    """Mean distance between nodes of two different robots."""
    blocks = [(float(block.sum()), block.size) for block in _blocks(features)]
    return sum(total for total, _ in blocks) / max(1, sum(size for _, size in blocks))


def _blocks(features: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Distances of each robot's nodes from those of all robots behind it."""
    from scipy.spatial.distance import cdist

    stacked = np.vstack(features)
    ends = np.cumsum([len(table) for table in features])
    for table, end in zip(features[:-1], ends[:-1], strict=True):
        yield cdist(table, stacked[end:])


FEATURE_SCALES: Mapping[str, Callable[[Sequence[np.ndarray]], float]] = {
    "largest": _largest,
    "mean": _mean,
    "pair": lambda features: 1.0,
    "none": lambda features: 1.0,
}
"""One number for all robots."""

TREE_SCALES: Mapping[str, Callable[[Sequence[np.ndarray]], list[float]]] = {
    "largest": lambda trees: [max(tree.max() for tree in trees)] * len(trees),
    "own": lambda trees: [tree.max() for tree in trees],
    "none": lambda trees: [1.0] * len(trees),
}
"""One number for each robot."""
