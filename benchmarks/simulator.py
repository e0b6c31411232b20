"""Speed of the simulator: control steps per second of the walking task against bare MuJoCo.

    python benchmarks/simulator.py            # sixteen robots, about four minutes
    python benchmarks/simulator.py --quick    # four of them, about half a minute
    python benchmarks/simulator.py --light    # few copies of one robot, about a minute

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

`--light` asks what a control step costs where few robots share Python's own work. Lines are
microseconds of CPU time per robot on one thread, over those of bare `mj_step` from the same states:

- `unitree_go1/1`, `/16`, `/256`: that many copies, by `Environment`;
- `unitree_go1/gymnasium.make`: one robot, with Gymnasium's wrappers;
- `Ant-v5/gymnasium.make`: Gymnasium's own, over its own bare physics;
- `envpool/Go1JoystickFlatTerrain-v1`: one robot; the baseline is our `unitree_go1/1`.

The last two say `installed` 0 where `gymnasium[mujoco]` or `envpool` is missing.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.util import find_spec

import gymnasium
import mujoco
import numpy as np
import outcome

import bodyplan  # noqa: F401 (registers the Gymnasium ids)
from bodyplan.envs.environment import Environment
from bodyplan.robots import registry
from bodyplan.robots.robot import Robot

say = partial(outcome.say, "simulator")
SPEED = "control_steps_per_second"

QUICK = ("unitree_go1", "unitree_h1", "cassie", "hexapod")
NOISE = 0.3  # standard deviation of the actions
LIGHT = "unitree_go1"
ENVPOOL = "Go1JoystickFlatTerrain-v1"
STEP = "cpu_time_of_a_control_step"
_STATE = mujoco.mjtState.mjSTATE_FULLPHYSICS
_INTEGRATION = mujoco.mjtState.mjSTATE_INTEGRATION


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
    model = bare_model(name)
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


@cache
def bare_data(name: str) -> mujoco.MjData:
    """Memory for steps of `bare_model`."""
    return mujoco.MjData(bare_model(name))


@cache
def bare_model(name: str) -> mujoco.MjModel:
    """The plain MJCF, which has no contact sensors."""
    return mujoco.MjModel.from_xml_path(str(registry.find_model(name)))


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


def measure_copies(name: str, copies: int, steps: int) -> tuple[float, float]:
    """Median CPU seconds of a control step on one thread: of the environment, of bare physics."""
    robot = Robot.load(name)
    environment = Environment(robot, num_envs=copies, threads=1, initial_state="random")

    def step(action: np.ndarray) -> None:
        result = environment.step(action)
        ended.append(result.terminated | result.truncated)

    ended: list[np.ndarray] = []
    times = []
    for action in random_actions(copies, robot.num_joints, steps):
        times.append(measure_beside_bare(environment, partial(step, action)))
        if ended[-1].any():
            environment.reset(ended[-1])
    return tuple(np.median(times, axis=0))


def measure_gymnasium(name: str, steps: int) -> tuple[float, float]:
    """As `measure_copies`, of one robot by `gymnasium.make`."""
    env = gymnasium.make("bodyplan/Walk-v0", robot=name)
    environment, times, ended = env.unwrapped.environment, [], [True]

    def step(action: np.ndarray) -> None:
        ended[0] = any(env.step(action)[2:4])

    for action in random_actions(1, environment.robot.num_joints, steps):
        if ended[0]:
            env.reset(seed=0)
        given = action[0].astype(np.float32)
        times.append(measure_beside_bare(environment, partial(step, given)))
    return tuple(np.median(times, axis=0))


def measure_beside_bare(
    environment: Environment, step: Callable[[], object]
) -> tuple[float, float]:
    """CPU seconds of a step, and of bare physics from the same states under the same torques."""
    simulator, robot = environment.simulator, environment.robot
    model = bare_model(robot.name)
    states, warmstarts = simulator.states.copy(), simulator.warmstarts.copy()
    own = measure_time(step)[0]
    data = bare_data(robot.name)
    return own, step_bare_mujoco(robot, model, data, states, warmstarts, simulator.torques)


def measure_ant(steps: int) -> tuple[float, float]:
    """As `measure_gymnasium`, of Gymnasium's Ant-v5 and its own physics."""
    env = gymnasium.make("Ant-v5")
    model, live, substeps = env.unwrapped.model, env.unwrapped.data, env.unwrapped.frame_skip
    data, state = mujoco.MjData(model), np.empty(mujoco.mj_stateSize(model, _INTEGRATION))
    times, ended = [], True
    for action in random_actions(1, model.nu, steps):
        if ended:
            env.reset(seed=0)
        mujoco.mj_getState(model, live, state, _INTEGRATION)
        begin = time.process_time()
        ended = any(env.step(action[0])[2:4])
        own = time.process_time() - begin
        mujoco.mj_setState(model, data, state, _INTEGRATION)
        data.ctrl[:] = action[0]
        times.append((own, measure_time(lambda: mujoco.mj_step(model, data, nstep=substeps))[0]))
    return tuple(np.median(times, axis=0))


def measure_envpool(steps: int) -> float:
    """Median CPU seconds of a step of EnvPool's Go1, which resets itself."""
    import envpool

    env = envpool.make_gymnasium(ENVPOOL, num_envs=1, num_threads=1)
    env.reset()
    size = env.action_space.shape[0]
    actions = random_actions(1, size, steps)
    return float(np.median([measure_time(partial(env.step, action))[0] for action in actions]))


def random_actions(copies: int, joints: int, steps: int) -> Iterator[np.ndarray]:
    """Actions [copies, joints] of each step."""
    rng = np.random.default_rng(0)
    return (NOISE * rng.normal(size=(copies, joints)) for _ in range(steps))


def compare_light_steps(turns: int = 3) -> None:
    """Print what a step costs over bare physics, for few and many copies; the quickest of turns."""
    cases: dict[str, Callable[[], tuple[float, float]]] = {
        f"{LIGHT}/{copies}": partial(measure_copies, LIGHT, copies, 4000 // copies + 20)
        for copies in (1, 16, 256)
    }
    cases[f"{LIGHT}/gymnasium.make"] = partial(measure_gymnasium, LIGHT, 4000)
    if find_spec("imageio"):  # of gymnasium[mujoco]
        cases["Ant-v5/gymnasium.make"] = partial(measure_ant, 4000)
    else:
        say("Ant-v5/gymnasium.make", "installed", 0.0, "")
    found = {
        case: np.min([measure() for _ in range(turns)], axis=0) for case, measure in cases.items()
    }
    for case, (own, bare) in found.items():
        copies = int(case.split("/")[1]) if case[-1].isdigit() else 1
        say(case, STEP, 1e6 * own / copies, "us", 1e6 * bare / copies)
    if find_spec("envpool"):
        own = min(measure_envpool(4000) for _ in range(turns))
        say(f"envpool/{ENVPOOL}", STEP, 1e6 * own, "us", 1e6 * found[f"{LIGHT}/1"][0])
    else:
        say(f"envpool/{ENVPOOL}", "installed", 0.0, "")


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
    parser.add_argument("--light", action="store_true", help="few copies, beside other libraries")
    arguments = parser.parse_args()
    if arguments.light:
        compare_light_steps()
        return
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
