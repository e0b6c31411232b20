"""The replay log of an expert's PPO run: every step of some of its environments, as they were.

A dataset has two possible sources. Policy snapshots are rolled out again (`snapshot_rollouts`). The
replay log contains the run's own steps, with the physics, penalties and exploration of training. It
is a dataset of one robot. Its card also has the training step at which each episode ended, so that
a recipe can find its phases (`episode_selection`).

    <folder>/<robot>/<command>.replay/      the dataset

While the run is training, the log is saved in chunks, one at each checkpoint.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.descriptor_sets import DescriptorTable, concatenate_sets
from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.format import CARD, STEP_ARRAYS, write_card
from bodyplan.datasets.recording_parts import read_temporary_array
from bodyplan.datasets.snapshot_rollouts import RecordedFrames, Recording
from bodyplan.envs.environment import StepResult
from bodyplan.envs.walking_task import Command, Observation, command_name
from bodyplan.errors import BodyplanError
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.robots.robot import Robot
from bodyplan.storage import atomic_folder, atomic_write

REPLAY_RECIPE = "replay"
"""The recipe in the card of a log."""
EPISODE_END_STEPS = "training_steps"
"""The card's list of training steps at which episodes ended."""
_FRAME_KEYS = ("joints", "feet", "general", "bodies")
"""Names in a chunk of the fields of `RecordedFrames`."""


class ReplayLog(NamedTuple):
    """The replay log of one robot's run."""

    episodes: Episodes
    ends: Int[np.ndarray, "E"]
    """Training step at which each episode ended, counted over all environments."""
    card: Mapping[str, Any]


class ReplayChunk:
    """The steps logged since the last checkpoint of a run, in memory until they are saved."""

    def __init__(self, num_logged: int) -> None:
        """Begins an empty chunk for the first `num_logged` environments of the run."""
        self._count = num_logged
        self._table = DescriptorTable(num_logged)
        self._first_frames: list[RecordedFrames] = []
        self._steps: list[tuple[np.ndarray, ...]] = []
        self._final_frames: list[RecordedFrames] = []  # of the episodes that ended at each time
        self._latest: RecordedFrames | None = None  # after the latest step

    def add_observation(self, observation: Observation, descriptor: RobotDescriptor) -> None:
        """Logs what the environments observe before a step.

        Args:
            observation: of all B environments of the run.
            descriptor: one set for all environments, or a leading axis of B.
        """
        self._first_frames.append(self._frames(observation, descriptor))

    def add_step(
        self, actions: Float[np.ndarray, "B J"], step: StepResult, descriptor: RobotDescriptor
    ) -> None:
        """Logs the actions and results of a step, before any reset; arguments as above."""
        logged = (actions, step.reward, step.terminated, step.truncated & ~step.terminated)
        kept = tuple(np.array(part[: self._count]) for part in logged)
        self._steps.append(kept)
        self._latest = self._frames(step.observation, descriptor)
        ended = kept[2] | kept[3]
        self._final_frames.append(RecordedFrames(*(part[ended] for part in self._latest)))

    def save(self, path: Path, last: bool) -> None:
        """Writes the chunk; the run's `last` chunk truncates the episodes that have not ended.

        Raises:
            BodyplanError: the disk is full, or the place cannot be written to.
        """
        steps = dict(zip(STEP_ARRAYS, map(np.stack, zip(*self._steps, strict=True)), strict=True))
        if last and self._latest:
            steps["truncated"][-1] = ~steps["terminated"][-1]
            self._final_frames[-1] = self._latest
        first = map(np.stack, zip(*self._first_frames, strict=True))
        final = map(np.concatenate, zip(*self._final_frames, strict=True))
        with atomic_write(path) as temporary:
            np.savez(
                temporary,
                allow_pickle=False,
                **steps,
                **{f"opening.{key}": part for key, part in zip(_FRAME_KEYS, first, strict=True)},
                **{f"closing.{key}": part for key, part in zip(_FRAME_KEYS, final, strict=True)},
                **{f"descriptors.{key}": p for key, p in self._table.table._asdict().items()},
            )

    def _frames(self, observation: Observation, descriptor: RobotDescriptor) -> RecordedFrames:
        joints, feet, general = (np.array(part[: self._count]) for part in observation)
        if descriptor.context.ndim > 1:
            descriptor = RobotDescriptor(*(part[: self._count] for part in descriptor))
        return RecordedFrames(joints, feet, general, self._table.add(descriptor))


def join_chunks(
    robot: Robot, chunks: Sequence[Path], num_envs: int
) -> tuple[Episodes, Int[np.ndarray, "E"]]:
    """The episodes of a run's chunks, and the training step at which each of them ended.

    Args:
        robot: the robot.
        chunks: files that `ReplayChunk.save` wrote, in order.
        num_envs: number of environments of the run, logged or not.

    Returns:
        The episodes of the first logged environment, then those of the second, and so on; and for
        each episode the training step, counted over all environments.

    Raises:
        BodyplanError: a chunk is missing or damaged.
    """
    shapes = [read_temporary_array(path, "rewards").shape for path in chunks]
    times, num_logged = sum(length for length, _ in shapes), shapes[0][1]
    recording = Recording.empty(robot, num_logged * times)
    tables: list[RobotDescriptor] = []
    start = num_sets = 0
    for path, (length, _) in zip(chunks, shapes, strict=True):
        _insert_chunk(recording, path, start, times, num_sets)
        tables.append(RobotDescriptor(*_read_arrays(path, "descriptors", RobotDescriptor._fields)))
        start, num_sets = start + length, num_sets + len(tables[-1].context)
    episodes = recording.episodes(concatenate_sets(tables))
    return episodes, ((episodes.episode_ends - 1) % times + 1) * num_envs


def write_log(
    folder: Path,
    robot: Robot,
    episodes: Episodes,
    ends: Int[np.ndarray, "E"],
    settings: Mapping[str, Any],
) -> None:
    """Writes a log as a dataset that is whole or absent.

    Args:
        folder: the dataset's folder.
        robot: the robot.
        episodes: its logged episodes.
        ends: training step at which each episode ended.
        settings: further entries of the card: command, seed, physics, disturbances.

    Raises:
        BodyplanError: the disk is full, or the place cannot be written to.
    """
    metadata = {"recipe": REPLAY_RECIPE, **settings, "steps": episodes.num_steps}
    with atomic_folder(folder) as partial:
        entry = {**episodes.write(partial / robot.name), EPISODE_END_STEPS: ends.tolist()}
        write_card(partial, metadata, {robot.name: entry})


def read_log(robot: str, command: Command, folder: str | Path) -> ReplayLog:
    """Reads the log of a robot's run for a command.

    Raises:
        BodyplanError: the log is missing or damaged.
    """
    path = replay_path(robot, command, folder)
    if not path.is_dir():
        name = command_name(command)
        raise BodyplanError(
            f"there is no log of the run of {robot} for the command {name} ({path} is missing); "
            f"record one with `bodyplan experts train {robot} --command {name} --log-replay 64`."
        )
    dataset = Dataset.open(path)
    entry, episodes = dataset.card["robots"].get(robot, {}), dataset.episodes.get(robot)
    if episodes is None or len(entry.get(EPISODE_END_STEPS, ())) != episodes.num_episodes:
        raise BodyplanError(
            f"{path / CARD} does not say when the episodes of {robot} ended; restore it."
        )
    return ReplayLog(episodes, np.array(entry[EPISODE_END_STEPS]), dataset.card)


def chunk_paths(folder: Path, checkpoints: Sequence[int]) -> list[Path]:
    """Files of the chunks that lie between the training steps of consecutive checkpoints."""
    return [folder / f"{REPLAY_RECIPE}-{start:012d}.npz" for start in checkpoints[:-1]]


def replay_path(robot: str, command: Command, folder: str | Path) -> Path:
    """Folder of the log of a robot's run for a command."""
    return Path(folder) / robot / f"{command_name(command)}.{REPLAY_RECIPE}"


def robots_with_log(command: Command, folder: str | Path) -> tuple[str, ...]:
    """Names of the robots whose run for a command has a log in the folder.

    Raises:
        BodyplanError: there is none.
    """
    name = command_name(command)
    robots = tuple(
        sorted(path.parent.name for path in Path(folder).glob(f"*/{name}.{REPLAY_RECIPE}"))
    )
    if not robots:
        raise BodyplanError(
            f"no robot has a log for the command {name} in {folder}; record some with "
            "`bodyplan experts train ROBOT --log-replay 64`, or give another command."
        )
    return robots


def _insert_chunk(recording: Recording, path: Path, start: int, times: int, num_sets: int) -> None:
    """Copies a chunk, whose arrays are [time, environment], into rows of each environment.

    Args:
        recording: the whole recording.
        path: the chunk.
        start: the chunk's first time.
        times: number of times in the recording.
        num_sets: descriptor sets of the chunks before, which come first in the table.
    """

    def insert(store: np.ndarray, part: np.ndarray) -> None:
        length, count = part.shape[:2]
        by_environment = store.reshape(count, times, *store.shape[1:])
        by_environment[:, start : start + length] = part.swapaxes(0, 1)

    steps = {name: read_temporary_array(path, name) for name in STEP_ARRAYS}
    for name, part in steps.items():
        insert(getattr(recording, name), part)
    first, final = (
        RecordedFrames(*_read_arrays(path, prefix, _FRAME_KEYS))
        for prefix in ("opening", "closing")
    )
    first = first._replace(descriptor_ids=first.descriptor_ids + num_sets)
    for store, part in zip(recording.first_frames, first, strict=True):
        insert(store, part)
    time, environment = np.nonzero(steps["terminated"] | steps["truncated"])
    rows = environment * times + start + time
    final = final._replace(descriptor_ids=final.descriptor_ids + num_sets)
    recording.final_frames.append((rows, final))


def _read_arrays(path: Path, prefix: str, names: Sequence[str]) -> list[np.ndarray]:
    return [read_temporary_array(path, f"{prefix}.{name}") for name in names]
