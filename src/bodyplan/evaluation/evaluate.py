"""A policy on trial: every robot walks its episodes, and the outcome is one JSON document.

Reference physics, full penalties, mean actions. Robots start from random states by default, so
that the episodes of a robot differ and their standard error means something; `nominal` is the
original task's test mode, in which all episodes of a robot are the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from bodyplan.datasets.policy_snapshots import Snapshots, snapshot_path
from bodyplan.envs.disturbances import NO_DISTURBANCES, Disturbances
from bodyplan.envs.environment import Environment
from bodyplan.envs.walking_task import Command, Observation, parse_command
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.rollout import rollout, score
from bodyplan.progress import OnProgress
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.robots.robot import Robot


@runtime_checkable
class ActsOnAnyRobot(Protocol):
    """A policy that reads the body it drives."""

    def act(
        self, observation: Observation, descriptor: RobotDescriptor
    ) -> Float[np.ndarray, "N J"]:
        """Mean actions; the descriptor has a leading axis of N where the N bodies differ."""
        ...


@dataclass(frozen=True)
class Trial:
    """How a policy is evaluated."""

    episodes: int = 32
    """Whole episodes for each robot."""
    seed: int = 0
    """Decides the initial states."""
    initial_state: str = "random"
    """random or nominal."""
    threads: int | None = None
    """Native threads of the physics; the outcome does not depend on it."""
    disturbances: Disturbances = NO_DISTURBANCES
    """What disturbs the robots."""


def evaluate(
    policy: ActsOnAnyRobot,
    robots: Sequence[Robot | str],
    command: str | Command = "forward",
    trial: Trial | None = None,
    card: Mapping[str, Any] | None = None,
    progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Let a policy drive each robot; returns what `evaluation.json` holds.

    Args:
        policy: acts on any robot.
        robots: bodies, packaged names or paths of MJCFs.
        command: what the robots are asked to do.
        trial: how many episodes, from which states.
        card: of the dataset the policy was trained on, for the data's average beside each return.
        progress: called as robots finish.

    Raises:
        BodyplanError: unknown robot or command, or no episode asked for.
    """
    trial = trial or Trial()
    if trial.episodes < 1:
        raise BodyplanError("--episodes must be at least 1")
    asked = parse_command(command)
    scores: dict[str, dict[str, Any]] = {}
    for done, source in enumerate(robots):
        robot = source if isinstance(source, Robot) else Robot.load(source)
        if progress:
            progress("evaluating", done, len(robots), robot.name)
        scores[robot.name] = _one(policy, robot, asked, trial, card or {})
    if progress and robots:
        progress("evaluating", len(robots), len(robots), robot.name)
    return {
        "command": list(asked),
        "episodes": trial.episodes,
        "seed": trial.seed,
        "initial_state": trial.initial_state,
        "conditions": asdict(trial.disturbances),
        "robots": scores,
        "mean": _mean(list(scores.values())),
    }


def expert_return(robot: str, command: Command) -> float | None:
    """Return of the packaged expert's mean action; None where there is no expert."""
    if not snapshot_path(robot, command).is_file():
        return None
    return float(Snapshots.load(robot, command).card["expert"]["return_mean"])


def _one(
    policy: ActsOnAnyRobot, robot: Robot, command: Command, trial: Trial, card: Mapping[str, Any]
) -> dict[str, Any]:
    environment = Environment(
        robot,
        command,
        trial.episodes,
        initial_state=trial.initial_state,
        seed=trial.seed,
        threads=trial.threads,
        disturbances=trial.disturbances,
    )
    own = score(
        rollout(environment, lambda observation: policy.act(observation, environment.descriptor))
    )
    best = expert_return(robot.name, command)
    data = card.get("robots", {}).get(robot.name, {}).get("return_mean")
    normalised = None if not best else own["return_mean"] / best
    return dict(own) | {
        "normalised_return": normalised,
        "expert_return": best,
        "data_return": data,
    }


def _mean(scores: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Over robots, each counting once; None where a figure is not known of every robot."""
    names = ("return_mean", "normalised_return", "data_return", "expert_return", "velocity_error")
    columns = {name: [score[name] for score in scores] for name in names}
    return {
        name: None if None in values else float(np.mean(values)) for name, values in columns.items()
    }
