"""Where the time of an expert's training goes: physics, inference, update.

    python benchmarks/experts.py            # all sixteen robots, about three minutes
    python benchmarks/experts.py --quick    # four of them

Each robot's training starts as `bodyplan experts train` starts it. Bipeds train under `both`
commands, with their action prior and their assistance. A few iterations compile, the next ones are
timed: wall time on all cores of the process, and CPU time, which is comparable on shared machines.
One JSON object a line:

- `<robot>/steps`: control steps per second of all simulated robots; the ratio is to control steps
  per CPU second;
- `<robot>/physics`: share of the wall time in the simulator;
- `<robot>/task`: share in observations, rewards and resets;
- `<robot>/inference`: share in the actor, and in the critic at time limits;
- `<robot>/update`: share in PPO's update; the ratio is to the goal of 0.25;
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


class CallTimer:
    """Seconds spent in calls of some methods and functions, each under a name."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def watch(self, owner: Any, attribute: str, name: str) -> Callable[[], None]:
        """Time an attribute's calls from now on; the returned function ends it."""
        original = getattr(owner, attribute)

        def timed(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            result = jax.block_until_ready(original(*arguments, **named))
            self.spent[name] = self.spent.get(name, 0.0) + time.perf_counter() - start
            return result

        setattr(owner, attribute, timed)
        return lambda: setattr(owner, attribute, original)


def measure(name: str, iterations: int, threads: int | None) -> dict[str, float]:
    """Steps per second of wall and of CPU time, and the shares of an iteration."""
    biped = Robot.load(name).expert.assisted
    command = "both" if biped else "forward"
    runner = PPORunner(ExpertConfig(robot=name, command=command, threads=threads))
    for _ in range(WARM_UP):
        runner.iterate()
    timer, task = CallTimer(), runner.environment.task
    restore = [
        timer.watch(task.simulator, "step", "physics"),
        timer.watch(task, "step", "stepping"),
        timer.watch(task, "reset", "resets"),
        timer.watch(ppo, "sample_actions", "inference"),
        timer.watch(ppo, "predict_values", "values"),
        timer.watch(ppo, "ppo_update", "update"),
    ]
    before, wall, cpu = runner.steps, time.perf_counter(), time.process_time()
    for _ in range(iterations):
        runner.iterate()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    for undo in restore:
        undo()
    spent = {key: timer.spent.get(key, 0.0) / wall for key in ("physics", "inference", "update")}
    task_time = timer.spent["stepping"] - timer.spent["physics"] + timer.spent.get("resets", 0.0)
    spent["inference"] += timer.spent.get("values", 0.0) / wall
    steps = runner.steps - before
    return {"wall": steps / wall, "cpu": steps / cpu, "task": task_time / wall, **spent}


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
