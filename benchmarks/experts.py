"""Where the time of an expert's PPO goes: physics, inference, update.

    python benchmarks/experts.py            # all sixteen robots, about three minutes
    python benchmarks/experts.py --quick    # four of them

Each robot's course is begun as `bodyplan experts train` begins it (bipeds under `both` commands,
with their prior and their assistance) and lives a few iterations, after some that compile. Wall
time on all cores the process may use, and CPU time besides, which says the same on shared
machines. One JSON object a line:

- `<robot>/steps`: control steps a second, all simulated robots together; the ratio is to those a
  CPU-second;
- `<robot>/physics`: share of the wall time inside the simulator;
- `<robot>/task`: share in observations, rewards and resets;
- `<robot>/inference`: share in the actor, and in the critic at time limits;
- `<robot>/update`: share in PPO's update; ratio: to the goal of 0.25;
- `mean/update`: the mean share over the robots.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import outcome

from bodyplan.experts import ppo
from bodyplan.experts.expert_config import ExpertConfig
from bodyplan.experts.ppo_runner import PPORunner
from bodyplan.robots import registry
from bodyplan.robots.robot import Robot

say = partial(outcome.say, "experts")

QUICK = ("unitree_go1", "unitree_h1", "cassie", "hexapod")
GOAL = 0.25
WARM_UP = 2


class Clock:
    """Seconds spent in calls of some attributes, each by a name."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def watch(self, owner: Any, attribute: str, name: str) -> Callable[[], None]:
        """Time an attribute's calls from now on; the answer ends it."""
        original = getattr(owner, attribute)

        def timed(*arguments: Any, **named: Any) -> Any:
            begin = time.perf_counter()
            answer = jax.block_until_ready(original(*arguments, **named))
            self.spent[name] = self.spent.get(name, 0.0) + time.perf_counter() - begin
            return answer

        setattr(owner, attribute, timed)
        return lambda: setattr(owner, attribute, original)


def measure(name: str, iterations: int, threads: int | None) -> dict[str, float]:
    """Steps a second of wall and of CPU time, and the shares of an iteration."""
    biped = Robot.load(name).expert.assisted
    command = "both" if biped else "forward"
    course = PPORunner(ExpertConfig(robot=name, command=command, threads=threads))
    for _ in range(WARM_UP):
        course.iterate()
    clock, environment = Clock(), course.environment
    restore = [
        clock.watch(environment.simulator, "step", "physics"),
        clock.watch(environment, "step", "stepping"),
        clock.watch(environment, "reset", "resets"),
        clock.watch(ppo, "act", "inference"),
        clock.watch(ppo, "value", "values"),
        clock.watch(ppo, "improve", "update"),
    ]
    before, wall, cpu = course.steps, time.perf_counter(), time.process_time()
    for _ in range(iterations):
        course.iterate()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    for undo in restore:
        undo()
    spent = {key: clock.spent.get(key, 0.0) / wall for key in ("physics", "inference", "update")}
    task = clock.spent["stepping"] - clock.spent["physics"] + clock.spent.get("resets", 0.0)
    spent["inference"] += clock.spent.get("values", 0.0) / wall
    steps = course.steps - before
    return {"wall": steps / wall, "cpu": steps / cpu, "task": task / wall, **spent}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--robots", nargs="*", default=list(registry.packaged_robots()))
    parser.add_argument("--iterations", type=int, default=6, help="timed, of each robot")
    parser.add_argument("--threads", type=int, default=None, help="of the physics; all by default")
    parser.add_argument("--quick", action="store_true", help="four robots")
    arguments = parser.parse_args()
    updates = []
    for name in QUICK if arguments.quick else arguments.robots:
        found = measure(name, arguments.iterations, arguments.threads)
        say(f"{name}/steps", "control_steps_per_second", found["wall"], "1/s", found["cpu"])
        for part in ("physics", "task", "inference"):
            say(f"{name}/{part}", "share_of_wall_time", found[part], "")
        say(f"{name}/update", "share_of_wall_time", found["update"], "", GOAL)
        updates.append(found["update"])
    say("mean/update", "share_of_wall_time", float(np.mean(updates)), "", GOAL)


if __name__ == "__main__":
    main()
