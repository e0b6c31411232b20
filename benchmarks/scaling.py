"""How compiling, memory and an update grow with the number of robots.

    python benchmarks/scaling.py                       # 16 to 1,024 robots, ten minutes
    python benchmarks/scaling.py --robots 64 256

One JSON object a line. Robots are generated, every second one a new body plan; transitions are
noise; IQL, the `small` network, 16 transitions of each robot. Every number of robots has a process
of its own, with nothing on disk.

- `compile_s`: CPU seconds to trace and compile the program; the ratio is to the goal of 25;
- `megabytes`: the process's peak memory; the ratio is to the goal of 4,000;
- `cpu_ms_per_robot`: CPU time of an update, a robot's share; the ratio is to that at the smallest
  number of robots;
- `builds`: arrays that the robots share, and `padding`, the percentage of joints and feet in them
  that is padding; the ratio is to the bound of 25.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from functools import partial

import jax
import numpy as np
import outcome
from learner import noise

from bodyplan.grouping.robot_groups import embodiment_groups
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.data.batch_loader import BatchLoader
from bodyplan.learn.data.transitions import body_size, builds_in
from bodyplan.learn.learner import Learner
from bodyplan.learn.networks.urma import PRESETS
from bodyplan.learn.registry import COMBINERS
from bodyplan.robots.procedural.generate import design_robot

say = partial(outcome.say, "scaling")
BATCH, ITERATIONS, ROUNDS = 16, 8, 5


def measure(count: int, combiner: str) -> dict[str, float]:
    """The figures of one number of robots."""
    designs = [design_robot(index, 0) for index in range(count)]
    data = noise({own.name: own.robot() for own in designs}, steps=64)
    robots = range(count)
    groups = (tuple(robots),)
    if combiner == "grouped":
        found = embodiment_groups([own.robot() for own in designs], 4)
        groups = tuple(tuple(sorted(map(data.robots.index, group))) for group in found)
    learner = Learner(IQL(), COMBINERS.make(combiner), groups, BATCH)
    state = learner.init(0, PRESETS["small"])
    loader = BatchLoader.of(data, BATCH)
    chunk = next(loader.chunks(np.array(state.key), 0, ITERATIONS))
    begin = time.process_time()
    program = learner.compile_interval(state, learner.numbers, loader.table, chunk)
    compiled = time.process_time() - begin
    seconds = float("inf")
    for _ in range(ROUNDS):
        begin = time.process_time()
        state, _ = program(state, learner.numbers, loader.table, chunk)
        jax.block_until_ready(state)
        seconds = min(seconds, time.process_time() - begin)
    builds = builds_in(data)
    used = sum(body_size(episodes).tokens for episodes in data.episodes)
    held = sum(build.size.tokens * len(build.robots) for build in builds)
    return {
        "compile_s": compiled,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "cpu_ms_per_robot": 1e3 * seconds / int(chunk.iterations) / count,
        "builds": len(builds),
        "padding": 100.0 * (1.0 - used / held),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--robots", type=int, nargs="+", default=[16, 64, 256, 1024])
    parser.add_argument("--combine", default="pooled", choices=["pooled", "grouped"])
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        sys.stdout.write(json.dumps(measure(arguments.alone, arguments.combine)) + "\n")
        return
    first = None
    for count in arguments.robots:
        command = [sys.executable, __file__, "--alone", str(count), "--combine", arguments.combine]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(answer.stdout)
        first = first or found["cpu_ms_per_robot"]
        goals = {
            "compile_s": 25.0,
            "megabytes": 4000.0,
            "cpu_ms_per_robot": first,
            "builds": None,
            "padding": 25.0,
        }
        units = {"compile_s": "s", "megabytes": "MB", "cpu_ms_per_robot": "ms", "padding": "%"}
        for metric, value in found.items():
            say(f"{count}/{arguments.combine}", metric, value, units.get(metric, ""), goals[metric])


if __name__ == "__main__":
    main()
