"""The metric between bodies: what the paper leaves open, and graphs normalised accordingly."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from bodyplan.bounds import Share, require_bounds
from bodyplan.grouping.body_graph import BodyGraph
from bodyplan.grouping.node_features import node_features


@dataclass(frozen=True)
class BodyMetric:
    """What the paper leaves open about the distance between bodies.

    The defaults follow its words. Among such readings, they come nearest to the distances that are
    known of the authors' release (docs/method.md).

    Raises:
        BodyplanError: `alpha` is not from 0 to 1, or an option has an unknown value.
    """

    alpha: Share = 0.55
    """Weight of structure against features: 0 compares features only, 1 structure only."""
    padding: Literal["zeros", "matched"] = "zeros"
    """How the 10 numbers of a foot become 23 like those of a joint. `zeros`: zeros at the end.
    `matched`: each number in the column of the same quantity."""
    standardisation: Literal["nodes", "parts", "kinds", "robots", "none"] = "nodes"
    """Over what features are standardised. `nodes`: all nodes, with zeros for the torso. `parts`:
    joints and feet, and the torso is zero afterwards. `kinds`: joints and feet apart. `robots`:
    like `parts`, with equal weight for every robot. `none`: not at all."""
    feature_scale: Literal["largest", "mean", "pair", "none"] = "largest"
    """What distances between features are divided by: the `largest` of all, their `mean`, the
    largest of the `pair` of robots, or nothing."""
    tree_scale: Literal["largest", "own", "none"] = "largest"
    """What path lengths are divided by: the `largest` of all robots, the robot's `own` largest, or
    nothing."""
    start: Literal["product", "several"] = "product"
    """Where the solver starts: from the `product` coupling as in POT, or from `several` couplings.
    Of several results, the lowest counts."""

    def __post_init__(self) -> None:
        require_bounds(self)


DEFAULT_METRIC = BodyMetric()


class NormalisedGraphs(NamedTuple):
    """Body graphs as arrays from which distances can be computed."""

    features: list[Float[np.ndarray, "_ d"]]
    """Of the nodes of each robot, torso first."""
    path_lengths: list[Float[np.ndarray, "_ _"]]
    """Between the nodes of each robot."""
    rank: list[int]
    """Place of each robot in an order that depends on bodies alone."""
    metric: BodyMetric

    def feature_costs(self, first: int, second: int) -> Float[np.ndarray, "n m"]:
        """Distance of each node of one robot from each node of another."""
        from scipy.spatial.distance import cdist

        costs = cdist(self.features[first], self.features[second])
        return costs / (costs.max() or 1.0) if self.metric.feature_scale == "pair" else costs


def normalise_graphs(graphs: Sequence[BodyGraph], metric: BodyMetric) -> NormalisedGraphs:
    """Graphs standardised and scaled together, with nodes in a canonical order.

    The order of nodes and the rank of robots depend on the bodies alone. So other numbers for
    joints or robots change nothing, not even which of several equal optima the solver finds.
    """
    features = node_features(graphs, metric.padding, metric.standardisation)
    lengths = [graph.path_lengths() for graph in graphs]
    feature_scale = FEATURE_SCALES[metric.feature_scale](features) or 1.0
    tree_scales = TREE_SCALES[metric.tree_scale](lengths)
    orders = [_node_order(*pair) for pair in zip(features, lengths, strict=True)]
    features = [table[order] / feature_scale for table, order in zip(features, orders, strict=True)]
    lengths = [
        length[np.ix_(order, order)] / (scale or 1.0)
        for length, order, scale in zip(lengths, orders, tree_scales, strict=True)
    ]
    return NormalisedGraphs(features, lengths, _robot_rank(features, lengths), metric)


def _node_order(
    features: Float[np.ndarray, "n d"], path_lengths: Float[np.ndarray, "n n"]
) -> np.ndarray:
    """Torso first, then by depth, by total distance from all others, and by features."""
    columns = _rounded(features).T[::-1]
    return np.lexsort((*columns, path_lengths.sum(axis=0), path_lengths[0]))


def _robot_rank(features: Sequence[np.ndarray], path_lengths: Sequence[np.ndarray]) -> list[int]:
    """By number of nodes, then by content."""
    keys = [
        (len(lengths), _rounded(table).tobytes(), _rounded(lengths).tobytes())
        for table, lengths in zip(features, path_lengths, strict=True)
    ]
    rank = np.empty(len(keys), int)
    rank[sorted(range(len(keys)), key=keys.__getitem__)] = np.arange(len(keys))
    return rank.tolist()


def _rounded(values: np.ndarray) -> np.ndarray:
    """Without the last digits, which depend on the order of sums, and without negative zeros."""
    return np.round(values, 9) + 0.0


def _largest_distance(features: Sequence[np.ndarray]) -> float:
    """Largest distance between nodes of two different robots."""
    return max((float(block.max()) for block in _distance_blocks(features)), default=0.0)


def _mean_distance(features: Sequence[np.ndarray]) -> float:
    """Mean distance between nodes of two different robots."""
    blocks = [(float(block.sum()), block.size) for block in _distance_blocks(features)]
    return sum(total for total, _ in blocks) / max(1, sum(size for _, size in blocks))


def _distance_blocks(features: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Distances of each robot's nodes from those of all later robots."""
    from scipy.spatial.distance import cdist

    stacked = np.vstack(features)
    ends = np.cumsum([len(table) for table in features])
    for table, end in zip(features[:-1], ends[:-1], strict=True):
        yield cdist(table, stacked[end:])


FEATURE_SCALES: Mapping[str, Callable[[Sequence[np.ndarray]], float]] = {
    "largest": _largest_distance,
    "mean": _mean_distance,
    "pair": lambda features: 1.0,
    "none": lambda features: 1.0,
}
"""One divisor of feature distances for all robots."""

TREE_SCALES: Mapping[str, Callable[[Sequence[np.ndarray]], list[float]]] = {
    "largest": lambda lengths: [max(each.max() for each in lengths)] * len(lengths),
    "own": lambda lengths: [each.max() for each in lengths],
    "none": lambda lengths: [1.0] * len(lengths),
}
"""One divisor of path lengths for each robot."""
