"""Training an expert: run its course, keep snapshots of the policy on the way.

What is recorded and graded later is the task itself in reference physics; what helps the learner
along is in `course.py`.
"""

from pathlib import Path

import numpy as np

from bodyplan.datasets.policy_snapshots import Snapshots
from bodyplan.datasets.replay_log import chunk_paths, join_chunks, write_log
from bodyplan.envs.walking_task import parse_command
from bodyplan.errors import BodyplanError
from bodyplan.experts.expert_config import ExpertConfig, comparable_settings
from bodyplan.experts.export_snapshot import constant_tensors
from bodyplan.experts.ppo_runner import OnIteration, PPORunner
from bodyplan.robots.registry import model_paths


def train_expert(
    config: ExpertConfig, folder: Path, log: OnIteration | None = None, replay: Path | None = None
) -> Snapshots:
    """Train one robot's expert by PPO; the same call continues an interrupted run.

    Args:
        config: what to train.
        folder: takes checkpoints and the chunks of the log; at the end nothing is needed of it.
        log: called with the step count and metrics after each iteration.
        replay: takes the dataset of what was logged, where the configuration says how many robots.

    Returns:
        The run's snapshots, not graded yet: their returns are those seen in training.

    Raises:
        BodyplanError: unknown robot, nothing asked for, or the folder holds a run with other
            settings.
    """
    if config.snapshots < 1 or (config.steps is not None and config.steps < 1):
        raise BodyplanError("--steps and --snapshots must be at least 1")
    course = PPORunner(config)
    if not 0 <= config.log_replay <= course.hyper.num_envs:
        raise BodyplanError(f"--log-replay must be from 0 to {course.hyper.num_envs}")
    if config.log_replay and (course.assistance or course.commands.varied):
        raise BodyplanError(
            "--log-replay keeps the steps of robots that walk by themselves under one command; "
            f"{course.robot.name} is helped or told several, so build from snapshots"
        )
    saved = folder / "checkpoint.safetensors"
    if saved.is_file():
        course.resume(saved)
    iteration = 0
    while course.steps < course.total_steps:
        metrics = course.iterate()
        iteration += 1
        if log is not None:
            log(course.steps, metrics)
        if iteration % config.checkpoint_every == 0 or course.steps >= course.total_steps:
            course.save(saved)
    if replay is not None and not replay.is_dir():
        _write_replay(course, folder, replay)
    return _snapshots(course)


def _write_replay(course: PPORunner, folder: Path, out: Path) -> None:
    config, robot = course.config, course.robot
    chunks = chunk_paths(folder, course.logged)
    episodes, ends = join_chunks(robot, chunks, course.hyper.num_envs)
    settings = {
        "command": list(parse_command(config.command)),
        "seed": config.seed,
        "physics": config.physics,
        "initial_state": course.environment.initial_state,
        "training": comparable_settings(config),
    }
    write_log(out, robot, episodes, ends, settings | config.disturbances.card())
    for chunk in chunks:
        chunk.unlink()


def _snapshots(course: PPORunner) -> Snapshots:
    config, robot = course.config, course.robot
    steps, returns, lengths = np.array(course.curve, float).T
    card = {
        "robot": robot.name,
        "command": list(course.commands.graded[0]),
        "steps": course.taken,
        "return_mean": np.interp(course.taken, steps, returns).round(3).tolist(),
        "length_mean": np.interp(course.taken, steps, lengths).round(1).tolist(),
        "curve": course.curve,
        "settings": course.settings,
    }
    if model := model_paths({robot.name: config.robot}):
        card["model"] = model[robot.name]
    # A short run may have fewer updates than snapshots were asked for.
    taken = {name: tensor[: len(course.taken)] for name, tensor in course.tensors.items()}
    return Snapshots(taken | constant_tensors(course.prior), card)
