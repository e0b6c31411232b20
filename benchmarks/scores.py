"""The two ends of every score: what standing still and the expert earn on each packaged robot.

    python benchmarks/scores.py --write     # measures the packaged floors anew, half an hour
    python benchmarks/scores.py             # evaluates four policies on all robots, half an hour
    python benchmarks/scores.py --robots unitree_go1 bittle --table

Four policies walk as in `bodyplan evaluate`, 32 episodes of each robot and command. One stands
still (action zero). One is a network with random weights. One takes random actions (normal, of
standard deviation 1). One is the packaged expert's mean action. The first two score 0, the last 1.
Random actions score 0 or less, because they throw over what stands. One JSON object a line:

- `<robot>/<command>/<policy>`: the return, beside the floor or the expert's return where the
  policy should earn that; `score` is the normalised return.

`--table` prints Markdown instead. `--write` puts the floors into the package, of the robots whose
files have changed since, or of all with `--all`. A floor is the mean of 128 episodes under the
action zero. Where its standard error is above 2 % of the way to the expert, there are up to 1024.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from functools import partial

import numpy as np
import outcome

from bodyplan.datasets.policy_snapshots import Snapshots
from bodyplan.envs.standing_return import (
    PACKAGED,
    StandingReturn,
    measure_standing,
    model_checksum,
)
from bodyplan.envs.walking_task import Observation, parse_command
from bodyplan.evaluation.evaluate import evaluate_policy
from bodyplan.evaluation.evaluation import EvaluationConfig
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.networks.urma import PRESETS
from bodyplan.learn.networks.urma_heads import URMAPolicy
from bodyplan.learn.policy import Policy
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.robots.registry import packaged_robots
from bodyplan.robots.robot import Robot
from bodyplan.storage import read_json, write_json

say = partial(outcome.say, "scores")
COMMANDS = ("forward", "backward")
LARGEST_ERROR = 0.02
"""Of a floor, as a share of the way to the expert's return."""
MOST_EPISODES = 1024
POLICIES = ("standing", "untrained", "random_actions", "expert")
COLUMNS = (
    *("robot", "command", "floor", "expert", "ceiling"),
    *("score: standing", "untrained network", "random actions", "expert"),
)


class Standing:
    """The action zero."""

    def act(self, observation: Observation, descriptor: RobotDescriptor) -> np.ndarray:
        """Zeros [N, J]."""
        return np.zeros(observation.joints.shape[:2], np.float32)


class RandomActions:
    """Normal actions of standard deviation 1, new ones in every step."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)

    def act(self, observation: Observation, descriptor: RobotDescriptor) -> np.ndarray:
        """Actions [N, J]."""
        return self._rng.standard_normal(observation.joints.shape[:2], np.float32)


def untrained() -> Policy:
    """A network of the paper's size with random weights."""
    sizes = PRESETS["paper"]
    return Policy.of(URMAPolicy(np.random.default_rng(0), sizes), IQL(), sizes)


class Expert:
    """The mean action of a packaged run's last snapshot."""

    def __init__(self, robot: str, command: str) -> None:
        self._policy = Snapshots.load(robot, parse_command(command)).policy(-1)

    def act(self, observation: Observation, descriptor: RobotDescriptor) -> np.ndarray:
        """Actions [N, J]."""
        return self._policy.mean(observation)


def measured_floor(robot: str, command: str) -> StandingReturn:
    """The floor, from as many episodes as its standard error asks for."""
    body, velocity = Robot.load(robot), parse_command(command)
    floor = measure_standing(body, velocity)
    expert = Snapshots.load(robot, velocity).card["expert"]["return_mean"]
    allowed = LARGEST_ERROR * (expert - floor.return_mean)
    needed = math.ceil(floor.episodes * (floor.return_se / allowed) ** 2)
    if needed <= floor.episodes:
        return floor
    return measure_standing(body, velocity, episodes=min(needed, MOST_EPISODES))


def write_floors(robots: Sequence[str], everything: bool) -> None:
    """Measure the floors that are missing or stale, and save them robot by robot."""
    floors = read_json(PACKAGED) if PACKAGED.is_file() else {"robots": {}}
    for robot in robots:
        found = floors["robots"].get(robot, {}).get("sha256")
        if everything or found != model_checksum(robot):
            commands = {name: measured_floor(robot, name)._asdict() for name in COMMANDS}
            floors["robots"][robot] = {"sha256": model_checksum(robot), "commands": commands}
            floors["robots"] = dict(sorted(floors["robots"].items()))
            write_json(PACKAGED, floors)
            for command, floor in floors["robots"][robot]["commands"].items():
                say(f"{robot}/{command}", "floor", floor["return_mean"], "return")


def measure(robot: str, command: str, episodes: int) -> list[dict[str, float]]:
    """The scores of the four policies on one robot."""
    body, config = Robot.load(robot), EvaluationConfig(episodes)
    policies = (Standing(), untrained(), RandomActions(), Expert(robot, command))
    return [evaluate_policy(policy, [body], command, config)[robot] for policy in policies]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--robots", nargs="+", default=packaged_robots())
    parser.add_argument("--episodes", type=int, default=32)
    parser.add_argument("--table", action="store_true", help="Markdown, not JSON")
    parser.add_argument("--write", action="store_true", help="measure the packaged floors anew")
    parser.add_argument("--all", action="store_true", help="with --write: also unchanged robots")
    arguments = parser.parse_args()
    if arguments.write:
        write_floors(arguments.robots, arguments.all)
        return
    if arguments.table:
        print_row(COLUMNS)
        print_row("---" for _ in COLUMNS)
    for robot in arguments.robots:
        for command in COMMANDS:
            scores = measure(robot, command, arguments.episodes)
            if arguments.table:
                print_row(table_row(robot, command, scores))
                continue
            for policy, own in zip(POLICIES, scores, strict=True):
                say(
                    f"{robot}/{command}/{policy}",
                    "return",
                    own["return_mean"],
                    "return",
                    own["expert_return" if policy == "expert" else "floor_return"],
                    score=round(own["normalised_return"], 4),
                    standard_error=round(own["return_se"], 4),
                    fall_share=own["fall_share"],
                )


def table_row(robot: str, command: str, scores: list[dict[str, float]]) -> list[str]:
    """A robot's row of the table in docs/datasets.md."""
    ends = [scores[0][f"{name}_return"] for name in ("floor", "expert", "ceiling")]
    reached = [own["normalised_return"] for own in scores]
    cells = [f"{value:.1f}" for value in ends] + [f"{value:.2f}" for value in reached]
    return [robot, command, *(cell.replace("-0.00", "0.00") for cell in cells)]


def print_row(cells: "list[str] | tuple[str, ...]") -> None:
    """One row of a Markdown table."""
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
