"""Body distances between robots that are given by name, path or as `Robot`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bodyplan.grouping.body_graph import body_graph
from bodyplan.grouping.body_metric import DEFAULT_METRIC, BodyMetric
from bodyplan.grouping.distance_cache import cache_key, read_or_compute
from bodyplan.grouping.distance_matrix import distance_matrix
from bodyplan.grouping.landmark_distances import landmark_distances
from bodyplan.progress import OnProgress
from bodyplan.robots.robot import Robot


def load_robots(robots: Sequence[str | Path | Robot]) -> list[Robot]:
    """Robots given by name, path of their MJCF, or as `Robot`.

    Raises:
        BodyplanError: a robot cannot be loaded.
    """
    return [robot if isinstance(robot, Robot) else Robot.load(robot) for robot in robots]


def embodiment_distances(
    robots: Sequence[str | Path | Robot],
    metric: BodyMetric = DEFAULT_METRIC,
    landmarks: int | None = None,
    cache: str | Path | None = None,
    progress: OnProgress | None = None,
) -> Float[np.ndarray, "R R"]:
    """Body distances between robots.

    Args:
        robots: names, paths of MJCFs, or robots; scales are taken over all of them.
        metric: what the paper leaves open.
        landmarks: number of robots to which distances are exact; by default, all are exact.
        cache: folder in which matrices are kept; by default, none are kept.
        progress: called now and then with the number of pairs done.

    Raises:
        BodyplanError: a robot cannot be loaded, or `landmarks` does not fit.
    """
    graphs = [body_graph(robot) for robot in load_robots(robots)]

    def compute() -> Float[np.ndarray, "R R"]:
        if landmarks is None:
            return distance_matrix(graphs, metric, progress=progress)
        return landmark_distances(graphs, landmarks, metric, progress=progress)

    if cache is None:
        return compute()
    path = Path(cache) / f"{cache_key(graphs, metric, landmarks)}.safetensors"
    return read_or_compute(path, len(graphs), compute)
