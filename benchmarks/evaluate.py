"""What evaluation, reports and help cost: processor seconds of each on all sixteen robots.

    python benchmarks/evaluate.py              # builds small data and trains first, three minutes
    python benchmarks/evaluate.py --run RUN    # reports and evaluates that run instead

One JSON object a line. Commands run as processes of their own, and the CPU seconds are those of the
process and of all that it starts. Cases take turns, and the cheapest turn counts.

- `evaluate/untrained`: `bodyplan.evaluate`, one episode of each robot, by the preset `small` with
  the random initial weights of seed 0. Falls end episodes; `control_steps` says how many were made.
  The baseline is the goal of 8 s;
- `evaluate/run`: the command on the run, likewise;
- `evaluate/whole`: the same policy, 1000 steps of each robot whether it falls or not, within this
  process; Python's start is not counted. The baseline is the goal of 8 s;
- `policy_call/<preset>/<copies>`: milliseconds of acting for copies of one quadruped, in NumPy; the
  baseline is the same policy compiled by JAX, in turns with it;
- `report/films`, `report/no_films`: the command with films, whose baseline is 40 s, and without;
- `report/films` in `wall_seconds`: the baseline is 60 s on two cores;
- `help/train`: `bodyplan train --help`, in CPU and in wall seconds; the baseline is 0.5 s.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import outcome

from bodyplan.envs.environment import Environment, StepResult
from bodyplan.envs.walking_task import HORIZON
from bodyplan.evaluation.rollout import one_blas_thread, rollout
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.networks.urma import PRESETS
from bodyplan.learn.networks.urma_heads import URMAPolicy
from bodyplan.learn.policy import Policy
from bodyplan.robots.registry import packaged_robots
from bodyplan.robots.robot import Robot

say = partial(outcome.say, "evaluate")
QUADRUPED = "unitree_go1"
COPIES = (1, 32)


class Cost(NamedTuple):
    """What a process took."""

    cpu: float
    """Seconds, all threads and children together."""
    wall: float
    """Seconds."""


class Unfalling(Environment):
    """Robots that have fallen go on until the horizon."""

    def step(self, action: Any) -> StepResult:
        """The same step, which terminates nothing."""
        result = super().step(action)
        return result._replace(terminated=np.zeros_like(result.terminated))


def command_cost(*arguments: str | Path) -> Cost:
    """The cost of a command of bodyplan."""
    return process_cost("-m", "bodyplan", *map(str, arguments))


def process_cost(*arguments: str) -> Cost:
    """The cost of Python with these arguments."""
    wall, cpu = time.perf_counter(), _children()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return Cost(_children() - cpu, time.perf_counter() - wall)


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def untrained(preset: str) -> Policy:
    """A policy with its initial weights."""
    network = URMAPolicy(np.random.default_rng(0), PRESETS[preset])
    facts = {"robots": packaged_robots(), "command": [1.0, 0.0, 0.0]}
    return Policy.of(network, IQL(), PRESETS[preset], **facts)


def make_run(folder: Path) -> Path:
    """A run of all robots, trained just long enough to be one."""
    data, run = folder / "data", folder / "run"
    command_cost(
        *("data", "build", "--recipe", "suboptimal70", "--command", "forward"),
        *("--steps", "2000", "--out", data),
    )
    command_cost(
        *("train", "--data", data, "--out", run, "--network", "small"),
        *("--updates", "100", "--batch-size", "16"),
    )
    return run


def measure_evaluation(folder: Path, run: Path, turns: int) -> None:
    """An untrained policy and a run, one episode of each robot."""
    untrained("small").save(folder / "untrained")
    target = folder / "evaluation.json"
    program = (
        "import bodyplan\n"
        f"bodyplan.evaluate({str(folder / 'untrained')!r}, episodes=1).save({str(target)!r})"
    )
    cost = cheapest(turns, lambda: process_cost("-c", program))
    steps = sum(own["length_mean"] for own in json.loads(target.read_text())["robots"].values())
    say("evaluate/untrained", "cpu_seconds", cost.cpu, "s", 8.0, control_steps=steps)
    cost = cheapest(turns, lambda: command_cost("evaluate", run, "--episodes", "1"))
    robots = json.loads((run / "evaluation.json").read_text())["robots"].values()
    steps = sum(own["length_mean"] for own in robots)
    say("evaluate/run", "cpu_seconds", cost.cpu, "s", 8.0, control_steps=steps)


def measure_whole_episodes(turns: int) -> None:
    """Every robot makes all steps of an episode, standing or lying."""
    policy, robots = untrained("small"), [Robot.load(name) for name in packaged_robots()]

    def evaluate() -> Cost:
        cpu, wall = time.process_time(), time.perf_counter()
        with one_blas_thread():
            for robot in robots:
                environment = Unfalling(robot, initial_state="random", threads=1)
                act = partial(policy.act, descriptor=robot.descriptor)
                assert rollout(environment, act).lengths.tolist() == [HORIZON]
        return Cost(time.process_time() - cpu, time.perf_counter() - wall)

    cost = cheapest(turns, evaluate)
    say(
        *("evaluate/whole", "cpu_seconds", cost.cpu, "s", 8.0),
        control_steps=HORIZON * len(robots),
    )


def measure_policy_calls(turns: int) -> None:
    """One call of a policy, in NumPy and compiled by JAX."""
    compiled = jax.jit(IQL().act)
    for preset in ("small", "paper"):
        policy = untrained(preset)
        for copies in COPIES:
            environment = Environment(QUADRUPED, num_envs=copies, initial_state="random")
            seen, body = environment.observation, environment.descriptor

            acts = (
                partial(policy.act, seen, body),
                partial(act_by_jax, compiled, policy.network, seen, body),
            )
            np.testing.assert_allclose(acts[0](), acts[1](), atol=1e-5)
            with one_blas_thread():
                best = [np.inf, np.inf]
                for _ in range(turns * 5):
                    for place, act in enumerate(acts):
                        best[place] = min(best[place], call_seconds(act))
            case = f"policy_call/{preset}/{copies}"
            say(case, "cpu_milliseconds", 1e3 * best[0], "ms", 1e3 * best[1])


def act_by_jax(compiled: Callable[..., Any], *arguments: Any) -> np.ndarray:
    """The answer of a compiled policy, waited for."""
    return np.asarray(compiled(*arguments))


def call_seconds(act: Callable[[], Any], calls: int = 200) -> float:
    """CPU seconds of one call."""
    begin = time.process_time()
    for _ in range(calls):
        act()
    return (time.process_time() - begin) / calls


def cheapest(turns: int, measure: Callable[[], Cost]) -> Cost:
    """The least CPU and the least wall time of several turns."""
    costs = [measure() for _ in range(turns)]
    return Cost(*map(min, zip(*costs, strict=True)))


def main() -> None:
    """Measure everything and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, help="a finished run of all robots")
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    turns = arguments.turns
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = arguments.run or make_run(folder)
        measure_evaluation(folder, run, turns)
        measure_whole_episodes(turns)
        measure_policy_calls(turns)
        page = folder / "report.html"
        plain = cheapest(turns, lambda: command_cost("report", run, "--out", page, "--no-films"))
        say("report/no_films", "cpu_seconds", plain.cpu, "s")
        films = cheapest(turns, lambda: command_cost("report", run, "--out", page))
        cores = len(os.sched_getaffinity(0))
        say("report/films", "cpu_seconds", films.cpu, "s", 40.0)
        say("report/films", "wall_seconds", films.wall, "s", 60.0, cores=cores)
        answer = cheapest(turns, lambda: command_cost("train", "--help"))
        say("help/train", "cpu_seconds", answer.cpu, "s", 0.5)
        say("help/train", "wall_seconds", answer.wall, "s", 0.5)


if __name__ == "__main__":
    main()
