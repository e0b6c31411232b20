"""The whole story on one small machine: data, pre-training, evaluation, report.

Four robots of unlike build, their 70 % suboptimal forward sets rebuilt from the packaged policy
snapshots, IQL with Embodiment Grouping (M = 2), whole episodes in reference physics, one page.
The sizes follow the machine's speed, measured once and written down, so that the demo takes about
the same time anywhere, and an interrupted one continues as it was planned.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bodyplan.datasets.build import build_dataset
from bodyplan.envs.environment import Environment
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.evaluate import Trial, evaluate
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.train import TrainConfig, train
from bodyplan.progress import OnProgress, no_progress
from bodyplan.report.page import write_report
from bodyplan.report.run_videos import film
from bodyplan.storage import read_json, write_json

ROBOTS = ("unitree_go1", "anymal_c", "badger", "hexapod")
DEMO_RECIPE = "suboptimal70"
GROUPS = 2
INTERVAL = 100
"""Updates in one dispatch."""
REFERENCE_SPEED = 18_000.0
"""Control steps per second of go1 on the machine the sizes were chosen for."""


@dataclass(frozen=True)
class DemoPlan:
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


def demo_plan(size: Literal["small", "full"], seed: int, speed: float) -> DemoPlan:
    """Sizes for a machine of the given speed; `full` takes four times the clock of `small`."""
    pace = float(np.clip(speed / REFERENCE_SPEED, 0.25, 2.0))
    clock = {"small": 1.0, "full": 4.0}[size]
    return DemoPlan(
        size=size,
        seed=seed,
        speed=round(speed, 1),
        data_steps=int(130_000 * pace * clock) // 1000 * 1000,
        updates=int(11_500 * pace * clock) // INTERVAL * INTERVAL,
        episodes=16,
    )


def run_demo(
    size: Literal["small", "full"],
    out: Path,
    seed: int = 0,
    threads: int | None = None,
    progress: OnProgress | None = None,
) -> Demo:
    """Run the demo, or what is left of an interrupted one.

    Args:
        size: `small`, or `full` for four times the clock.
        out: the run's folder; the data go to `data` in it.
        seed: decides everything but the sizes.
        threads: native threads of the physics.
        progress: called as the work goes on.

    Raises:
        BodyplanError: the folder holds a demo of another size or seed, or a step failed.
    """
    start = time.monotonic()
    report = progress or no_progress
    plan = _planned(out, size, seed)
    dataset = build_dataset(
        out / "data",
        ROBOTS,
        DEMO_RECIPE,
        "forward",
        plan.data_steps,
        seed,
        progress=report,
        threads=threads,
    )
    config = train_config(plan, out)

    def log(update: int, metrics: Mapping[str, Any]) -> None:
        note = f"{metrics['updates_per_s']:.0f} updates/s"
        report("pre-training (IQL+EG)", update, plan.updates, note)

    run = train(config, log=log)
    trial = Trial(episodes=plan.episodes, seed=seed + 1, threads=threads)
    evaluation = evaluate(
        run.policy,
        ROBOTS,
        "forward",
        trial,
        dataset.card,
        report,
    )
    write_json(out / "evaluation.json", evaluation)
    films = film(
        run.policy,
        ROBOTS,
        progress=report,
    )
    page = write_report(out, dataset, films)
    return Demo(out, page, evaluation, time.monotonic() - start)


def train_config(plan: DemoPlan, out: Path) -> TrainConfig:
    """IQL with Embodiment Grouping, tuned for minutes on a CPU where the paper has hours on a GPU.

    Rewards scaled per robot ask for a lower beta than the paper's 3. Standardised observations and
    a high rate that falls to nothing let the small network learn in ten thousand updates.
    """
    return TrainConfig(
        data=out / "data",
        out=out,
        algorithm="iql",
        combine="grouped",
        groups=GROUPS,
        network="small",
        batch_size=256,
        updates=plan.updates,
        reward_scale="per_robot",
        observation_scale="shared",
        log_every=INTERVAL,
        checkpoint_every=5 * INTERVAL,
        seed=plan.seed,
        iql=IQL(
            beta=1.0,
            weight_clip=10.0,
            tau=0.01,
            learning_rate=4e-3,
            actor_decay=GROUPS * plan.updates,
        ),
    )


def _planned(out: Path, size: Literal["small", "full"], seed: int) -> DemoPlan:
    """The plan written down in the folder, or a new one."""
    path = out / "plan.json"
    if not path.is_file():
        plan = demo_plan(size, seed, control_steps_per_second())
        write_json(path, asdict(plan))
        return plan
    plan = DemoPlan(**read_json(path))
    if (plan.size, plan.seed) != (size, seed):
        raise BodyplanError(
            f"{out} holds a demo of size {plan.size} and seed {plan.seed}; "
            "choose another --out or remove the folder"
        )
    return plan


def control_steps_per_second(robot: str = "unitree_go1", seconds: float = 1.0) -> float:
    """How fast this machine simulates, observation and reward included."""
    environment = Environment(robot, num_envs=64)
    actions = np.zeros((64, environment.robot.num_joints))
    environment.step(actions)
    steps, start = 0, time.monotonic()
    while (elapsed := time.monotonic() - start) < seconds:
        environment.step(actions)
        steps += environment.num_envs
    return steps / elapsed
