"""Environment: the walking task for N simulated robots under a command, with reset and step.

Datasets, experts and evaluations use it. There is no automatic reset. A robot whose episode has
ended goes on until the caller resets it, so the last observation of an episode is never lost.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import wadler_lindig
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from bodyplan.bounds import AnySeed, CountFromOne, FromZero, Threads, require_arguments
from bodyplan.envs import walking_task
from bodyplan.envs.components import join_components, set_to_zero, split_components
from bodyplan.envs.disturbances import (
    NO_DISTURBANCES,
    Disturbances,
    apply_push,
    apply_sensor_noise,
    sample_commands,
)
from bodyplan.envs.domain_randomisation import sample_randomised_model
from bodyplan.envs.rotations import euler_to_quaternion
from bodyplan.envs.simulator import Simulator
from bodyplan.envs.walking_task import Command, Observation, StepHistory, WalkingTask
from bodyplan.errors import BodyplanError
from bodyplan.robots.descriptors import RobotDescriptor, describe
from bodyplan.robots.robot import Robot

INITIAL_STATES = ("nominal", "random", "varied")
NEAR_NOMINAL = 0.1
"""rad: largest distance from the nominal pose of half of the `varied` initial states."""
RANDOM_COMMAND = "random"

_NOT_RANDOMISED = -1  # stands for the seed of a robot that has its own parameters
_SEEDS = 2**62
_REAL = "biufO"  # kinds of arrays: booleans, integers, floats, and Python's own numbers
_LARGEST_ACTION = 1e6  # motors saturate long before; larger numbers would only overflow


class StepResult(NamedTuple):
    """The result of one control step of N robots."""

    observation: Observation
    reward: Float[np.ndarray, "N"]
    terminated: Bool[np.ndarray, "N"]
    """The robot has fallen: there is no future to bootstrap from."""
    truncated: Bool[np.ndarray, "N"]
    """The horizon is reached: a learner bootstraps from the last observation."""
    velocity: Float[np.ndarray, "N 3"]
    """vx, vy (m/s) and yaw rate (rad/s) in the trunk frame."""
    reward_terms: Float[np.ndarray, "N 15"]
    """`REWARD_TERMS` with full penalties, before their sum is clipped."""

    def __repr__(self) -> str:
        return wadler_lindig.pformat(self)


class Environment:
    """The walking task for N copies of one robot.

    It can be pickled and deep-copied. A copy continues with the same bits.
    """

    def __init__(
        self,
        robot: Robot | str | Path,
        command: str | Command = "forward",
        num_envs: CountFromOne = 1,
        physics: str = "reference",
        initial_state: str = "nominal",
        seed: AnySeed = 0,
        threads: Threads | None = None,
        horizon: CountFromOne = walking_task.HORIZON,
        penalty_scale: FromZero = 1.0,
        disturbances: Disturbances = NO_DISTURBANCES,
    ) -> None:
        """Create the robots and reset them.

        Args:
            robot: a `Robot`, a name, or the path of an MJCF.
            command: `forward`, `backward`, "vx,vy,wz" or the three numbers (m/s, m/s, rad/s);
                `random` samples one for each robot at each reset.
            num_envs: N, the number of copies.
            physics: `reference` (datasets, evaluation) or `fast` (training of experts).
            initial_state: `nominal` is the nominal pose at rest; `random` is within the robot's
                own ranges; `varied` is random for half of the robots and near nominal for the rest.
            seed: determines all random numbers.
            threads: native threads; by default all cores. Results do not depend on it.
            horizon: control steps (20 ms each) until an episode is truncated.
            penalty_scale: factor on all penalties; 1 is the task.
            disturbances: what disturbs the robots; by default nothing.

        Raises:
            BodyplanError: an argument has an unknown or impossible value.
        """
        require_arguments(Environment.__init__.__annotations__, locals())
        if initial_state not in INITIAL_STATES:
            raise BodyplanError(
                f"initial_state '{initial_state}' is unknown; choose one of {INITIAL_STATES}"
            )
        self.robot = robot if isinstance(robot, Robot) else Robot.load(robot)
        self.num_envs = num_envs
        self.physics = physics
        self.horizon = horizon
        self.penalty_scale = penalty_scale
        self.initial_state = initial_state
        self.disturbances = disturbances
        self.rng = _generator(seed)
        self.simulator = Simulator(self.robot, num_envs, physics, threads)
        self._task = WalkingTask(self.robot, num_envs)
        self._fixed_command = (
            None if str(command) == RANDOM_COMMAND else walking_task.parse_command(command)
        )
        self.command = np.zeros((num_envs, 3))
        """vx, vy (m/s) and yaw rate (rad/s) that each robot is commanded at present."""
        self.elapsed_steps = np.zeros(num_envs, np.int64)
        """Control steps of each robot's present episode."""
        self._history = _zero_history(self.robot, num_envs)
        self._previous_action = np.zeros((num_envs, self.robot.num_joints))
        self._model_seeds = np.full(num_envs, _NOT_RANDOMISED)
        self._delayed = np.zeros(num_envs, bool)
        self.observation = self._observe()
        """The latest observation of each robot."""
        self.reset()

    def __repr__(self) -> str:
        command = self._fixed_command
        return (
            f"Environment({self.robot.name!r}, "
            f"{RANDOM_COMMAND if command is None else walking_task.command_name(command)!r}, "
            f"num_envs={self.num_envs}, physics={self.physics!r}, "
            f"initial_state={self.initial_state!r}, horizon={self.horizon}, {self.disturbances})"
        )

    @property
    def qpos(self) -> Float[np.ndarray, "N nq"]:
        """Present generalised positions of the N robots."""
        return self.simulator.qpos

    def reset(
        self,
        mask: Bool[np.ndarray, "N"] | None = None,
        command: Float[np.ndarray, "N 3"] | None = None,
    ) -> Observation:
        """Start a new episode for some robots and return the observation of all.

        Args:
            mask: the robots to reset; by default all.
            command: of each robot for this episode, instead of the environment's.

        Raises:
            BodyplanError: the mask is not one boolean for each robot.
        """
        mask = np.ones(self.num_envs, bool) if mask is None else np.asarray(mask)
        if mask.dtype != np.bool_ or mask.shape != (self.num_envs,):
            raise BodyplanError(
                f"the mask has type {mask.dtype} and shape {mask.shape}; give one boolean for each "
                f"of the {self.num_envs} robots"
            )
        if self.disturbances.randomise:
            self._randomise(mask)
        default = self._default_commands(int(mask.sum()))
        self.command[mask] = default if command is None else command[mask]
        qpos, qvel = self._sample_initial_states(int(mask.sum()))
        self.simulator.reset(mask, qpos, qvel)
        self.elapsed_steps[mask] = 0
        self._previous_action[mask] = 0.0
        self._history = StepHistory(*(set_to_zero(part, mask) for part in self._history))
        fresh = self._apply_sensor_noise(self._observe())
        # The other robots keep their last observation. Its foot timers have been updated since.
        for new, last in zip(fresh, self.observation, strict=True):
            new[~mask] = last[~mask]
        self.observation = fresh
        return fresh

    def step(self, action: ArrayLike) -> StepResult:
        """Apply one action [N, J] to each robot for 20 ms.

        Raises:
            BodyplanError: the action has another shape, or is not finite.
        """
        current = check_action(self.robot, self.num_envs, action)
        self._change_commands()
        applied = self._delay(current)
        self._previous_action = current
        self.simulator.step(applied)
        self.elapsed_steps += 1
        self._disturb_robots()
        task, history = self._task, self._history
        state, command = self.simulator.state_components(), split_components(self.command)
        given = split_components(applied)
        terms = task.reward_terms(state, given, history, command)
        self.observation = self._apply_sensor_noise(
            task.observation(state, given, history.foot_timers, command)
        )
        self._history = walking_task.update_history(state, given, history.foot_timers)
        (vx, vy, _), (_, _, yaw_rate) = state.linear_velocity, state.angular_velocity
        return StepResult(
            observation=self.observation,
            reward=walking_task.total_reward(terms, self.penalty_scale).astype(np.float32),
            terminated=task.is_terminated(state) | self.simulator.diverged,
            truncated=self.elapsed_steps >= self.horizon,
            velocity=join_components([vx, vy, yaw_rate], self.num_envs),
            reward_terms=terms,
        )

    @property
    def descriptor(self) -> RobotDescriptor:
        """The descriptor that a policy may read; with a leading axis of N once robots differ."""
        parameters = self.simulator.parameters
        return describe(self.robot, parameters) if parameters.mass.ndim else self.robot.descriptor

    def state_dict(self) -> dict[str, np.ndarray]:
        """All arrays that the future depends on, apart from `rng`, for `load_state_dict`."""
        saved = {
            "states": self.simulator.states,
            "warmstarts": self.simulator.warmstarts,
            "elapsed": self.elapsed_steps,
            "command": self.command,
            "given": self._previous_action,
            "specimens": self._model_seeds,
            **{k: join_components(v, self.num_envs) for k, v in self._history._asdict().items()},
            **{f"observation_{k}": v for k, v in self.observation._asdict().items()},
        }
        return {name: array.copy() for name, array in saved.items()}

    def load_state_dict(self, saved: dict[str, np.ndarray]) -> None:
        """Continue from a `state_dict`."""
        changed = np.flatnonzero(self._model_seeds != saved["specimens"])
        self._set_models(changed, saved["specimens"][changed].tolist())
        self.simulator.states[:] = saved["states"]
        self.simulator.warmstarts[:] = saved["warmstarts"]
        self.elapsed_steps[:] = saved["elapsed"]
        self.command[:] = saved["command"]
        self._previous_action = saved["given"].copy()
        self._history = StepHistory(
            *(split_components(saved[name].copy()) for name in StepHistory._fields)
        )
        self.observation = Observation(
            *(saved[f"observation_{name}"].copy() for name in Observation._fields)
        )

    def _observe(self) -> Observation:
        history, state = self._history, self.simulator.state_components()
        command = split_components(self.command)
        return self._task.observation(state, history.last_action, history.foot_timers, command)

    def _apply_sensor_noise(self, observation: Observation) -> Observation:
        ranges = self.robot.randomisation
        return apply_sensor_noise(self.disturbances, ranges, self.rng, observation)

    def _default_commands(self, count: int) -> Float[np.ndarray, "count 3"]:
        if self._fixed_command is None:
            return sample_commands(self.rng, count)
        return np.tile(self._fixed_command, (count, 1))

    def _delay(self, action: Float[np.ndarray, "N J"]) -> Float[np.ndarray, "N J"]:
        """The actions that reach the motors: those of the step before where they are late."""
        if not np.count_nonzero(self._delayed):
            return action
        late = self._delayed & (self.rng.random(self.num_envs) < 0.5)
        return np.where(late[:, None], self._previous_action, action)

    def _change_commands(self) -> None:
        if probability := self.disturbances.commands:
            changed = self.rng.random(self.num_envs) < probability
            self.command[changed] = sample_commands(self.rng, int(changed.sum()))

    def _disturb_robots(self) -> None:
        if probability := self.disturbances.redraw:
            self._randomise(self.rng.random(self.num_envs) < probability)
        if probability := self.disturbances.pushes:
            pushed = self.rng.random(self.num_envs) < probability
            velocity, ranges = self.simulator.qvel[:, :3], self.robot.randomisation
            velocity[pushed] = apply_push(ranges, self.rng, velocity[pushed])

    def _randomise(self, mask: Bool[np.ndarray, "N"]) -> None:
        robots = np.flatnonzero(mask)
        self._set_models(robots, [int(self.rng.integers(_SEEDS)) for _ in robots])

    def _set_models(self, robots: Int[np.ndarray, "M"], seeds: Iterable[int]) -> None:
        """Give some of the robots the randomised models of these seeds."""
        if not len(robots):
            return
        for index, seed in zip(robots.tolist(), seeds, strict=True):
            own = seed == _NOT_RANDOMISED
            randomised = None if own else sample_randomised_model(self.robot, seed)
            self.simulator.set_model(index, randomised)
            self._model_seeds[index] = seed
            self._delayed[index] = randomised is not None and randomised.delayed_actions
        self._task = WalkingTask(self.robot, self.num_envs, self.simulator.parameters)

    def _sample_initial_states(
        self, count: int
    ) -> tuple[Float[np.ndarray, "M nq"], Float[np.ndarray, "M nv"]]:
        """Positions and velocities at reset (reference task, section 1, "Reset")."""
        robot, ranges, rng = self.robot, self.robot.initial_state, self.rng
        qpos = np.tile(robot.nominal_qpos, (count, 1))
        qvel = np.zeros((count, robot.model.nv))
        if self.initial_state == "nominal":
            return qpos, qvel
        tilt = np.pi * ranges.roll_pitch
        angles = rng.uniform([-tilt, -tilt, -np.pi], [tilt, tilt, np.pi], (count, 3))
        qpos[:, 3:7] = euler_to_quaternion(angles)
        # U(a, 1 + a) as in the original's code: for a = 0.1 it is not centred on nominal.
        factor = rng.uniform(
            ranges.joint_position, 1.0 + ranges.joint_position, (count, robot.num_joints)
        )
        qpos[:, robot.qpos_index] = robot.nominal * factor
        share = rng.uniform(-ranges.joint_velocity, ranges.joint_velocity, (count, 1))
        qvel[:, robot.qvel_index] = share * robot.max_velocity
        qvel[:, :3] = rng.uniform(-1.0, 1.0, (count, 3)) * ranges.linear_velocity
        qvel[:, 3:6] = rng.uniform(-1.0, 1.0, (count, 3)) * ranges.angular_velocity
        if self.initial_state == "varied":
            near = rng.random(count) < 0.5
            noise = rng.uniform(-NEAR_NOMINAL, NEAR_NOMINAL, (int(near.sum()), robot.num_joints))
            qpos[np.ix_(near, robot.qpos_index)] = robot.nominal + noise
            qvel[np.ix_(near, robot.qvel_index)] = 0.0
        return qpos, qvel


def make(
    robot: Robot | str | Path,
    command: str | Command = "forward",
    num_envs: int = 1,
    *,
    seed: int = 0,
    initial_state: str = "nominal",
    disturbances: Disturbances = NO_DISTURBANCES,
) -> Environment:
    """The walking task for N copies of a robot, in reference physics.

    By default nothing is random: robots start in the nominal pose and nothing disturbs them.

    Args:
        robot: a `Robot`, a name, or the path of an MJCF.
        command: `forward`, `backward`, "vx,vy,wz", the three numbers, or `random`.
        num_envs: N, the number of copies.
        seed: determines all random numbers.
        initial_state: `nominal` or `random`.
        disturbances: what disturbs the robots; by default nothing.

    Raises:
        BodyplanError: an argument has an unknown or impossible value.
    """
    return Environment(
        robot,
        command,
        num_envs,
        seed=seed,
        initial_state=initial_state,
        disturbances=disturbances,
    )


def check_action(robot: Robot, num_envs: int, action: Any) -> Float[np.ndarray, "N J"]:
    """A copy of an action for N robots in double precision, within what does not overflow.

    Raises:
        BodyplanError: not numbers, not N rows of J joints, or not finite.
    """
    checked = action_numbers(robot, action)
    expected = (num_envs, robot.num_joints)
    if checked.shape != expected:
        raise BodyplanError(
            f"the action for {robot.name} has shape {checked.shape}; give {expected}, "
            f"one row for each robot and one number for each joint ({', '.join(robot.joints)})"
        )
    if np.vdot(checked, checked) <= _LARGEST_ACTION:  # so each is finite, and smaller still
        return checked
    finite = np.isfinite(checked)
    if not finite.all():
        row, joint = np.argwhere(~finite)[0]
        raise BodyplanError(
            f"the action for joint '{robot.joints[joint]}' of {robot.name} is "
            f"{checked[row, joint]} (robot {row} of {num_envs}); give finite numbers, "
            "and look for NaN in what computes them"
        )
    return np.clip(checked, -_LARGEST_ACTION, _LARGEST_ACTION)


def action_numbers(robot: Robot, action: Any) -> Float[np.ndarray, "..."]:
    """A copy of an action in double precision, whatever its shape.

    Raises:
        BodyplanError: it is no array of numbers.
    """
    try:
        given = np.asarray(action)
        if given.dtype.kind not in _REAL or (given.dtype.hasobject and None in given):
            raise ValueError(f"it holds {'None' if given.dtype.hasobject else given.dtype}")
        return np.array(given, np.float64)
    except (TypeError, ValueError) as error:
        raise BodyplanError(
            f"the action for {robot.name} is no array of numbers: {error}"
        ) from error


def _generator(seed: int) -> np.random.Generator:
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise BodyplanError(f"seed {seed!r} is no seed; give a whole number from 0") from error


def _zero_history(robot: Robot, num_envs: int) -> StepHistory:
    sizes = (robot.num_joints, robot.num_joints, robot.num_feet)
    return StepHistory(*(split_components(np.zeros((num_envs, size))) for size in sizes))
