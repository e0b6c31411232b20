"""The two ends of every score: what standing still and the expert earn on each packaged robot.

    python benchmarks/scores.py --write     # measures the packaged floors anew, half an hour
    python benchmarks/scores.py             # evaluates three policies on all robots, half an hour
    python benchmarks/scores.py --robots unitree_go1 bittle --table

Three policies walk as in `bodyplan evaluate`, 32 episodes of each robot and command: one that
stands still (action zero), one that acts at random (normal actions of standard deviation 1), and
the packaged expert's mean action. They must score 0, about 0 and 1. One JSON object a line:

- `<robot>/<command>/<policy>`: the return, beside the floor or the expert's return where the
  policy should earn that; `score` is the normalised return.

`--table` prints Markdown instead. `--write` puts the floors into the package: 128 episodes under
the action zero, of the robots whose files have changed since, or of all with `--all`.
"""

import argparse
import sys
from functools import partial

import numpy as np
import outcome

from bodyplan.datasets.policy_snapshots import Snapshots
from bodyplan.envs.standing_return import (
    NAMED_COMMANDS,
    PACKAGED,
    model_checksum,
    packaged_entry,
)
from bodyplan.envs.walking_task import Observation, parse_command
from bodyplan.evaluation.evaluate import evaluate_policy
from bodyplan.evaluation.evaluation import EvaluationConfig
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.robots.registry import packaged_robots
from bodyplan.robots.robot import Robot
from bodyplan.storage import read_json, write_json

say = partial(outcome.say, "scores")
POLICIES = ("standing", "random", "expert")
COLUMNS = ("robot", "command", "standing", "random", "expert", "ceiling", "score of random")


class Standing:
    """The action zero."""

    def act(self, observation: Observation, descriptor: RobotDescriptor) -> np.ndarray:
        """Zeros [N, J]."""
        return np.zeros(observation.joints.shape[:2], np.float32)


class Random:
    """Normal actions of standard deviation 1, new ones in every step."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)

    def act(self, observation: Observation, descriptor: RobotDescriptor) -> np.ndarray:
        """Actions [N, J]."""
        return self._rng.standard_normal(observation.joints.shape[:2], np.float32)


class Expert:
    """The mean action of a packaged run's last snapshot."""

    def __init__(self, robot: str, command: str) -> None:
        self._policy = Snapshots.load(robot, parse_command(command)).policy(-1)

    def act(self, observation: Observation, descriptor: RobotDescriptor) -> np.ndarray:
        """Actions [N, J]."""
        return self._policy.mean(observation)


def write_floors(everything: bool) -> None:
    """Measure the floors that are missing or stale, and save them robot by robot."""
    floors = read_json(PACKAGED) if PACKAGED.is_file() else {"robots": {}}
    for robot in packaged_robots():
        found = floors["robots"].get(robot, {}).get("sha256")
        if everything or found != model_checksum(robot):
            floors["robots"][robot] = packaged_entry(robot)
            floors["robots"] = dict(sorted(floors["robots"].items()))
            write_json(PACKAGED, floors)
            for command, floor in floors["robots"][robot]["commands"].items():
                say(f"{robot}/{command}", "floor", floor["return_mean"], "return")


def measure(robot: str, command: str, episodes: int) -> list[dict[str, float]]:
    """The scores of the three policies on one robot."""
    body, config = Robot.load(robot), EvaluationConfig(episodes)
    policies = (Standing(), Random(), Expert(robot, command))
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
        write_floors(arguments.all)
        return
    if arguments.table:
        print_row(COLUMNS)
        print_row("---" for _ in COLUMNS)
    for robot in arguments.robots:
        for command in NAMED_COMMANDS:
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
                    {"standing": own["floor_return"], "expert": own["expert_return"]}.get(policy),
                    score=round(own["normalised_return"], 4),
                    standard_error=round(own["return_se"], 4),
                    fall_share=own["fall_share"],
                )


def table_row(robot: str, command: str, scores: list[dict[str, float]]) -> list[str]:
    """A robot's row of the table in docs/datasets.md."""
    _, random, expert = scores
    returns = [own["return_mean"] for own in scores] + [expert["ceiling_return"]]
    return [
        *(robot, command, *(f"{value:.1f}" for value in returns)),
        f"{random['normalised_return']:.3f}",
    ]


def print_row(cells: "list[str] | tuple[str, ...]") -> None:
    """One row of a Markdown table."""
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
