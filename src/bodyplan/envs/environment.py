"""N robots walking under a command: reset, step, and nothing else.

Used by data collection, expert training and evaluation. There is no auto-reset: a finished robot
stays where it is until the caller resets it, so an episode's last observation is never lost.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from bodyplan.envs import walking_task
from bodyplan.envs.disturbances import (
    NO_DISTURBANCES,
    Disturbances,
    apply_sensor_noise,
    push,
    sample_commands,
)
from bodyplan.envs.domain_randomisation import sample_randomised_model
from bodyplan.envs.rotations import euler_to_quaternion
from bodyplan.envs.simulator import Simulator
from bodyplan.envs.walking_task import Command, Observation, StepHistory
from bodyplan.errors import BodyplanError
from bodyplan.robots.descriptors import RobotDescriptor, describe
from bodyplan.robots.robot import Robot

if TYPE_CHECKING:
    from bodyplan.robots.robot import Robot

INITIAL_STATES = ("nominal", "random", "varied")
NEAR = 0.1  # rad: how near the nominal pose half of the varied initial states are
RANDOM_COMMAND = "random"

_OWN = -1  # where a specimen's seed would stand: the robot as its files give it
_SEEDS = 2**62
_LARGEST = 1e6  # motors have long saturated and the reward is gone; larger numbers only overflow


class StepResult(NamedTuple):
    """What one control step brought."""

    observation: Observation
    reward: Float[np.ndarray, "N"]
    terminated: Bool[np.ndarray, "N"]
    """Fallen: there is no future to bootstrap from."""
    truncated: Bool[np.ndarray, "N"]
    """Out of time: the future goes on unseen."""
    velocity: Float[np.ndarray, "N 3"]
    """vx, vy (m/s) and yaw rate (rad/s) in the trunk frame."""
    terms: Float[np.ndarray, "N 15"]
    """`REWARD_TERMS` at full penalties, before the sum is clipped."""


class Environment:
    """The walking task for N copies of one robot."""

    def __init__(
        self,
        robot: Robot | str,
        command: str | Command = "forward",
        num_envs: int = 1,
        physics: str = "reference",
        initial_state: str = "nominal",
        seed: int = 0,
        threads: int | None = None,
        horizon: int = walking_task.HORIZON,
        penalty_scale: float = 1.0,
        disturbances: Disturbances = NO_DISTURBANCES,
    ) -> None:
        """Set up and reset.

        Args:
            robot: a `Robot`, a packaged name or the path of an MJCF.
            command: `forward`, `backward`, "vx,vy,wz", the three numbers, or `random` for one of
                its own for each robot at each reset.
            num_envs: N.
            physics: `reference` (data, evaluation) or `fast` (training experts).
            initial_state: `nominal` pose at rest, `random` as the robot's parameters say, or
                `varied`, half of them `random` and half near the nominal pose.
            seed: decides everything that is random.
            threads: native threads; all cores where not given. Results do not depend on it.
            horizon: control steps until an episode is truncated.
            penalty_scale: factor on all penalties; 1 is the task.
            disturbances: what disturbs the robots; nothing where not given.

        Raises:
            BodyplanError: an argument names nothing.
        """
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
        self.rng = np.random.default_rng(seed)
        self.simulator = Simulator(self.robot, num_envs, physics, threads)
        self._wanted = (
            None if str(command) == RANDOM_COMMAND else walking_task.parse_command(command)
        )
        self.command = np.zeros((num_envs, 3))
        self.elapsed_steps = np.zeros(num_envs, np.int64)
        self._memory = _blank_memory(self.robot, num_envs)
        self._given = np.zeros((num_envs, self.robot.num_joints))
        self._specimens = np.full(num_envs, _OWN)
        self._late = np.zeros(num_envs, bool)
        self.observation = self._observe()
        self.reset()

    @property
    def qpos(self) -> Float[np.ndarray, "N nq"]:
        """Present positions of the N robots."""
        return self.simulator.qpos

    def reset(
        self,
        mask: Bool[np.ndarray, "N"] | None = None,
        command: Float[np.ndarray, "N 3"] | None = None,
    ) -> Observation:
        """Start a new episode for the robots of `mask` (all where not given).

        With `command`, the episode is under that of each robot's row instead of the environment's.
        """
        mask = np.ones(self.num_envs, bool) if mask is None else mask
        if self.disturbances.randomise:
            self._redraw(mask)
        usual = self._commands(int(mask.sum()))
        self.command[mask] = usual if command is None else command[mask]
        qpos, qvel = self._initial(int(mask.sum()))
        self.simulator.reset(mask, qpos, qvel)
        self.elapsed_steps[mask] = 0
        self._given[mask] = 0.0
        for remembered in self._memory:
            remembered[mask] = 0.0
        fresh = self._sense(self._observe())
        # The others keep what they saw after their last step: its foot timers are gone by now.
        for new, seen in zip(fresh, self.observation, strict=True):
            new[~mask] = seen[~mask]
        self.observation = fresh
        return fresh

    def step(self, action: ArrayLike) -> StepResult:
        """Apply one action [N, J] to each robot for 20 ms.

        Raises:
            BodyplanError: the action has another shape, or is not finite.
        """
        robot, memory, rng = self.robot, self._memory, self.rng
        given = np.clip(check_action(robot, self.num_envs, action), -_LARGEST, _LARGEST)
        self._change_commands()
        late = self._late & (rng.random(self.num_envs) < 0.5) if self._late.any() else self._late
        action = np.where(late[:, None], self._given, given)
        self._given = given
        self.simulator.step(action)
        self.elapsed_steps += 1
        self._disturb_bodies()
        state, parameters = self.simulator.robot_state(), self.simulator.parameters
        terms = walking_task.reward_terms(robot, state, action, memory, self.command, parameters)
        self.observation = self._sense(
            walking_task.compute_observation(
                robot, state, action, memory.foot_timers, self.command, parameters
            )
        )
        self._memory = walking_task.update_history(state, action, memory.foot_timers)
        planar = state.linear_velocity[:, :2]
        return StepResult(
            observation=self.observation,
            reward=walking_task.total_reward(terms, self.penalty_scale).astype(np.float32),
            terminated=walking_task.is_terminated(robot, state) | self.simulator.diverged,
            truncated=self.elapsed_steps >= self.horizon,
            velocity=np.column_stack([planar, state.angular_velocity[:, 2]]),
            terms=terms,
        )

    @property
    def descriptor(self) -> RobotDescriptor:
        """What a policy may know of the bodies; with a leading axis of N once they differ."""
        parameters = self.simulator.parameters
        return describe(self.robot, parameters) if parameters.mass.ndim else self.robot.descriptor

    def state_dict(self) -> dict[str, np.ndarray]:
        """All that the future depends on, but for `rng`; `load_state_dict` takes it back."""
        saved = {
            "states": self.simulator.states,
            "warmstarts": self.simulator.warmstarts,
            "elapsed": self.elapsed_steps,
            "command": self.command,
            "given": self._given,
            "specimens": self._specimens,
            **self._memory._asdict(),
            **{f"observation_{k}": v for k, v in self.observation._asdict().items()},
        }
        return {name: array.copy() for name, array in saved.items()}

    def load_state_dict(self, saved: dict[str, np.ndarray]) -> None:
        """Continue from a `state_dict`."""
        for index in np.flatnonzero(self._specimens != saved["specimens"]).tolist():
            self._become(index, int(saved["specimens"][index]))
        self.simulator.states[:] = saved["states"]
        self.simulator.warmstarts[:] = saved["warmstarts"]
        self.elapsed_steps[:] = saved["elapsed"]
        self.command[:] = saved["command"]
        self._given = saved["given"].copy()
        self._memory = StepHistory(*(saved[name].copy() for name in StepHistory._fields))
        self.observation = Observation(
            *(saved[f"observation_{name}"].copy() for name in Observation._fields)
        )

    def _observe(self) -> Observation:
        memory, state = self._memory, self.simulator.robot_state()
        return walking_task.compute_observation(
            self.robot,
            state,
            memory.last_action,
            memory.foot_timers,
            self.command,
            self.simulator.parameters,
        )

    def _sense(self, observation: Observation) -> Observation:
        ranges = self.robot.randomisation
        return apply_sensor_noise(self.disturbances, ranges, self.rng, observation)

    def _commands(self, count: int) -> Float[np.ndarray, "count 3"]:
        if self._wanted is None:
            return sample_commands(self.rng, count)
        return np.tile(self._wanted, (count, 1))

    def _change_commands(self) -> None:
        changed = self._chance(self.disturbances.commands)
        if changed.any():
            count = int(changed.sum())
            self.command[changed] = sample_commands(self.rng, count)

    def _disturb_bodies(self) -> None:
        redrawn = self._chance(self.disturbances.redraw)
        if redrawn.any():
            self._redraw(redrawn)
        pushed = self._chance(self.disturbances.pushes)
        if pushed.any():
            velocity, ranges = self.simulator.qvel[:, :3], self.robot.randomisation
            velocity[pushed] = push(ranges, self.rng, velocity[pushed])

    def _chance(self, probability: float) -> Bool[np.ndarray, "N"]:
        if probability == 0.0:
            return np.zeros(self.num_envs, bool)
        return self.rng.random(self.num_envs) < probability

    def _redraw(self, mask: Bool[np.ndarray, "N"]) -> None:
        for index in np.flatnonzero(mask).tolist():
            self._become(index, int(self.rng.integers(_SEEDS)))

    def _become(self, index: int, seed: int) -> None:
        """Make one robot the specimen of a seed."""
        specimen = None if seed == _OWN else sample_randomised_model(self.robot, seed)
        self.simulator.replace(index, specimen)
        self._specimens[index] = seed
        self._late[index] = specimen is not None and specimen.late

    def _initial(self, count: int) -> tuple[Float[np.ndarray, "M nq"], Float[np.ndarray, "M nv"]]:
        robot, ranges, rng = self.robot, self.robot.initial_state, self.rng
        qpos = np.tile(robot.nominal_qpos, (count, 1))
        qvel = np.zeros((count, robot.model.nv))
        if self.initial_state == "nominal":
            return qpos, qvel
        tilt = np.pi * ranges.roll_pitch
        angles = rng.uniform([-tilt, -tilt, -np.pi], [tilt, tilt, np.pi], (count, 3))
        qpos[:, 3:7] = euler_to_quaternion(angles)
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
            noise = rng.uniform(-NEAR, NEAR, (int(near.sum()), robot.num_joints))
            qpos[np.ix_(near, robot.qpos_index)] = robot.nominal + noise
            qvel[np.ix_(near, robot.qvel_index)] = 0.0
        return qpos, qvel


def make(
    robot: Robot | str,
    command: str | Command = "forward",
    num_envs: int = 1,
    disturbances: Disturbances = NO_DISTURBANCES,
) -> Environment:
    """The walking task for N copies of a robot, in reference physics from the nominal pose.

    Without `disturbances` it is the clean task, in which nothing is random.
    """
    return Environment(robot, command, num_envs, disturbances=disturbances)


def _blank_memory(robot: Robot, num_envs: int) -> StepHistory:
    per_joint = (num_envs, robot.num_joints)
    return StepHistory(
        np.zeros(per_joint), np.zeros(per_joint), np.zeros((num_envs, robot.num_feet))
    )


def check_action(robot: "Robot", num_envs: int, action: Any) -> Float[np.ndarray, "N J"]:
    """A copy of an action for N robots in double precision.

    Raises:
        BodyplanError: not numbers, not N rows of J joints, or not finite.
    """
    try:
        checked = np.array(action, np.float64)
    except (TypeError, ValueError) as error:
        raise BodyplanError(
            f"the action for {robot.name} is no array of numbers: {error}"
        ) from error
    expected = (num_envs, robot.num_joints)
    if checked.shape != expected:
        raise BodyplanError(
            f"the action for {robot.name} has shape {checked.shape}; give {expected}, "
            f"one row for each robot and one number for each joint ({', '.join(robot.joints)})"
        )
    finite = np.isfinite(checked)
    if not finite.all():
        row, joint = np.argwhere(~finite)[0]
        raise BodyplanError(
            f"the action for joint '{robot.joints[joint]}' of {robot.name} is "
            f"{checked[row, joint]} (robot {row} of {num_envs}); give finite numbers, "
            "and look for NaN in what computes them"
        )
    return checked
