"""Which reading of the paper's distance comes nearest to the distances known of its release.

    python benchmarks/calibration.py      # every reading, alpha in steps of 0.01: half a minute

The paper leaves open the weight alpha, how foot descriptors are padded, over what features are
standardised and what costs are divided by. Four entries of the matrix in the authors' release are
known, and its largest follows from them: they are known as numbers, and after min-max
normalisation. Each combination of the open choices (`BodyMetric`) is tried with each alpha; its
residual is the root of the mean squared difference from the four. One JSON object a line: the
default; each combination at its best alpha, best first, as many as `--best`; and the default's
combination with other alphas around its own.
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
"""Largest distance of all, from (0.0838 - 0.0222) / 0.186 and its like."""

CHOICES = {
    "padding": ("zeros", "matched"),
    "standardisation": ("nodes", "parts", "kinds", "robots", "none"),
    "feature_scale": ("largest", "mean", "pair", "none"),
    "tree_scale": ("largest", "own", "none"),
}
ALPHAS = np.round(np.arange(0.2, 0.91, 0.01), 2).tolist()


def readings() -> Iterator[BodyMetric]:
    """Every combination of the open choices but alpha."""
    for values in product(*CHOICES.values()):
        yield BodyMetric(**dict(zip(CHOICES, values, strict=True)))


def known_distances(
    graphs: Sequence[BodyGraph], metric: BodyMetric, alphas: Sequence[float]
) -> np.ndarray:
    """The four distances [alphas, 4]; features and trees do not depend on alpha."""
    names = packaged_robots()
    pairs = np.array([[names.index(ROBOT), names.index(name)] for name in PUBLISHED])
    bodies = normalise_graphs(graphs, metric)
    return np.array(
        [pair_distances(bodies._replace(metric=replace(metric, alpha=a)), pairs) for a in alphas]
    )


def residual(distances: np.ndarray) -> np.ndarray:
    """Of each row of four."""
    return np.sqrt(((distances - list(PUBLISHED.values())) ** 2).mean(axis=-1))


def tell(case: str, graphs: Sequence[BodyGraph], metric: BodyMetric) -> None:
    """One line about a setting, with what needs all pairs."""
    distances = distance_matrix(graphs, metric)
    names = packaged_robots()
    own = dict(zip(names, distances[names.index(ROBOT)].tolist(), strict=True))
    four = np.array([own[name] for name in PUBLISHED])
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
        "nearest_is_go1": bool(own["unitree_go1"] == distances[distances > 0.0].min()),
        "two_groups_as_known": {"unitree_go1", "barkour_vb", "hexapod"} <= set(group)
        and "unitree_h1" not in group,
    }
    rounded = {key: round(x, 5) if isinstance(x, float) else x for key, x in line.items()}
    sys.stdout.write(json.dumps(rounded) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Search and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--best", type=int, default=10, help="combinations printed")
    arguments = parser.parse_args()
    graphs = [body_graph(Robot.load(name)) for name in packaged_robots()]
    tell("default", graphs, BodyMetric())
    found = []
    for metric in readings():
        residuals = residual(known_distances(graphs, metric, ALPHAS))
        best = int(residuals.argmin())
        found.append((float(residuals[best]), replace(metric, alpha=ALPHAS[best])))
    found.sort(key=lambda each: each[0])
    for place, (_, metric) in enumerate(found[: arguments.best], 1):
        tell(f"best {place}", graphs, metric)
    for alpha in (0.45, 0.5, 0.52, 0.54, 0.56, 0.58, 0.6):
        tell("default, other alpha", graphs, BodyMetric(alpha=alpha))


if __name__ == "__main__":
    main()
