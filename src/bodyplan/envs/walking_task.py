"""The walking task: observation, reward, termination and velocity commands.

Pure functions over batches of N robot states; the robot's parameters are data, which `WalkingTask`
looks up once. The task is that of "One Policy to Run Them All" (Bohlinger et al. 2024, arXiv
2409.06366) in its public code. Its slips are copied on purpose, so that returns compare with
published ones:

- The joint acceleration penalty divides only the present velocity by the control step. It is
  nearly a velocity penalty.
- The time since a foot's last contact is observed before this step's update. The step of touchdown
  still shows the air time.
- Contacts are one physics step older than positions and velocities.
"""

from collections.abc import Iterable, Sequence
from operator import sub
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import wadler_lindig
from jaxtyping import Bool, Float, Int

from bodyplan.envs.components import (
    Component,
    Components,
    any_of,
    at_least,
    for_each,
    join_components,
    split_components,
    sum_of_each,
    total,
)
from bodyplan.envs.rotations import gravity_direction, roll_pitch_from_gravity, turn_into_trunk
from bodyplan.errors import BodyplanError
from bodyplan.robots.descriptors import ANGLE_SCALE
from bodyplan.robots.feature_sizes import (
    FOOT_OBSERVATION_SIZE,
    GENERAL_OBSERVATION_SIZE,
    JOINT_OBSERVATION_SIZE,
    local_observation_size,
)
from bodyplan.robots.model_parameters import ModelParameters
from bodyplan.robots.task_config import CONTROL_STEP

if TYPE_CHECKING:
    from bodyplan.robots.robot import Robot

HORIZON = 1000
"""Control steps in an episode: 20 s."""
ACTION_MEAN_LIMIT = 10.0
"""Policies clip the mean of their actions to plus or minus this (reference task, section 7)."""
ACTION_LIMIT = 20.0
"""Bound of every valid action: that of the action space and of datasets.

Sampled actions are not clipped. Their std is at most 2, so this allows five std beyond the mean.
"""
TRACKING_TEMPERATURE = 0.25
"""Squared velocity error, (m/s)^2 or (rad/s)^2, at which the tracking reward falls to 1/e."""
VELOCITY_SCALE = 35.0
"""rad/s: joint velocities are observed in this unit."""
LINEAR_VELOCITY_SCALE = 10.0
"""m/s: the trunk's linear velocity is observed in this unit, and clipped at plus or minus 1."""
ANGULAR_VELOCITY_SCALE = 50.0
"""rad/s: the trunk's angular velocity is observed in this unit, and clipped alike."""
AIR_TIME_TARGET = 0.5
"""Seconds that a foot should be in the air."""
SOFT_JOINT_RANGE = 0.9
"""Share of the joint range, about its middle, that has no penalty."""

REWARD_TERMS = (
    "tracking_xy",
    "tracking_yaw",
    "z_velocity",
    "roll_pitch_velocity",
    "roll_pitch",
    "nominal_pose",
    "joint_limit",
    "joint_velocity",
    "acceleration",
    "torque",
    "action_rate",
    "collision",
    "height",
    "air_time",
    "symmetry",
)

Command = tuple[float, float, float]
"""Commanded vx, vy (m/s) and yaw rate (rad/s) in the trunk frame."""

_NAMED_COMMANDS: dict[str, Command] = {"forward": (1.0, 0.0, 0.0), "backward": (-1.0, 0.0, 0.0)}


class Observation(NamedTuple):
    """The scaled observation of a moment; leading axes are any batch."""

    joints: Float[np.ndarray, "... J 3"]
    """Position from nominal, velocity, last action."""
    feet: Float[np.ndarray, "... F 2"]
    """Floor contact as -1 or 1, time since the last contact."""
    general: Float[np.ndarray, "... 13"]
    """Linear velocity, angular velocity, command, gravity (3 each, trunk frame), height (1)."""

    def __repr__(self) -> str:
        return wadler_lindig.pformat(self)


class RobotState(NamedTuple):
    """The physical state of N robots after a control step."""

    height: Float[np.ndarray, "N"]
    """Trunk above the floor, m."""
    gravity: Float[np.ndarray, "N 3"]
    """Unit vector downwards, trunk frame."""
    linear_velocity: Float[np.ndarray, "N 3"]
    """Trunk frame, m/s."""
    angular_velocity: Float[np.ndarray, "N 3"]
    """Trunk frame, rad/s."""
    joint_positions: Float[np.ndarray, "N J"]
    """rad."""
    joint_velocities: Float[np.ndarray, "N J"]
    """rad/s."""
    torques: Float[np.ndarray, "N J"]
    """N m, after the motors' limits."""
    foot_contact: Bool[np.ndarray, "N F"]
    """Whether each foot touches the floor."""
    touching: Bool[np.ndarray, "N G"]
    """Whether each of `Robot.contact_geoms` touches anything."""

    def __repr__(self) -> str:
        return wadler_lindig.pformat(self)

    def components(self) -> "StateComponents":
        """The same as the task's formulas read it."""
        height, *vectors = self
        (own_height,) = split_components(height[:, None])
        return StateComponents(
            own_height, *(split_components(vector.astype(float)) for vector in vectors)
        )


class StateComponents(NamedTuple):
    """A `RobotState` by component (`components.py`)."""

    height: Component
    gravity: Components
    linear_velocity: Components
    angular_velocity: Components
    joint_positions: Components
    joint_velocities: Components
    torques: Components
    foot_contact: Components
    """1 or 0, as those of `touching`."""
    touching: Components

    def arrays(self, count: int) -> RobotState:
        """The state of N robots as arrays; N is `count`."""
        parts = self._replace(height=[self.height])._asdict()
        state = RobotState(**{name: join_components(part, count) for name, part in parts.items()})
        return state._replace(
            height=state.height[:, 0],
            foot_contact=state.foot_contact > 0.0,
            touching=state.touching > 0.0,
        )


def compute_robot_state(
    robot: "Robot",
    qpos: Components,
    qvel: Components,
    torques: Components,
    foot_contact: Components,
    touching: Components,
) -> StateComponents:
    """The state of N robots from MuJoCo's positions, velocities and contacts."""
    orientation = qpos[3:7]
    return StateComponents(
        height=qpos[2],
        gravity=gravity_direction(orientation),
        linear_velocity=turn_into_trunk(qvel[:3], orientation),
        angular_velocity=qvel[3:6],
        joint_positions=_pick(qpos, robot.qpos_index),
        joint_velocities=_pick(qvel, robot.qvel_index),
        torques=torques,
        foot_contact=foot_contact,
        touching=touching,
    )


class StepHistory(NamedTuple):
    """What observation and reward need of earlier control steps; all zero after a reset."""

    last_action: Components
    joint_velocities: Components
    """rad/s, after the previous step."""
    foot_timers: Components
    """Seconds since each foot's last contact."""


def parse_command(command: str | Sequence[float]) -> Command:
    """The command that `forward`, `backward`, "vx,vy,wz" or three numbers stand for.

    Raises:
        BodyplanError: the text or the numbers are no command.
    """
    if isinstance(command, str) and command in _NAMED_COMMANDS:
        return _NAMED_COMMANDS[command]
    parts = command.split(",") if isinstance(command, str) else command
    try:
        vx, vy, wz = (float(part) for part in parts)
        if not np.isfinite([vx, vy, wz]).all():
            raise ValueError("NaN or infinity")
    except (TypeError, ValueError) as error:
        raise BodyplanError(
            f"'{command}' is no command; give forward, backward or three numbers vx,vy,wz"
        ) from error
    return (vx, vy, wz)


def command_name(command: Command) -> str:
    """The name of a command: `forward`, `backward` or the three numbers."""
    for name, named in _NAMED_COMMANDS.items():
        if named == command:
            return name
    return ",".join(f"{number:g}" for number in command)


class WalkingTask:
    """The formulas for one robot, or for N copies of it whose parameters differ."""

    def __init__(
        self, robot: "Robot", count: int, parameters: ModelParameters | None = None
    ) -> None:
        """Look up what the formulas read.

        Args:
            robot: the robot.
            count: N.
            parameters: of the N robots where randomisation makes them differ.
        """
        parameters, reward = parameters or robot.parameters, robot.reward
        feet = [foot.name for foot in robot.feet]
        self._robot = robot
        self._count = count
        self._nominal, self._middle, self._half = (
            split_components(np.broadcast_to(part, (count, robot.num_joints)))
            for part in (parameters.nominal, *_soft_range(parameters))
        )
        self._nominal_pose = _places(reward.nominal_pose_joints, robot.joints)
        self._collisions = _places(reward.collision_geoms, robot.contact_geoms)
        self._trunk = _places(reward.trunk_geoms, robot.contact_geoms)
        self._falls = _places(robot.termination.contact_geoms, robot.contact_geoms)
        self._pairs = [_places(pair, feet) for pair in reward.symmetry_pairs]
        self._scale = _observation_scale(robot)

    def observation(
        self,
        state: StateComponents,
        action: Components,
        foot_timers: Components,
        command: Components,
    ) -> Observation:
        """The scaled observation of N robots (reference task, section 2).

        Args:
            state: after the control step.
            action: that was applied in this step.
            foot_timers: seconds since each foot's last contact, before this step's update.
            command: vx, vy (m/s) and yaw rate (rad/s).
        """
        robot, count = self._robot, self._count
        feet_from = JOINT_OBSERVATION_SIZE * robot.num_joints
        general_from = local_observation_size(robot.num_joints, robot.num_feet)
        size = general_from + GENERAL_OBSERVATION_SIZE
        x: Components = [0.0] * size if count == 1 else np.zeros((size, count))
        x[0:feet_from:3] = for_each(sub, state.joint_positions, self._nominal)
        x[1:feet_from:3] = state.joint_velocities
        x[2:feet_from:3] = action
        if robot.senses_feet:
            x[feet_from:general_from:2] = state.foot_contact
            x[feet_from + 1 : general_from : 2] = foot_timers
        x[general_from : general_from + 3] = state.linear_velocity
        x[general_from + 3 : general_from + 6] = state.angular_velocity
        x[general_from + 6 : general_from + 9] = command
        x[general_from + 9 : general_from + 12] = state.gravity
        x[general_from + 12] = state.height
        scaled = self._scale.apply(join_components(x, count))
        joints, feet, general = (
            scaled[:, :feet_from].reshape(count, robot.num_joints, JOINT_OBSERVATION_SIZE),
            scaled[:, feet_from:general_from].reshape(count, robot.num_feet, FOOT_OBSERVATION_SIZE),
            scaled[:, general_from:],
        )
        return Observation(*(part.astype(np.float32) for part in (joints, feet, general)))

    def reward_terms(
        self,
        state: StateComponents,
        action: Components,
        history: StepHistory,
        command: Components,
    ) -> Float[np.ndarray, "N 15"]:
        """The terms of `REWARD_TERMS`, times coefficient and control step (section 4).

        Args:
            state: after the control step.
            action: that was applied in this step.
            history: of the steps before this one.
            command: vx, vy (m/s) and yaw rate (rad/s).
        """
        robot, weights = self._robot, self._robot.reward
        vx, vy, vz = state.linear_velocity
        wx, wy, wz = state.angular_velocity
        roll, pitch = roll_pitch_from_gravity(state.gravity)
        command_x, command_y, command_yaw = command
        q, contacts, touching = state.joint_positions, state.foot_contact, state.touching
        excess, acceleration, torque, action_rate = sum_of_each(
            _joint_costs,
            q,
            state.joint_velocities,
            state.torques,
            action,
            history.joint_velocities,
            history.last_action,
            self._middle,
            self._half,
        )
        (air_time,) = sum_of_each(_air_time, contacts, history.foot_timers)
        pose = [q[joint] - self._nominal[joint] for joint in self._nominal_pose]
        terms = [
            weights.tracking_xy
            * np.exp(-_square(vx - command_x, vy - command_y) / TRACKING_TEMPERATURE),
            weights.tracking_yaw * np.exp(-_square(wz - command_yaw) / TRACKING_TEMPERATURE),
            -weights.z_velocity * _square(vz),
            -weights.roll_pitch_velocity * _square(wx, wy),
            -weights.roll_pitch * _square(roll, pitch),
            -weights.nominal_pose * total(map(_square, pose)),
            -weights.joint_limit * excess,
            0.0,  # the original has a joint velocity term whose coefficient is 0
            -weights.acceleration * acceleration,
            -weights.torque * torque,
            -weights.action_rate * action_rate,
            -weights.collision
            * (
                total([touching[geom] for geom in self._collisions])
                + any_of([touching[geom] for geom in self._trunk])
            ),
            -weights.height * _square(state.height - robot.drop_height),
            weights.air_time * air_time,
            -weights.symmetry
            * total([1.0 - any_of([contacts[foot] for foot in pair]) for pair in self._pairs]),
        ]
        return CONTROL_STEP * join_components(terms, self._count)

    def is_terminated(self, state: StateComponents) -> Bool[np.ndarray, "N"]:
        """Whether each robot has fallen: a listed geom touches anything, or it is too low."""
        fallen = np.zeros(self._count, bool)
        fallen[:] = any_of([state.touching[geom] for geom in self._falls])
        if self._robot.termination.min_height is not None:
            fallen |= state.height < self._robot.termination.min_height
        return fallen


def total_reward(
    terms: Float[np.ndarray, "N 15"], penalty_scale: float = 1.0
) -> Float[np.ndarray, "N"]:
    """Tracking plus scaled penalties; the sum is clipped at zero from below, as in the original."""
    tracking_xy, tracking_yaw, *penalties = split_components(terms)
    reward = tracking_xy + tracking_yaw + penalty_scale * total(penalties)
    return np.array(at_least(0.0, reward), ndmin=1)


def update_history(
    state: StateComponents, action: Components, foot_timers: Components
) -> StepHistory:
    """The history for the next control step, from the foot timers (s) before this one."""
    timers = for_each(_next_timer, state.foot_contact, foot_timers)
    return StepHistory(action, state.joint_velocities, timers)


class _ObservationScale(NamedTuple):
    """A number x is observed as x / unit - offset, within low and high."""

    unit: Float[np.ndarray, "D"]
    offset: Float[np.ndarray, "D"]
    low: Float[np.ndarray, "D"]
    high: Float[np.ndarray, "D"]

    def apply(self, x: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
        x /= self.unit
        x -= self.offset
        np.minimum(x, self.high, out=x)
        return np.maximum(x, self.low, out=x)


def _observation_scale(robot: "Robot") -> _ObservationScale:
    joint = [(ANGLE_SCALE, 0.0, np.inf), (VELOCITY_SCALE, 0.0, np.inf), (10.0, 0.0, np.inf)]
    foot = [(0.5, 1.0, 1.0), (2.5, 1.0, 1.0)]
    general = [
        *[(LINEAR_VELOCITY_SCALE, 0.0, 1.0)] * 3,
        *[(ANGULAR_VELOCITY_SCALE, 0.0, 1.0)] * 3,
        *[(1.0, 0.0, np.inf)] * 6,  # command and gravity
        (robot.box_size[2], 1.0, 1.0),
    ]
    rows = np.array(joint * robot.num_joints + foot * robot.num_feet + general)
    unit, offset, limit = np.ascontiguousarray(rows.T)
    return _ObservationScale(unit, offset, -limit, limit)


def _places(names: Iterable[str], among: Sequence[str]) -> list[int]:
    return [among.index(name) for name in names]


def _pick(components: Components, index: Int[np.ndarray, "J"]) -> Components:
    if isinstance(components, list):
        return [components[place] for place in index.tolist()]
    return components.take(index, axis=0)


def _soft_range(
    parameters: ModelParameters,
) -> tuple[Float[np.ndarray, "... J"], Float[np.ndarray, "... J"]]:
    low, high = parameters.joint_range[..., 0], parameters.joint_range[..., 1]
    return (low + high) / 2.0, SOFT_JOINT_RANGE * (high - low) / 2.0


def _square(x: Component, y: Component = 0.0) -> Component:
    return x * x + y * y


def _joint_costs(
    q: Component,
    qd: Component,
    torque: Component,
    action: Component,
    last_qd: Component,
    last_action: Component,
    middle: Component,
    half: Component,
) -> tuple[Component, Component, Component, Component]:
    """What one joint adds to the penalties of range, acceleration, torque and action rate."""
    outside = abs(q - middle) - half
    # Slip of the original: only the present velocity is divided by the control step.
    acceleration = last_qd - qd / CONTROL_STEP
    change = action - last_action
    return outside * (outside > 0.0), acceleration * acceleration, torque * torque, change * change


def _air_time(contact: Component, timer: Component) -> tuple[Component]:
    """Seconds beyond the target that a foot was in the air, at its touchdown."""
    return (contact * (timer + CONTROL_STEP * (1.0 - contact) - AIR_TIME_TARGET),)


def _next_timer(contact: Component, timer: Component) -> Component:
    return (timer + CONTROL_STEP) * (1.0 - contact)
