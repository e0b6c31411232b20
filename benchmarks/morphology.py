"""What distances between bodies cost, beside a plain loop over POT, and what estimates are worth.

    python benchmarks/morphology.py            # up to 1,024 robots, about ten minutes
    python benchmarks/morphology.py --quick    # up to 64, half a minute

The packaged robots are compared as the package does and by `ot.gromov.fused_gromov_wasserstein2`
pair by pair on the same costs; generated robots, more and more of them, exactly and from landmarks,
on all cores. Loading robots and importing libraries is not counted, starting workers is. One JSON
object a line:

- `packaged/exact`: seconds for all pairs; the ratio is POT's CPU time to ours, on one core;
- `packaged/difference`: largest difference between the two;
- `<N>/exact`, `<N>/landmarks`: seconds for N generated robots, and CPU seconds of all processes;
- `fit/exact`, `fit/landmarks`: exponent of N in CPU seconds, from the two largest N;
- `error/...`: estimates against exact distances of 256 robots (64 with --quick): the mean and the
  largest error over the mean distance, over all pairs and over those that are estimated; Spearman's
  rank correlation; adjusted Rand indices between the partitions into M groups;
- `several/...`: the same numbers for exact distances from the solver's other starts, a yardstick.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import ot
import outcome
from scipy.stats import spearmanr

from bodyplan.grouping import (
    BodyGraph,
    BodyMetric,
    body_graph,
    distance_matrix,
    landmark_distances,
)
from bodyplan.grouping.body_metric import normalise_graphs
from bodyplan.grouping.clustering import cut_tree, merge_tree
from bodyplan.grouping.landmark_distances import farthest_point_sampling, lower_bounds
from bodyplan.robots.procedural import generate_robots
from bodyplan.robots.registry import packaged_robots
from bodyplan.robots.robot import Robot

say = partial(outcome.say, "morphology")

METRIC = BodyMetric()
SIZES = (16, 64, 256, 1024)
PARTITIONS = (2, 4, 8, 16)
REPEATS = 5


def against_pot() -> None:
    """The packaged robots both ways on one core; medians of repetitions that take turns."""
    graphs = [body_graph(Robot.load(name)) for name in packaged_robots()]
    bodies = normalise_graphs(graphs, METRIC)
    pairs = list(combinations(range(len(graphs)), 2))

    def plainly() -> np.ndarray:
        distances = np.zeros((len(graphs), len(graphs)))
        for r, s in pairs:
            distances[r, s] = distances[s, r] = ot.gromov.fused_gromov_wasserstein2(
                bodies.feature_costs(r, s),
                bodies.path_lengths[r],
                bodies.path_lengths[s],
                alpha=METRIC.alpha,
            )
        return distances

    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    for _ in range(REPEATS):
        own, *times = timed(lambda: distance_matrix(graphs, METRIC, workers=1))
        ours.append((times[0], times[1]))
        other, *times = timed(plainly)
        theirs.append((times[0], times[1]))
    wall, cpu = np.median(ours, axis=0)
    pot_wall, pot_cpu = np.median(theirs, axis=0)
    say("packaged/exact", "wall_seconds", wall, "s", pot_wall, pot_wall / wall)
    say("packaged/exact", "cpu_seconds", cpu, "s", pot_cpu, pot_cpu / cpu)
    say("packaged/difference", "distance", float(np.abs(own - other).max()), "")


def growth(
    graphs: Sequence[BodyGraph],
    sizes: Sequence[int],
    name: str,
    compute: Callable[[Sequence[BodyGraph]], np.ndarray],
) -> dict[int, np.ndarray]:
    """Distances of the first robots, more and more of them, and the exponent of their cost."""
    found, costs = {}, []
    for size in sizes:
        found[size], wall, cpu = timed(lambda size=size: compute(graphs[:size]))
        costs.append(cpu)
        say(f"{size}/{name}", "wall_seconds", wall, "s")
        say(f"{size}/{name}", "cpu_seconds", cpu, "s")
    exponent = np.log(costs[-1] / costs[-2]) / np.log(sizes[-1] / sizes[-2])
    say(f"fit/{name}", "exponent", float(exponent), "")
    return found


def compare(case: str, estimates: np.ndarray, exact: np.ndarray, known: np.ndarray) -> None:
    """Print how far estimates are off, with and without the pairs that are `known`."""
    first, second = np.triu_indices(len(exact), 1)
    mean = exact[first, second].mean()
    errors = np.abs(estimates - exact)[first, second]
    guessed = ~(known[first] | known[second])
    say(case, "mean_error", float(errors.mean() / mean), "")
    say(case, "largest_error", float(errors.max() / mean), "")
    if known.any() and guessed.any():
        say(case, "mean_error_of_estimated", float(errors[guessed].mean() / mean), "")
    rank = spearmanr(estimates[first, second], exact[first, second]).statistic
    say(case, "rank_correlation", float(rank), "")
    for count in PARTITIONS:
        own, other = (labels(matrix, count) for matrix in (estimates, exact))
        say(f"{case}/M={count}", "adjusted_rand", adjusted_rand(own, other), "")


def labels(distances: np.ndarray, count: int) -> np.ndarray:
    """Ward's groups."""
    return cut_tree(merge_tree(distances, [str(i) for i in range(len(distances))]), count)


def adjusted_rand(first: np.ndarray, second: np.ndarray) -> float:
    """Agreement of two partitions: 1 the same, 0 as by chance (Hubert and Arabie 1985)."""

    def pairs(counts: np.ndarray) -> float:
        return float((counts * (counts - 1) / 2.0).sum())

    table = np.zeros((first.max() + 1, second.max() + 1))
    np.add.at(table, (first, second), 1.0)
    rows, columns = pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    expected = rows * columns / pairs(np.array([len(first)]))
    return (pairs(table) - expected) / ((rows + columns) / 2.0 - expected or 1.0)


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What `work` gives, wall seconds, and CPU seconds with those of processes it waited for."""

    def cpu() -> float:
        times = os.times()
        return time.process_time() + times.children_user + times.children_system

    before, begin = cpu(), time.perf_counter()
    answer = work()
    return answer, time.perf_counter() - begin, cpu() - before


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--landmarks", type=int, nargs="*", default=[32, 64, 128])
    parser.add_argument("--seed", type=int, default=0, help="of the generated robots")
    parser.add_argument("--quick", action="store_true", help="64 robots at most")
    arguments = parser.parse_args()
    sizes = SIZES[:2] if arguments.quick else SIZES
    counts = [8] if arguments.quick else arguments.landmarks
    against_pot()
    graphs = [body_graph(robot) for robot in generate_robots(sizes[-1], arguments.seed)]
    exact = growth(graphs, sizes, "exact", distance_matrix)
    size = min(256, sizes[-1])
    bounds = lower_bounds(normalise_graphs(graphs[:size], METRIC))
    for count in counts:
        name = f"landmarks={count}"
        estimates = growth(
            graphs,
            [own for own in sizes if own > count][-2:],
            name,
            lambda own, count=count: landmark_distances(own, count),
        )
        known = np.isin(np.arange(size), farthest_point_sampling(bounds, count))
        compare(f"error/{name}/{size}", estimates[size], exact[size], known)
        if size != sizes[-1]:
            nobody = np.zeros(sizes[-1], bool)
            compare(f"error/{name}/{sizes[-1]}", estimates[sizes[-1]], exact[sizes[-1]], nobody)
    several = distance_matrix(graphs[:size], BodyMetric(start="several"))
    compare(f"several/{size}", several, exact[size], np.zeros(size, bool))


if __name__ == "__main__":
    main()
