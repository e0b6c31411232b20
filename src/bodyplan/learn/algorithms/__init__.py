"""What to learn: one file for each offline algorithm, giving a loss per robot."""

from bodyplan.learn.algorithms.algorithm import Algorithm
from bodyplan.learn.algorithms.awac import AWAC
from bodyplan.learn.algorithms.bc import BC
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.algorithms.td3_bc import TD3BC

ALGORITHMS: dict[str, type[Algorithm]] = {"bc": BC, "td3_bc": TD3BC, "awac": AWAC, "iql": IQL}
"""By the name given as `--algorithm`, which is also the name of its field in `TrainConfig`."""
