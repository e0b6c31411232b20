"""Speed of the simulator: control steps per second of the walking task against bare MuJoCo.

    python benchmarks/simulator.py            # sixteen robots, about four minutes
    python benchmarks/simulator.py --quick    # four of them, about half a minute

N copies of each robot take random actions in reference physics. Every control step is taken three
times from the same states:

- by the environment on one thread: torques, physics, contacts, observation, reward, termination;
- by the environment on two threads;
- by bare `mj_step` of the MJCF under the same torques.

Each line of the output is a JSON object:

- `<robot>/1 thread`: control steps per second; the ratio is to bare `mj_step`, both in CPU time;
- `<robot>/2 threads`: control steps per second; the ratio is to one thread, both in wall time;
- `<robot>/identical`: 1 if both environments have the same bits after every step;
- `mean/...`: the mean of the ratios over the robots.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import mujoco
import numpy as np
import outcome

from bodyplan.envs.environment import Environment
from bodyplan.robots import registry
from bodyplan.robots.robot import Robot

say = partial(outcome.say, "simulator")
SPEED = "control_steps_per_second"

QUICK = ("unitree_go1", "unitree_h1", "cassie", "hexapod")
NOISE = 0.3  # standard deviation of the actions
_STATE = mujoco.mjtState.mjSTATE_FULLPHYSICS


@dataclass
class Times:
    """Seconds of each control step."""

    bare_cpu: list[float] = field(default_factory=list)
    one_cpu: list[float] = field(default_factory=list)
    one_wall: list[float] = field(default_factory=list)
    two_wall: list[float] = field(default_factory=list)


def measure_robot(name: str, robots: int, steps: int) -> tuple[Times, bool]:
    """Times of `steps` control steps, and whether both environments agree in every bit."""
    robot = Robot.load(name)
    one, two = (
        Environment(robot, num_envs=robots, threads=threads, initial_state="random")
        for threads in (1, 2)
    )
    # The plain MJCF has no contact sensors.
    model = mujoco.MjModel.from_xml_path(str(registry.find_model(name)))
    data, rng, times = mujoco.MjData(model), np.random.default_rng(0), Times()
    identical = True
    for _ in range(steps):
        action = NOISE * rng.normal(size=(robots, robot.num_joints))
        states, warmstarts = one.simulator.states.copy(), one.simulator.warmstarts.copy()
        cpu, wall = measure_time(lambda action=action: one.step(action))
        times.one_cpu.append(cpu)
        times.one_wall.append(wall)
        times.two_wall.append(measure_time(lambda action=action: two.step(action))[1])
        times.bare_cpu.append(
            step_bare_mujoco(robot, model, data, states, warmstarts, one.simulator.torques)
        )
        identical &= one.simulator.states.tobytes() == two.simulator.states.tobytes()
        identical &= one.observation.general.tobytes() == two.observation.general.tobytes()
        fallen = one.simulator.qpos[:, 2] < 0.5 * robot.drop_height
        one.reset(fallen)
        two.reset(fallen)
    return times, identical


def step_bare_mujoco(
    robot: Robot,
    model: mujoco.MjModel,
    data: mujoco.MjData,
    states: np.ndarray,
    warmstarts: np.ndarray,
    torques: np.ndarray,
) -> float:
    """CPU seconds that `mj_step` takes for one control step of every robot."""
    total = 0.0
    for state, warmstart, torque in zip(states, warmstarts, torques, strict=True):
        mujoco.mj_setState(model, data, state, _STATE)
        data.qacc_warmstart[:] = warmstart
        data.ctrl[robot.actuator_ids] = torque
        begin = time.process_time()
        mujoco.mj_step(model, data, nstep=4)
        total += time.process_time() - begin
    return total


def measure_time(work: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds that a call takes."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    """Measure all robots and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--robots", nargs="*", default=list(registry.packaged_robots()))
    parser.add_argument("--copies", type=int, default=256, help="robots per environment")
    parser.add_argument("--steps", type=int, default=100, help="control steps")
    parser.add_argument("--quick", action="store_true", help="four robots, fewer steps")
    arguments = parser.parse_args()
    names, steps = arguments.robots, arguments.steps
    if arguments.quick:
        names, steps = QUICK, 30
    ratios: dict[str, list[float]] = {"1 thread": [], "2 threads": []}
    all_identical = True
    for name in names:
        times, identical = measure_robot(name, arguments.copies, steps)
        all_identical &= identical
        # Medians over the steps, because other processes may interrupt some of them.
        bare_cpu, one_cpu = np.median(times.bare_cpu), np.median(times.one_cpu)
        one_wall, two_wall = np.median(times.one_wall), np.median(times.two_wall)
        rate = arguments.copies / np.array([bare_cpu, one_cpu, one_wall, two_wall])
        ratios["1 thread"].append(float(rate[1] / rate[0]))
        ratios["2 threads"].append(float(rate[3] / rate[2]))
        say(f"{name}/1 thread", SPEED, rate[1], "1/s", rate[0], ratios["1 thread"][-1])
        say(f"{name}/2 threads", SPEED, rate[3], "1/s", rate[2], ratios["2 threads"][-1])
        say(f"{name}/identical", "share", float(identical), "")
    for case, values in ratios.items():
        say(f"mean/{case}", "robots", len(values), "", ratio=float(np.mean(values)))
    say("mean/identical", "share", float(all_identical), "")


if __name__ == "__main__":
    main()
