"""One policy, many body plans: cross-embodiment offline reinforcement learning.

The public names are imported when they are first asked for, so that `import bodyplan` and the
command line's `--help` do not wait for JAX and MuJoCo. Not even `typing` is imported here: the
program handles signals only after this file.
"""

from importlib import import_module

from bodyplan.envs.gymnasium_registration import register as _register
from bodyplan.errors import BodyplanError

TYPE_CHECKING = False  # which type checkers take for true
if TYPE_CHECKING:
    from typing import Any

    from bodyplan.datasets.build import build_dataset
    from bodyplan.datasets.dataset import Dataset
    from bodyplan.datasets.episodes import Episodes
    from bodyplan.datasets.io.import_dataset import import_dataset
    from bodyplan.envs.disturbances import Disturbances
    from bodyplan.envs.environment import Environment, make
    from bodyplan.evaluation.compare import compare
    from bodyplan.evaluation.comparison import Comparison
    from bodyplan.evaluation.evaluate import evaluate
    from bodyplan.evaluation.evaluation import Evaluation
    from bodyplan.experiments.pretraining import train, train_seeds, train_together
    from bodyplan.grouping.robot_groups import RobotGroups, group_robots
    from bodyplan.learn.algorithms.awac import AWAC
    from bodyplan.learn.algorithms.bc import BC
    from bodyplan.learn.algorithms.iql import IQL
    from bodyplan.learn.algorithms.td3_bc import TD3BC
    from bodyplan.learn.config import TrainConfig
    from bodyplan.learn.policy import Policy
    from bodyplan.learn.run import Run
    from bodyplan.robots.registry import list_robots
    from bodyplan.robots.robot import Robot
    from bodyplan.robots.validation.check_robot import check_robot

__version__ = "0.1.0"
__all__ = [
    "AWAC",
    "BC",
    "IQL",
    "TD3BC",
    "BodyplanError",
    "Comparison",
    "Dataset",
    "Disturbances",
    "Environment",
    "Episodes",
    "Evaluation",
    "Policy",
    "Robot",
    "RobotGroups",
    "Run",
    "TrainConfig",
    "__version__",
    "build_dataset",
    "check_robot",
    "compare",
    "evaluate",
    "group_robots",
    "import_dataset",
    "list_robots",
    "make",
    "train",
    "train_seeds",
    "train_together",
]

_HOMES = {
    "AWAC": ("bodyplan.learn.algorithms.awac", "AWAC"),
    "BC": ("bodyplan.learn.algorithms.bc", "BC"),
    "IQL": ("bodyplan.learn.algorithms.iql", "IQL"),
    "Run": ("bodyplan.learn.run", "Run"),
    "TD3BC": ("bodyplan.learn.algorithms.td3_bc", "TD3BC"),
    "Disturbances": ("bodyplan.envs.disturbances", "Disturbances"),
    "Environment": ("bodyplan.envs.environment", "Environment"),
    "Comparison": ("bodyplan.evaluation.comparison", "Comparison"),
    "Dataset": ("bodyplan.datasets.dataset", "Dataset"),
    "Episodes": ("bodyplan.datasets.episodes", "Episodes"),
    "Evaluation": ("bodyplan.evaluation.evaluation", "Evaluation"),
    "Policy": ("bodyplan.learn.policy", "Policy"),
    "Robot": ("bodyplan.robots.robot", "Robot"),
    "RobotGroups": ("bodyplan.grouping.robot_groups", "RobotGroups"),
    "TrainConfig": ("bodyplan.learn.config", "TrainConfig"),
    "build_dataset": ("bodyplan.datasets.build", "build_dataset"),
    "check_robot": ("bodyplan.robots.validation.check_robot", "check_robot"),
    "compare": ("bodyplan.evaluation.compare", "compare"),
    "evaluate": ("bodyplan.evaluation.evaluate", "evaluate"),
    "group_robots": ("bodyplan.grouping.robot_groups", "group_robots"),
    "import_dataset": ("bodyplan.datasets.io.import_dataset", "import_dataset"),
    "list_robots": ("bodyplan.robots.registry", "list_robots"),
    "make": ("bodyplan.envs.environment", "make"),
    "train": ("bodyplan.experiments.pretraining", "train"),
    "train_seeds": ("bodyplan.experiments.pretraining", "train_seeds"),
    "train_together": ("bodyplan.experiments.pretraining", "train_together"),
}


def __getattr__(name: str) -> "Any":
    if name not in _HOMES:
        raise AttributeError(f"module 'bodyplan' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value  # the next look-up finds it without coming here
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


_register()  # Gymnasium's ids of all robots, by their names alone
