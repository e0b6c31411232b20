"""What to learn: one file for each offline algorithm, giving a loss per robot."""

from bodyplan.learn.algorithms.algorithm import Algorithm
from bodyplan.learn.algorithms.iql import IQL

ALGORITHMS: dict[str, type[Algorithm]] = {"iql": IQL}
"""By the name given as `--algorithm`, which is also the name of its field in `TrainConfig`."""
