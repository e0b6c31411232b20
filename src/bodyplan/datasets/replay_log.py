"""Replay: every step of some of the robots of a PPO run, as they were taken.

Snapshots lived again (`recording.py`) are one source of data, the literal log the other: training's
own physics, its penalties as they rose, its random actions. The log of a run is a dataset of one
robot whose card adds to each episode the training step at which it ended, so that recipes can find
their phases in it (`thinning.py`).

    <folder>/<robot>/<command>.replay/      the dataset
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
from bodyplan.datasets.recording_parts import read_stored
from bodyplan.datasets.snapshot_rollouts import RecordedFrames, Recording
from bodyplan.envs.environment import StepResult
from bodyplan.envs.walking_task import Command, Observation, command_name
from bodyplan.errors import BodyplanError
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.robots.robot import Robot
from bodyplan.storage import atomic_folder, atomic_write

REPLAY_RECIPE = "replay"
"""What the card of a log gives as its recipe."""
EPISODE_END_STEPS = "training_steps"
"""The card's list of when episodes ended, in control steps of all robots together."""


class ReplayLog(NamedTuple):
    """One robot's replay."""

    episodes: Episodes
    ends: Int[np.ndarray, "E"]
    """Training step at which each episode ended."""
    card: Mapping[str, Any]


class ReplayChunk:
    """The logged robots' steps since the last checkpoint of the run, in memory until saved."""

    def __init__(self, robots: int) -> None:
        """Nothing is logged yet of the first `robots` of all that are simulated."""
        self._count = robots
        self._register = DescriptorTable(robots)
        self._opening: list[RecordedFrames] = []
        self._steps: list[tuple[np.ndarray, ...]] = []
        self._closing: list[RecordedFrames] = []
        """Of those whose episode ended, step by step."""
        self._after: RecordedFrames | None = None
        """What all sensed after the latest step."""

    def add_observation(self, observation: Observation, descriptor: RobotDescriptor) -> None:
        """What the robots sense before a step; `descriptor` is of all or has one row a robot."""
        self._opening.append(self._frames(observation, descriptor))

    def add_step(
        self, actions: Float[np.ndarray, "N J"], step: StepResult, descriptor: RobotDescriptor
    ) -> None:
        """What they did then, and what came of it, before any reset."""
        own = (actions, step.reward, step.terminated, step.truncated & ~step.terminated)
        kept = tuple(np.array(part[: self._count]) for part in own)
        self._steps.append(kept)
        self._after = self._frames(step.observation, descriptor)
        ended = kept[2] | kept[3]
        self._closing.append(RecordedFrames(*(part[ended] for part in self._after)))

    def save(self, path: Path, last: bool) -> None:
        """Writes the chunk, time by time; the `last` one of a run ends every episode."""
        steps = dict(zip(STEP_ARRAYS, map(np.stack, zip(*self._steps, strict=True)), strict=True))
        if last and self._after:
            steps["truncated"][-1] = ~steps["terminated"][-1]
            self._closing[-1] = self._after
        opening = RecordedFrames(*map(np.stack, zip(*self._opening, strict=True)))
        closing = RecordedFrames(*map(np.concatenate, zip(*self._closing, strict=True)))
        with atomic_write(path) as temporary:
            np.savez(
                temporary,
                allow_pickle=False,
                **steps,
                **_named("opening", opening),
                **_named("closing", closing),
                **_named("descriptors", self._register.table),
            )

    def _frames(self, observation: Observation, descriptor: RobotDescriptor) -> RecordedFrames:
        joints, feet, general = (np.array(part[: self._count]) for part in observation)
        bodies = self._register.add(_of_first(descriptor, self._count))
        return RecordedFrames(joints, feet, general, bodies)


def join_chunks(
    robot: Robot, chunks: Sequence[Path], simulated: int
) -> tuple[Episodes, Int[np.ndarray, "E"]]:
    """The episodes in a run's chunks, robot after robot, and the training step each ended at.

    Args:
        robot: the body.
        chunks: files that `Chunk.save` wrote, in order.
        simulated: robots that were simulated side by side, logged or not.

    Raises:
        BodyplanError: a chunk is missing or damaged.
    """
    shapes = [read_stored(path, "rewards").shape for path in chunks]
    moments, logged = sum(length for length, _ in shapes), shapes[0][1]
    recording = Recording.blank(robot, logged * moments)
    tables: list[RobotDescriptor] = []
    begin = sets = 0
    for path, (length, _) in zip(chunks, shapes, strict=True):
        _place(recording, path, begin, moments, sets)
        tables.append(RobotDescriptor(*_read_parts(path, "descriptors", RobotDescriptor)))
        begin, sets = begin + length, sets + len(tables[-1].context)
    episodes = recording.episodes(concatenate_sets(tables))
    return episodes, ((episodes.episode_ends - 1) % moments + 1) * simulated


def write_log(
    folder: Path,
    robot: Robot,
    episodes: Episodes,
    ends: Int[np.ndarray, "E"],
    settings: Mapping[str, Any],
) -> None:
    """Writes a log as a dataset that is whole or absent.

    Args:
        folder: of the dataset.
        robot: the body.
        episodes: its replay.
        ends: training step at which each episode ended.
        settings: what the card says besides: command, seed, physics, disturbances.

    Raises:
        BodyplanError: the disk is full, or the place cannot be written to.
    """
    told = {"recipe": REPLAY_RECIPE, **settings, "steps": episodes.num_steps}
    with atomic_folder(folder) as partial:
        entry = {**episodes.write(partial / robot.name), EPISODE_END_STEPS: ends.tolist()}
        write_card(partial, told, {robot.name: entry})


def read_log(robot: str, command: Command, folder: str | Path) -> ReplayLog:
    """The log of a robot's run under a command.

    Raises:
        BodyplanError: there is none, or it is damaged.
    """
    path = replay_path(robot, command, folder)
    if not path.is_dir():
        name = command_name(command)
        raise BodyplanError(
            f"there is no log of {robot}'s run under {name} ({path} is missing); take one with "
            f"`bodyplan experts train {robot} --command {name} --log-replay 64`."
        )
    dataset = Dataset.open(path)
    entry, episodes = dataset.card["robots"].get(robot, {}), dataset.episodes.get(robot)
    if episodes is None or len(entry.get(EPISODE_END_STEPS, ())) != episodes.num_episodes:
        raise BodyplanError(
            f"{path / CARD} does not say when {robot}'s episodes ended; restore it."
        )
    return ReplayLog(episodes, np.array(entry[EPISODE_END_STEPS]), dataset.card)


def chunk_paths(folder: Path, between: Sequence[int]) -> list[Path]:
    """Where a run keeps its chunks, which lie between these training steps."""
    return [folder / f"{REPLAY_RECIPE}-{begin:012d}.npz" for begin in between[:-1]]


def replay_path(robot: str, command: Command, folder: str | Path) -> Path:
    """Where the log of a robot's run under a command is kept."""
    return Path(folder) / robot / f"{command_name(command)}.{REPLAY_RECIPE}"


def robots_with_log(command: Command, folder: str | Path) -> tuple[str, ...]:
    """Robots whose run under a command has a log in the folder.

    Raises:
        BodyplanError: there is none.
    """
    name = command_name(command)
    robots = tuple(
        sorted(path.parent.name for path in Path(folder).glob(f"*/{name}.{REPLAY_RECIPE}"))
    )
    if not robots:
        raise BodyplanError(
            f"no robot has a log for {name} in {folder}; take some with `bodyplan experts train "
            "ROBOT --log-replay 64`, or give a command that has."
        )
    return robots


def _place(recording: Recording, path: Path, begin: int, moments: int, sets: int) -> None:
    """Puts a chunk where it belongs, its rows being robot after robot."""

    def put(store: np.ndarray, part: np.ndarray) -> None:
        length, count = part.shape[:2]
        by_robot = store.reshape(count, moments, *store.shape[1:])
        by_robot[:, begin : begin + length] = part.swapaxes(0, 1)

    steps = {name: read_stored(path, name) for name in STEP_ARRAYS}
    for name, part in steps.items():
        put(getattr(recording, name), part)
    opening, closing = (
        RecordedFrames(*_read_parts(path, kind, RecordedFrames)) for kind in ("opening", "closing")
    )
    opening = opening._replace(bodies=opening.bodies + sets)
    for store, part in zip(recording.opening, opening, strict=True):
        put(store, part)
    time, robot = np.nonzero(steps["terminated"] | steps["truncated"])
    rows = robot * moments + begin + time
    recording.closing.append((rows, closing._replace(bodies=closing.bodies + sets)))


def _read_parts(path: Path, prefix: str, kind: type[NamedTuple]) -> list[np.ndarray]:
    return [read_stored(path, f"{prefix}.{name}") for name in kind._fields]


def _of_first(descriptor: RobotDescriptor, count: int) -> RobotDescriptor:
    if descriptor.context.ndim == 1:
        return descriptor
    return RobotDescriptor(*(part[:count] for part in descriptor))


def _named(prefix: str, parts: NamedTuple) -> dict[str, np.ndarray]:
    return {f"{prefix}.{name}": part for name, part in parts._asdict().items()}
