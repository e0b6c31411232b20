"""Trains one robot's expert by PPO and returns snapshots of its policy along the way.

The snapshots are graded later, in the plain task and reference physics. What helps the robot to
learn is in `curriculum.py` and `training_environment.py`.
"""

from contextlib import nullcontext
from pathlib import Path

import numpy as np

from bodyplan.datasets.policy_snapshots import Snapshots
from bodyplan.datasets.replay_log import chunk_paths, join_chunks, write_log
from bodyplan.envs.walking_task import parse_command
from bodyplan.errors import BodyplanError
from bodyplan.experts.expert_config import ExpertConfig, stored_settings
from bodyplan.experts.ppo_runner import LogIteration, PPORunner
from bodyplan.locking import writer_lock
from bodyplan.robots.registry import model_paths
from bodyplan.safe_points import safe_points


def train_expert(
    config: ExpertConfig,
    folder: Path,
    log: LogIteration | None = None,
    replay: Path | None = None,
) -> Snapshots:
    """Train one robot's expert by PPO; the same call continues an interrupted run.

    Args:
        config: the run's settings.
        folder: for checkpoints and chunks of the replay log; not needed after the run.
        log: called after each iteration with the training steps and the metrics.
        replay: where to write the dataset of the logged robots, if `config.log_replay` asks
            for any.

    Returns:
        The run's snapshots, not graded yet: their returns are those seen in training.

    Raises:
        BodyplanError: a setting is unknown or out of range, the folder holds a run with other
            settings, or another process writes to it.
    """
    if config.snapshots < 1 or (config.steps is not None and config.steps < 1):
        raise BodyplanError("--steps and --snapshots must be at least 1")
    with writer_lock(folder):
        return _train(PPORunner(config), folder, log, replay)


def _train(
    runner: PPORunner, folder: Path, log: LogIteration | None, replay: Path | None
) -> Snapshots:
    """`train_expert`, which alone writes into the folder."""
    _check_log_replay(runner)
    checkpoint = folder / "checkpoint.safetensors"
    if checkpoint.is_file():
        runner.resume(checkpoint)
    iteration = 0
    with safe_points() as stop:
        while runner.steps < runner.total_steps:
            # The first iteration compiles, and until it ends there is nothing to save.
            with stop.at_once() if iteration == 0 else nullcontext():
                metrics = runner.iterate()
            iteration += 1
            if log is not None:
                log(runner.steps, metrics)
            stops, ends = stop.requested(), runner.steps >= runner.total_steps
            if stops or ends or iteration % runner.config.checkpoint_every == 0:
                runner.save(checkpoint)
            if stops:
                stop.now()
    if replay is not None and not replay.is_dir():
        _write_replay(runner, folder, replay)
    return _snapshots(runner)


def _check_log_replay(runner: PPORunner) -> None:
    asked, num_envs = runner.config.log_replay, runner.ppo_config.num_envs
    if not 0 <= asked <= num_envs:
        raise BodyplanError(f"--log-replay must be from 0 to {num_envs}")
    environment = runner.environment
    if asked and (environment.assistance or environment.command_sampler.is_random):
        raise BodyplanError(
            "--log-replay needs robots that train without assistance under one command; "
            f"{runner.robot.name} has assistance or several commands, so build its data from "
            "snapshots"
        )


def _write_replay(runner: PPORunner, folder: Path, out: Path) -> None:
    """Write the logged steps as a dataset and remove their chunks."""
    config, robot = runner.config, runner.robot
    chunks = chunk_paths(folder, runner.replay_cuts)
    episodes, ends = join_chunks(robot, chunks, runner.ppo_config.num_envs)
    settings = {
        "command": list(parse_command(config.command)),
        "seed": config.seed,
        "physics": config.physics,
        "initial_state": runner.environment.task.initial_state,
        "training": stored_settings(config),
    }
    write_log(out, robot, episodes, ends, settings | config.disturbances.card())
    for chunk in chunks:
        chunk.unlink()


def _snapshots(runner: PPORunner) -> Snapshots:
    robot, taken_at = runner.robot, runner.recorder.steps
    steps, returns, lengths = np.array(runner.curve, float).T
    card = {
        "robot": robot.name,
        "command": list(runner.environment.command_sampler.graded[0]),
        "steps": taken_at,
        "return_mean": np.interp(taken_at, steps, returns).round(3).tolist(),
        "length_mean": np.interp(taken_at, steps, lengths).round(1).tolist(),
        "curve": runner.curve,
        "settings": runner.settings,
    }
    if model := model_paths({robot.name: runner.config.robot}):
        card["model"] = model[robot.name]
    return runner.recorder.snapshots(runner.environment.action_prior, card)
