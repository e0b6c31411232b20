"""The whole story on one small machine: data, pre-training, evaluation, report.

Four robots of unlike build, their 70 % suboptimal forward sets rebuilt from the packaged policy
snapshots, IQL with Embodiment Grouping (M = 2), whole episodes in reference physics, one page.
The sizes follow the machine's speed, measured once and written down, so that the demo takes about
the same time anywhere, and an interrupted one continues as it was planned.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bodyplan.datasets.collect import build
from bodyplan.datasets.episodes import Dataset
from bodyplan.envs.environment import Environment
from bodyplan.errors import BodyplanError
from bodyplan.evaluate.evaluation import Trial, evaluate
from bodyplan.evaluate.video import animate
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.policy import ReleasedPolicy
from bodyplan.learn.train import TrainConfig, train
from bodyplan.report.page import write_report
from bodyplan.robots.robot import Robot
from bodyplan.storage import read_json, write_json

ROBOTS = ("unitree_go1", "anymal_c", "badger", "hexapod")
RECIPE = "suboptimal70"
REFERENCE_SPEED = 12_000.0
"""Control steps per second of go1 on the machine the sizes were chosen for."""

Progress = Callable[..., None]


@dataclass(frozen=True)
class Plan:
    """What the demo will do; written down before it starts."""

    size: str
    seed: int
    speed: float
    """Control steps per second measured on this machine."""
    data_steps: int
    """For each robot."""
    updates: int
    episodes: int


@dataclass(frozen=True)
class Demo:
    """A finished demo."""

    run: Path
    report: Path
    evaluation: dict[str, Any]
    seconds: float


def make_plan(size: Literal["small", "full"], seed: int, speed: float) -> Plan:
    """Sizes for a machine of the given speed; `full` takes four times the clock of `small`."""
    pace = float(np.clip(speed / REFERENCE_SPEED, 0.25, 2.0))
    clock = {"small": 1.0, "full": 4.0}[size]
    return Plan(
        size=size,
        seed=seed,
        speed=round(speed, 1),
        data_steps=int(60_000 * pace * clock**0.5) // 1000 * 1000,
        updates=int(2_500 * pace * clock) // 100 * 100,
        episodes=16,
    )
