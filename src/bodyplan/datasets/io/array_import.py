"""A user's own logs, read into a dataset by a mapping file.

Physical quantities go through `walking_task.compute_observation`, which also scales what the
simulated robots sense. Each file begins a new episode.
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
from bodyplan.datasets.io.dataset_writer import new_folder
from bodyplan.datasets.io.episode_boundaries import FrameRows, frame_rows
from bodyplan.datasets.io.mapping_file import RobotLogs, read_mapping
from bodyplan.datasets.io.observations_from_logs import scaled
from bodyplan.datasets.io.plausibility_checks import notes
from bodyplan.datasets.io.robot_log import RobotLog
from bodyplan.envs.disturbances import Disturbances
from bodyplan.envs.walking_task import ACTION_LIMIT, Command, Observation
from bodyplan.errors import BodyplanError
from bodyplan.progress import OnProgress
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.robots.feature_sizes import COMMAND_COLUMNS
from bodyplan.robots.registry import model_paths
from bodyplan.robots.robot import Robot


class _Piece(NamedTuple):
    """The episodes of one file."""

    seen: Observation
    actions: Float[np.ndarray, "N J"]
    rewards: Float[np.ndarray, "N"]
    frames: FrameRows


def import_arrays(
    mapping: str | Path, out: str | Path, progress: OnProgress | None = None
) -> Dataset:
    """Reads logs into a dataset, as a mapping file says.

    Args:
        mapping: the TOML.
        out: the dataset's folder.
        progress: called after every file.

    Raises:
        BodyplanError: the mapping or a file is missing, damaged or wrong, what they hold does not
            fit the robot or the task, or the disk is full.
    """
    asked = read_mapping(Path(mapping))
    robots = [Robot.load(logs.robot) for logs in asked.robots]
    names = [robot.name for robot in robots]
    if len(set(names)) < len(names):
        raise BodyplanError(f"{mapping} has two tables of one robot; list all its files in one.")
    entries, commands = {}, Counter[Command]()
    with new_folder(Path(out)) as folder:
        for robot, logs in zip(robots, asked.robots, strict=True):
            pieces = []
            for done, file in enumerate(logs.files, 1):
                pieces.append(_read(file, robot, logs, asked.command))
                if progress:
                    progress(robot.name, done, len(logs.files))
            episodes = _join(robot, pieces)
            commands += _commands(episodes)
            entries[robot.name] = {
                **episodes.write(folder / robot.name),
                "files": len(logs.files),
                "given_up": sum(piece.frames.given_up for piece in pieces),
                "unknown": [name for name, own in logs.quantities.items() if own.is_unknown],
                "notes": notes(robot, logs, episodes),
            }
        commonest, count = commands.most_common(1)[0]
        facts = Disturbances(commands=1.0 - count / commands.total()).card()
        sources = {robot.name: logs.robot for robot, logs in zip(robots, asked.robots, strict=True)}
        if own := model_paths(sources):
            facts["models"] = own
        told = {"source": "arrays", "recipe": asked.recipe, "command": list(commonest)}
        write_card(folder, {**told, "seed": asked.seed, **facts}, entries)
    return Dataset.open(out)


def _read(file: Path, robot: Robot, logs: RobotLogs, command: Command | None) -> _Piece:
    with open_arrays(file) as container:
        log = RobotLog(container, robot, logs)
        actions = _actions(log)
        ends = log.ends(len(actions))
        frames = frame_rows(ends, log.closing(len(actions), len(ends.stops)))
        if not len(frames.steps):
            raise BodyplanError(
                f"no whole step is left of {file}; leave it out, or give `next` to all that is "
                "sensed."
            )
        led = _last_actions(log, actions, frames)
        return _Piece(
            seen=scaled(log, frames, led, command),
            actions=actions[frames.steps].astype(np.float32),
            rewards=_rewards(log, len(actions))[frames.steps].astype(np.float32),
            frames=frames,
        )


def _rewards(log: RobotLog, count: int) -> Float[np.ndarray, "rows"]:
    rewards, least = log.steps("rewards", count)[:, 0], log.quantity("rewards").least
    rewards = rewards if least is None else np.maximum(rewards, least)
    if (rewards < 0.0).any():
        row = int(np.argmax(rewards < 0.0))
        raise BodyplanError(
            f"{log.path}: the reward in row {row} is {rewards[row]:g}, and the task's is never "
            "negative; give least = 0.0 to cut it off there, or offset."
        )
    return rewards


def _actions(log: RobotLog) -> Float[np.ndarray, "rows J"]:
    """In units of the robot's action scale, from its nominal pose."""
    robot, given = log.robot, log.quantity("actions")
    actions = log.steps("actions", None)
    if given.kind == "target":
        actions = (actions - robot.nominal) / robot.action_scale
    elif given.unit is not None:
        actions = actions / robot.action_scale
    if (np.abs(actions) > ACTION_LIMIT).any():
        row, joint = np.argwhere(np.abs(actions) > ACTION_LIMIT)[0].tolist()
        other = (
            'kind = "offset" if actions are offsets from the nominal pose'
            if given.kind == "target"
            else 'kind = "target" if actions are joint positions'
        )
        raise BodyplanError(
            f"{log.path}: the action of joint '{robot.joints[joint]}' in row {row} is "
            f"{actions[row, joint]:.3g} times the action scale; give {other}, and their unit, and "
            "check joint_order."
        )
    return actions


def _last_actions(
    log: RobotLog, actions: Float[np.ndarray, "rows J"], frames: FrameRows
) -> Float[np.ndarray, "frames J"]:
    """The action that led to each frame; none did to an episode's first."""
    if log.has("previous_actions"):
        return log.frames("previous_actions", frames)
    led = np.zeros((len(frames.rows), actions.shape[1]))
    led[~frames.first] = actions[frames.steps]
    return led


def _join(robot: Robot, pieces: list[_Piece]) -> Episodes:
    ends = [piece.frames.episode_ends for piece in pieces]
    before = np.cumsum([0, *(len(piece.rewards) for piece in pieces[:-1])])
    arrays = {
        name: np.concatenate([getattr(piece.seen, name) for piece in pieces])
        for name in FRAME_ARRAYS
    }
    arrays |= {
        name: np.concatenate([getattr(piece, name) for piece in pieces])
        for name in ("actions", "rewards")
    }
    arrays |= {
        name: np.concatenate([getattr(piece.frames, name) for piece in pieces])
        for name in ("terminated", "truncated")
    }
    return Episodes(
        **arrays,
        episode_ends=np.concatenate([own + start for own, start in zip(ends, before, strict=True)]),
        descriptors=RobotDescriptor(*(part[None] for part in robot.descriptor)),
    )


def _commands(episodes: Episodes) -> Counter[Command]:
    found, counts = np.unique(episodes.general[:, COMMAND_COLUMNS], axis=0, return_counts=True)
    pairs = zip(found.tolist(), counts.tolist(), strict=True)
    return Counter({(vx, vy, wz): count for (vx, vy, wz), count in pairs})
