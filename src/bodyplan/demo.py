"""The demo: data, pre-training, evaluation and report of four robots on one small machine.

The four robots differ in their bodies. Their forward datasets, 30 % suboptimal, are recorded from
the packaged policy snapshots. One policy is trained by IQL with Embodiment Grouping (two groups).
It is evaluated over whole episodes in reference physics.

The number of steps and updates follows the speed of the machine, so that the demo takes about the
same time everywhere. The speed is measured once and saved, so an interrupted demo continues with
the same sizes.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from bodyplan.datasets.build import build_dataset
from bodyplan.datasets.rollout_schedule import RecordingSizes
from bodyplan.envs.environment import Environment
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.evaluate import evaluate_policy
from bodyplan.evaluation.evaluation import Evaluation, EvaluationConfig
from bodyplan.evaluation.video import robot_videos
from bodyplan.experiments.pretraining import train
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.config import TrainConfig
from bodyplan.progress import OnProgress, no_progress
from bodyplan.records import read_record
from bodyplan.report.page import write_report
from bodyplan.robots.robot import Robot
from bodyplan.storage import write_json

DEMO_ROBOTS = ("unitree_go1", "anymal_c", "badger", "hexapod")
DEMO_RECIPE = "suboptimal30"
DEMO_RESTART_STEPS = 250
"""Policies that fall start often, and those that walk once in an episode. With the experts' own
episodes of 250 steps the data have more of their starts."""
DEMO_GROUPS = 2
INTERVAL = 100
"""Updates in one compiled dispatch."""
REFERENCE_SPEED = 18_000.0
"""Control steps per second of the unitree_go1 on the machine that the sizes were chosen for."""


@dataclass(frozen=True)
class DemoPlan:
    """The sizes of a demo, saved as plan.json before it starts."""

    size: str
    """small or full."""
    seed: int
    """Seed of data, training and evaluation."""
    speed: float
    """Control steps per second that this machine simulates."""
    data_steps: int
    """Control steps of data for each robot."""
    updates: int
    """Updates of the training."""
    episodes: int
    """Episodes of each robot in the evaluation."""
    robots: tuple[str, ...] = DEMO_ROBOTS
    """Names of the robots."""
    network: Literal["small", "tiny"] = "small"
    """Size of the networks."""
    batch_size: int = 256
    """Transitions of each robot in one update."""
    video_seconds: float = 4.0
    """Length of each video."""


@dataclass(frozen=True)
class DemoResult:
    """A finished demo."""

    run: Path
    """Folder of the run."""
    report: Path
    """The HTML page."""
    evaluation: Evaluation
    seconds: float
    """Duration of this call."""


def demo_plan(size: Literal["small", "full"], seed: int, speed: float) -> DemoPlan:
    """Sizes for a machine with this speed; `full` takes four times as long as `small`."""
    factor = float(np.clip(speed / REFERENCE_SPEED, 0.25, 2.0))
    factor *= {"small": 1.0, "full": 4.0}[size]
    return DemoPlan(
        size=size,
        seed=seed,
        speed=round(speed, 1),
        data_steps=int(200_000 * factor) // 1000 * 1000,
        updates=int(11_500 * factor) // INTERVAL * INTERVAL,
        episodes=64,
    )


def run_demo(
    size: Literal["small", "full"],
    out: str | Path,
    seed: int = 0,
    threads: int | None = None,
    progress: OnProgress | None = None,
) -> DemoResult:
    """Run the demo, or what is left of an interrupted one.

    Args:
        size: `small`, or `full` for a demo that takes four times as long.
        out: folder of the run; the data are in its folder `data`.
        seed: seed of data, training and evaluation.
        threads: threads of the simulation; all cores by default.
        progress: called as the work goes on.

    Raises:
        BodyplanError: the folder holds a demo of another size or seed, or a step failed.
    """
    start, out, report = time.monotonic(), Path(out), progress or no_progress
    plan = _saved_plan(out, size, seed)
    dataset = build_dataset(
        out / "data",
        plan.robots,
        DEMO_RECIPE,
        "forward",
        plan.data_steps,
        seed,
        progress=report,
        threads=threads,
        sizes=RecordingSizes(restart_steps=DEMO_RESTART_STEPS),
    )

    def log(update: int, metrics: Mapping[str, Any]) -> None:
        note = f"{metrics['updates_per_s']:.0f} updates/s"
        report("pre-training (IQL+EG)", update, plan.updates, note)

    run = train(train_config(plan, out), log=log)
    robots = [Robot.load(name) for name in plan.robots]
    evaluation = evaluate_policy(
        run.policy,
        robots,
        "forward",
        EvaluationConfig(plan.episodes, seed + 1, threads=threads),
        dataset.card,
        report,
    )
    evaluation.save(out / "evaluation.json")
    videos = robot_videos(run.policy, robots, seconds=plan.video_seconds, progress=report)
    page = write_report(out, dataset, videos)
    return DemoResult(out, page, evaluation, time.monotonic() - start)


def train_config(plan: DemoPlan, out: Path) -> TrainConfig:
    """IQL with Embodiment Grouping, tuned for minutes on a CPU instead of hours on a GPU.

    Rewards are scaled per robot, which needs a lower beta than the paper's 3. The small network
    learns in ten thousand updates with standardised observations and a high learning rate that
    decays to zero.
    """
    return TrainConfig(
        data=out / "data",
        out=out,
        combine="grouped",
        groups=DEMO_GROUPS,
        network=plan.network,
        batch_size=plan.batch_size,
        updates=plan.updates,
        reward_scale="per_robot",
        observation_scale="shared",
        log_every=INTERVAL,
        checkpoint_every=5 * INTERVAL,
        seed=plan.seed,
        algorithm=IQL(
            beta=0.3,
            weight_clip=10.0,
            tau=0.01,
            learning_rate=4e-3,
            actor_decay=plan.updates,
        ),
    )


def _saved_plan(out: Path, size: Literal["small", "full"], seed: int) -> DemoPlan:
    """The plan of the demo in this folder, or a new plan."""
    path = out / "plan.json"
    if not path.is_file():
        plan = demo_plan(size, seed, simulation_speed())
        write_json(path, asdict(plan))
        return plan
    plan = msgspec.convert(read_record(path, DemoPlan, f"remove the folder {out}"), DemoPlan)
    if (plan.size, plan.seed) != (size, seed):
        raise BodyplanError(
            f"{out} holds a demo of size {plan.size} and seed {plan.seed}; "
            "give another --out or remove the folder"
        )
    return plan


def simulation_speed(robot: str = "unitree_go1", seconds: float = 1.0) -> float:
    """Control steps per second that this machine simulates, with observations and rewards."""
    environment = Environment(robot, num_envs=64)
    actions = np.zeros((64, environment.robot.num_joints))
    environment.step(actions)
    steps, start = 0, time.monotonic()
    while (elapsed := time.monotonic() - start) < seconds:
        environment.step(actions)
        steps += environment.num_envs
    return steps / elapsed
