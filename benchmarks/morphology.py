"""Time and accuracy of body distances: exact ones beside POT, and estimates from landmarks.

    python benchmarks/morphology.py            # up to 1,024 robots, about ten minutes
    python benchmarks/morphology.py --quick    # up to 64, half a minute

The packaged robots are compared on one core, by bodyplan and by a loop over POT's
`ot.gromov.fused_gromov_wasserstein2` on the same costs. Generated robots are compared on all cores,
exactly and from landmarks. Loading robots and importing libraries is not counted; starting workers
is. One JSON object per line:

- `packaged/exact`: seconds for all pairs; the ratio is POT's time over ours;
- `packaged/difference`: largest difference between the two;
- `<N>/exact`, `<N>/landmarks`: seconds for N generated robots, and CPU seconds of all processes;
- `fit/exact`, `fit/landmarks`: exponent of N in CPU seconds, from the two largest N;
- `error/...`: estimates against exact distances of 256 robots (64 with --quick). Mean and largest
  error over the mean distance, over all pairs and over estimated ones; Spearman's rank correlation;
  adjusted Rand indices between the partitions into M groups;
- `several/...`: the same scores for exact distances from several starts, as a yardstick.
"""

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import ot
import outcome
from joblib.externals.loky import get_reusable_executor
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
    """Time the packaged robots both ways on one core; medians of alternating repetitions."""
    graphs = [body_graph(Robot.load(name)) for name in packaged_robots()]
    normalised = normalise_graphs(graphs, METRIC)
    pairs = list(combinations(range(len(graphs)), 2))

    def loop_over_pot() -> np.ndarray:
        distances = np.zeros((len(graphs), len(graphs)))
        for r, s in pairs:
            distances[r, s] = distances[s, r] = ot.gromov.fused_gromov_wasserstein2(
                normalised.feature_costs(r, s),
                normalised.path_lengths[r],
                normalised.path_lengths[s],
                alpha=METRIC.alpha,
            )
        return distances

    own_times: list[tuple[float, float]] = []
    pot_times: list[tuple[float, float]] = []
    for _ in range(REPEATS):
        own, wall, cpu = timed(lambda: distance_matrix(graphs, METRIC, workers=1))
        own_times.append((wall, cpu))
        of_pot, wall, cpu = timed(loop_over_pot)
        pot_times.append((wall, cpu))
    wall, cpu = np.median(own_times, axis=0)
    pot_wall, pot_cpu = np.median(pot_times, axis=0)
    say("packaged/exact", "wall_seconds", wall, "s", pot_wall, pot_wall / wall)
    say("packaged/exact", "cpu_seconds", cpu, "s", pot_cpu, pot_cpu / cpu)
    say("packaged/difference", "distance", float(np.abs(own - of_pot).max()), "")


def time_sizes(
    graphs: Sequence[BodyGraph],
    sizes: Sequence[int],
    name: str,
    compute: Callable[[Sequence[BodyGraph]], np.ndarray],
) -> dict[int, np.ndarray]:
    """Time distances of the first N robots for each size N; fit the exponent of N."""
    matrices, costs = {}, []
    for size in sizes:
        matrices[size], wall, cpu = timed(lambda size=size: compute(graphs[:size]))
        costs.append(cpu)
        say(f"{size}/{name}", "wall_seconds", wall, "s")
        say(f"{size}/{name}", "cpu_seconds", cpu, "s")
    exponent = np.log(costs[-1] / costs[-2]) / np.log(sizes[-1] / sizes[-2])
    say(f"fit/{name}", "exponent", float(exponent), "")
    return matrices


def compare(case: str, estimates: np.ndarray, exact: np.ndarray, is_exact: np.ndarray) -> None:
    """Print the errors of estimates, with and without pairs of robots whose distances are exact."""
    first, second = np.triu_indices(len(exact), 1)
    mean = exact[first, second].mean()
    errors = np.abs(estimates - exact)[first, second]
    estimated = ~(is_exact[first] | is_exact[second])
    say(case, "mean_error", float(errors.mean() / mean), "")
    say(case, "largest_error", float(errors.max() / mean), "")
    if is_exact.any() and estimated.any():
        say(case, "mean_error_of_estimated", float(errors[estimated].mean() / mean), "")
    rank = spearmanr(estimates[first, second], exact[first, second]).statistic
    say(case, "rank_correlation", float(rank), "")
    for count in PARTITIONS:
        pair = (labels(matrix, count) for matrix in (estimates, exact))
        say(f"{case}/M={count}", "adjusted_rand", adjusted_rand(*pair), "")


def labels(distances: np.ndarray, count: int) -> np.ndarray:
    """The group of each robot by Ward's linkage."""
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
    """The result of `work`, wall seconds, and CPU seconds of this process and its workers."""

    def cpu() -> float:
        times = os.times()
        return time.process_time() + times.children_user + times.children_system

    before, begin = cpu(), time.perf_counter()
    result = work()
    wall = time.perf_counter() - begin
    if multiprocessing.active_children():  # their time counts once they have ended
        get_reusable_executor(reuse=True).shutdown(wait=True)
    return result, wall, cpu() - before


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
    exact = time_sizes(graphs, sizes, "exact", distance_matrix)
    size = min(256, sizes[-1])
    bounds = lower_bounds(normalise_graphs(graphs[:size], METRIC))
    for count in counts:
        name = f"landmarks={count}"
        estimates = time_sizes(
            graphs,
            [each for each in sizes if each > count][-2:],
            name,
            lambda robots, count=count: landmark_distances(robots, count),
        )
        is_exact = np.isin(np.arange(size), farthest_point_sampling(bounds, count))
        compare(f"error/{name}/{size}", estimates[size], exact[size], is_exact)
        if size != sizes[-1]:
            none_exact = np.zeros(sizes[-1], bool)
            case = f"error/{name}/{sizes[-1]}"
            compare(case, estimates[sizes[-1]], exact[sizes[-1]], none_exact)
    several = distance_matrix(graphs[:size], BodyMetric(start="several"))
    compare(f"several/{size}", several, exact[size], np.zeros(size, bool))


if __name__ == "__main__":
    main()
