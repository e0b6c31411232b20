"""The return of a robot that does nothing: the floor of every normalised score.

The action is zero throughout, so that the motors hold the nominal pose. A robot that stands earns
what the command does not ask it to change: keeping its heading, for one. Bittle earns half of what
its expert does.

Packaged robots have their floors in `standing_returns.json`. Those of other robots are measured
once and kept in the user's cache folder.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import mujoco
import numpy as np

from bodyplan.envs.environment import Environment
from bodyplan.envs.walking_task import Command, command_name
from bodyplan.errors import BodyplanError
from bodyplan.machine import cache_folder
from bodyplan.robots.fingerprint import fingerprint, is_packaged
from bodyplan.robots.registry import MODELS
from bodyplan.robots.robot import Robot
from bodyplan.storage import read_json, sha256, write_json

PACKAGED = Path(__file__).parent / "standing_returns.json"
PACKAGED_EPISODES = 128
"""Least number of episodes behind a packaged floor; `benchmarks/scores.py` measures them."""
OWN_EPISODES = 32
"""Episodes behind any other floor: it costs as much as one evaluation, once."""
_VERSION = 1  # raise it when the same robot earns something else than before


class StandingReturn(NamedTuple):
    """What a robot earns in an episode by the action zero."""

    return_mean: float
    return_se: float | None
    """Standard error over episodes; None for a single one."""
    episodes: int


def standing_return(
    robot: Robot, command: Command, initial_state: str = "random", threads: int | None = None
) -> StandingReturn:
    """The floor of a robot's scores: packaged, or measured once and cached.

    Args:
        robot: the robot.
        command: vx, vy (m/s) and yaw rate (rad/s).
        initial_state: `random` or `nominal`. From the nominal state all episodes are the same, so
            that there is one.
        threads: threads of the simulation, all cores by default; results do not depend on it.
    """
    packaged = packaged_floor(robot.name, command)
    if packaged and initial_state == "random" and is_packaged(robot):
        return packaged
    path = cache_folder("floors") / f"{_cache_key(robot, command, initial_state)}.json"
    cached = _read(path)
    if cached is not None:
        return cached
    measured = measure_standing(robot, command, initial_state, OWN_EPISODES, threads)
    try:
        write_json(path, measured._asdict())
    except BodyplanError:  # a cache that cannot be written to is none
        return measured
    return measured


def packaged_floor(robot: str, command: Command) -> StandingReturn | None:
    """The packaged floor of a packaged robot; None where its files have changed since."""
    entry = read_json(PACKAGED)["robots"].get(robot)
    if entry is None or entry["sha256"] != model_checksum(robot):
        return None
    found = entry["commands"].get(command_name(command))
    return found and StandingReturn(**found)


def measure_standing(
    robot: Robot,
    command: Command,
    initial_state: str = "random",
    episodes: int = PACKAGED_EPISODES,
    threads: int | None = None,
) -> StandingReturn:
    """Simulate a robot under the action zero, in reference physics from the states of seed 0."""
    count = 1 if initial_state == "nominal" else episodes
    environment = Environment(
        robot, command, count, initial_state=initial_state, seed=0, threads=threads
    )
    environment.reset()  # so that seed 0 has the states that it has in an evaluation
    still = np.zeros((count, robot.num_joints))
    returns, alive = np.zeros(count), np.ones(count, bool)
    while alive.any():
        step = environment.step(still)
        returns += np.where(alive, step.reward, 0.0)
        alive &= ~(step.terminated | step.truncated)
    error = float(returns.std(ddof=1) / np.sqrt(count)) if count > 1 else None
    return StandingReturn(float(returns.mean()), error, count)


def model_checksum(robot: str) -> str:
    """SHA-256 of the files of a packaged robot, by which a packaged floor knows its robot."""
    files = [sha256(MODELS / f"{robot}{suffix}") for suffix in (".xml", ".toml")]
    return hashlib.sha256("".join(files).encode()).hexdigest()


def _cache_key(robot: Robot, command: Command, initial_state: str) -> str:
    settings = [_VERSION, mujoco.__version__, OWN_EPISODES, list(command), initial_state]
    text = json.dumps([*settings, fingerprint(robot)])
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> StandingReturn | None:
    """A cached floor; None where there is none, or a damaged one."""
    try:
        found = StandingReturn(**read_json(path))
        return found if np.isfinite(found.return_mean) else None
    except (BodyplanError, TypeError):
        return None
