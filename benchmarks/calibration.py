"""Calibration of the body metric: which reading of the paper comes nearest to its release.

    python benchmarks/calibration.py      # every reading, alpha in steps of 0.01: half a minute

The paper leaves open the weight alpha, how foot descriptors are padded, over what features are
standardised and what costs are divided by (`BodyMetric`). Four entries of the matrix in the
authors' release are known, and its largest follows from them: they are known both as numbers and
after min-max normalisation. Each combination of the options is tried with each alpha. Its residual
is the root mean squared difference from the four entries. One JSON object per line: the default;
the best combinations, each at its best alpha (`--best` of them); the default with other alphas.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import product
from typing import Any

import numpy as np

from bodyplan.grouping import BodyGraph, BodyMetric, body_graph, distance_matrix
from bodyplan.grouping.body_metric import normalise_graphs
from bodyplan.grouping.clustering import cluster
from bodyplan.grouping.distance_matrix import pair_distances
from bodyplan.robots.registry import packaged_robots
from bodyplan.robots.robot import Robot

ROBOT = "unitree_a1"
PUBLISHED = {
    "unitree_go1": 0.0222,
    "barkour_vb": 0.0838,
    "hexapod": 0.1858,
    "unitree_h1": 0.2821,
}
"""Distances of `ROBOT` from these."""
LARGEST = 0.353
"""Largest distance of all, from (0.0838 - 0.0222) / 0.186 and likewise for other pairs."""

CHOICES = {
    "padding": ("zeros", "matched"),
    "standardisation": ("nodes", "parts", "kinds", "robots", "none"),
    "feature_scale": ("largest", "mean", "pair", "none"),
    "tree_scale": ("largest", "own", "none"),
}
ALPHAS = np.round(np.arange(0.2, 0.91, 0.01), 2).tolist()


def readings() -> Iterator[BodyMetric]:
    """Every combination of the options except alpha."""
    for values in product(*CHOICES.values()):
        yield BodyMetric(**dict(zip(CHOICES, values, strict=True)))


def known_distances(
    graphs: Sequence[BodyGraph], metric: BodyMetric, alphas: Sequence[float]
) -> np.ndarray:
    """The four distances [alphas, 4]; normalised graphs do not depend on alpha."""
    names = packaged_robots()
    pairs = np.array([[names.index(ROBOT), names.index(name)] for name in PUBLISHED])
    normalised = normalise_graphs(graphs, metric)
    with_alphas = [normalised._replace(metric=replace(metric, alpha=alpha)) for alpha in alphas]
    return np.array([pair_distances(each, pairs) for each in with_alphas])


def residual(distances: np.ndarray) -> np.ndarray:
    """Root mean squared difference of each row from the published distances."""
    return np.sqrt(((distances - list(PUBLISHED.values())) ** 2).mean(axis=-1))


def print_metric(case: str, graphs: Sequence[BodyGraph], metric: BodyMetric) -> None:
    """Print one line about a metric, with results that need all pairs."""
    distances = distance_matrix(graphs, metric)
    names = packaged_robots()
    from_robot = dict(zip(names, distances[names.index(ROBOT)].tolist(), strict=True))
    four = np.array([from_robot[name] for name in PUBLISHED])
    group = next(group for group in cluster(distances, names, 2) if ROBOT in group)
    line: dict[str, Any] = {
        "benchmark": "calibration",
        "case": case,
        **asdict(metric),
        "residual": float(residual(four)),
        "largest_difference": float(np.abs(four - list(PUBLISHED.values())).max()),
        "distances": four.round(4).tolist(),
        "largest": float(distances.max()),
        "largest_published": LARGEST,
        "nearest_is_go1": bool(from_robot["unitree_go1"] == distances[distances > 0.0].min()),
        "two_groups_as_known": {"unitree_go1", "barkour_vb", "hexapod"} <= set(group)
        and "unitree_h1" not in group,
    }
    rounded = {key: round(x, 5) if isinstance(x, float) else x for key, x in line.items()}
    sys.stdout.write(json.dumps(rounded) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Try all readings and print the best."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--best", type=int, default=10, help="combinations printed")
    arguments = parser.parse_args()
    graphs = [body_graph(Robot.load(name)) for name in packaged_robots()]
    print_metric("default", graphs, BodyMetric())
    results = []
    for metric in readings():
        residuals = residual(known_distances(graphs, metric, ALPHAS))
        best = int(residuals.argmin())
        results.append((float(residuals[best]), replace(metric, alpha=ALPHAS[best])))
    results.sort(key=lambda each: each[0])
    for place, (_, metric) in enumerate(results[: arguments.best], 1):
        print_metric(f"best {place}", graphs, metric)
    for alpha in (0.45, 0.5, 0.52, 0.54, 0.56, 0.58, 0.6):
        print_metric("default, other alpha", graphs, BodyMetric(alpha=alpha))


if __name__ == "__main__":
    main()
