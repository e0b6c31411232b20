"""Imports a user's own logs (.npz, HDF5, folders of .npy) into a dataset, by a mapping file.

`walking_task.compute_observation` scales the physical quantities, as it does for simulated robots.
Each file begins a new episode.
"""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.format import FRAME_ARRAYS, write_card
from bodyplan.datasets.io.array_files import open_arrays
from bodyplan.datasets.io.dataset_writer import new_dataset_folder
from bodyplan.datasets.io.episode_boundaries import FrameRows, frame_rows
from bodyplan.datasets.io.mapping_file import RobotLogs, read_mapping
from bodyplan.datasets.io.observations_from_logs import observations_from_log
from bodyplan.datasets.io.plausibility_checks import plausibility_notes
from bodyplan.datasets.io.robot_log import RobotLog
from bodyplan.envs.disturbances import Disturbances
from bodyplan.envs.walking_task import ACTION_LIMIT, Command, Observation
from bodyplan.errors import BodyplanError
from bodyplan.progress import OnProgress
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.robots.feature_sizes import COMMAND_COLUMNS
from bodyplan.robots.registry import model_paths
from bodyplan.robots.robot import Robot


class _FileData(NamedTuple):
    """Frames and steps of the episodes in one file."""

    observations: Observation
    actions: Float[np.ndarray, "N J"]
    rewards: Float[np.ndarray, "N"]
    frames: FrameRows


def import_arrays(
    mapping: str | Path, out: str | Path, progress: OnProgress | None = None
) -> Dataset:
    """Imports logs into a dataset, as a mapping file says.

    Args:
        mapping: the TOML file; docs/interchange.md is its reference.
        out: folder of the new dataset.
        progress: called after every file.

    Raises:
        BodyplanError: the mapping or a log is missing, damaged or wrong, or does not fit the robot
            or the task; `out` is not empty; the disk is full.
    """
    config = read_mapping(Path(mapping))
    robots = [Robot.load(logs.robot) for logs in config.robots]
    names = [robot.name for robot in robots]
    if len(set(names)) < len(names):
        raise BodyplanError(f"{mapping} has two tables of one robot; list all its files in one.")
    entries, commands = {}, Counter[Command]()
    with new_dataset_folder(Path(out)) as folder:
        for robot, logs in zip(robots, config.robots, strict=True):
            files = []
            for done, file in enumerate(logs.files, 1):
                files.append(_read_file(file, robot, logs, config.command))
                if progress:
                    progress(robot.name, done, len(logs.files))
            episodes = _join(robot, files)
            commands += _count_commands(episodes)
            entries[robot.name] = {
                **episodes.write(folder / robot.name),
                "files": len(logs.files),
                "given_up": sum(data.frames.dropped_steps for data in files),
                "unknown": [name for name, source in logs.quantities.items() if source.is_unknown],
                "notes": plausibility_notes(robot, logs, episodes),
            }
        commonest, count = commands.most_common(1)[0]
        metadata = {
            "source": "arrays",
            "recipe": config.recipe,
            "command": list(commonest),
            "seed": config.seed,
            **Disturbances(commands=1.0 - count / commands.total()).card(),
        }
        if models := model_paths(
            {robot.name: logs.robot for robot, logs in zip(robots, config.robots, strict=True)}
        ):
            metadata["models"] = models
        write_card(folder, metadata, entries)
    return Dataset.open(out)


def _read_file(file: Path, robot: Robot, logs: RobotLogs, command: Command | None) -> _FileData:
    with open_arrays(file) as container:
        log = RobotLog(container, robot, logs)
        actions = _read_actions(log)
        ends = log.episode_ends(len(actions))
        frames = frame_rows(ends, log.final_frame_source(len(actions), len(ends.stops)))
        if not len(frames.steps):
            raise BodyplanError(
                f"no complete step is left of {file}; leave it out, or give `next` to all observed "
                "quantities."
            )
        previous = _previous_actions(log, actions, frames)
        return _FileData(
            observations=observations_from_log(log, frames, previous, command),
            actions=actions[frames.steps].astype(np.float32),
            rewards=_read_rewards(log, len(actions))[frames.steps].astype(np.float32),
            frames=frames,
        )


def _read_rewards(log: RobotLog, count: int) -> Float[np.ndarray, "rows"]:
    rewards, least = log.steps("rewards", count)[:, 0], log.source("rewards").least
    rewards = rewards if least is None else np.maximum(rewards, least)
    if (rewards < 0.0).any():
        row = int(np.argmax(rewards < 0.0))
        raise BodyplanError(
            f"{log.path}: the reward in row {row} is {rewards[row]:g}, but the task's is never "
            "negative; give least = 0.0 to raise it to zero, or give offset."
        )
    return rewards


def _read_actions(log: RobotLog) -> Float[np.ndarray, "rows J"]:
    """Actions as offsets from the nominal pose, in units of the robot's action scale."""
    robot, source = log.robot, log.source("actions")
    actions = log.steps("actions", None)
    if source.kind == "target":
        actions = (actions - robot.nominal) / robot.action_scale
    elif source.unit is not None:
        actions = actions / robot.action_scale
    if (np.abs(actions) > ACTION_LIMIT).any():
        row, joint = np.argwhere(np.abs(actions) > ACTION_LIMIT)[0].tolist()
        other = (
            'kind = "offset" if actions are offsets from the nominal pose'
            if source.kind == "target"
            else 'kind = "target" if actions are joint positions'
        )
        raise BodyplanError(
            f"{log.path}: the action of joint '{robot.joints[joint]}' in row {row} is "
            f"{actions[row, joint]:.3g} times the action scale; give {other}, and their unit, and "
            "check joint_order."
        )
    return actions


def _previous_actions(
    log: RobotLog, actions: Float[np.ndarray, "rows J"], frames: FrameRows
) -> Float[np.ndarray, "frames J"]:
    """The action that led to each frame; zero for the first frame of an episode."""
    if log.has("previous_actions"):
        return log.frames("previous_actions", frames)
    previous = np.zeros((len(frames.rows), actions.shape[1]))
    previous[~frames.first] = actions[frames.steps]
    return previous


def _join(robot: Robot, files: list[_FileData]) -> Episodes:
    """The episodes of all files, in order."""
    starts = np.cumsum([0, *(len(data.rewards) for data in files[:-1])])
    ends = [data.frames.episode_ends + start for data, start in zip(files, starts, strict=True)]
    arrays = {
        name: np.concatenate([getattr(data.observations, name) for data in files])
        for name in FRAME_ARRAYS
    }
    arrays |= {
        name: np.concatenate([getattr(data, name) for data in files])
        for name in ("actions", "rewards")
    }
    arrays |= {
        name: np.concatenate([getattr(data.frames, name) for data in files])
        for name in ("terminated", "truncated")
    }
    return Episodes(
        **arrays,
        episode_ends=np.concatenate(ends),
        descriptors=RobotDescriptor(*(part[None] for part in robot.descriptor)),
    )


def _count_commands(episodes: Episodes) -> Counter[Command]:
    found, counts = np.unique(episodes.general[:, COMMAND_COLUMNS], axis=0, return_counts=True)
    pairs = zip(found.tolist(), counts.tolist(), strict=True)
    return Counter({(vx, vy, wz): count for (vx, vy, wz), count in pairs})
