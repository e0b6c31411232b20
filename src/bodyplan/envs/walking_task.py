"""The walking task: observation, reward, termination and velocity commands.

Pure functions over batches of N robot states; the robot's parameters are data. The task is that of
"One Policy to Run Them All" (Bohlinger et al. 2024, arXiv 2409.06366) in its public code. Its slips
are copied on purpose, so that returns compare with published ones:

- The joint acceleration penalty divides only the present velocity by the control step. It is
  nearly a velocity penalty.
- The time since a foot's last contact is observed before this step's update. The step of touchdown
  still shows the air time.
- Contacts are one physics step older than positions and velocities.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import wadler_lindig
from jaxtyping import Bool, Float

from bodyplan.envs.rotations import projected_gravity, roll_pitch_from_gravity, world_to_trunk
from bodyplan.errors import BodyplanError
from bodyplan.robots.descriptors import ANGLE_SCALE
from bodyplan.robots.feature_sizes import FOOT_OBSERVATION_SIZE
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
    """The physical state of N robots after a control step, as the task reads it."""

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


def compute_robot_state(
    robot: "Robot",
    qpos: Float[np.ndarray, "N nq"],
    qvel: Float[np.ndarray, "N nv"],
    torques: Float[np.ndarray, "N J"],
    foot_contact: Bool[np.ndarray, "N F"],
    touching: Bool[np.ndarray, "N G"],
) -> RobotState:
    """The state of N robots from MuJoCo's positions, velocities and contacts."""
    orientation = qpos[:, 3:7]
    return RobotState(
        height=qpos[:, 2].copy(),
        gravity=projected_gravity(orientation),
        linear_velocity=world_to_trunk(qvel[:, :3], orientation),
        angular_velocity=qvel[:, 3:6].copy(),
        joint_positions=qpos[:, robot.qpos_index],
        joint_velocities=qvel[:, robot.qvel_index],
        torques=torques,
        foot_contact=foot_contact,
        touching=touching,
    )


class StepHistory(NamedTuple):
    """What observation and reward need of earlier control steps; all zero after a reset."""

    last_action: Float[np.ndarray, "N J"]
    joint_velocities: Float[np.ndarray, "N J"]
    """rad/s, after the previous step."""
    foot_timers: Float[np.ndarray, "N F"]
    """Seconds since each foot's last contact."""

    def __repr__(self) -> str:
        return wadler_lindig.pformat(self)


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
    except ValueError as error:
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


def compute_observation(
    robot: "Robot",
    state: RobotState,
    action: Float[np.ndarray, "N J"],
    foot_timers: Float[np.ndarray, "N F"],
    command: Float[np.ndarray, "N 3"],
    parameters: ModelParameters | None = None,
) -> Observation:
    """The scaled observation of N robots (reference task, section 2).

    Args:
        robot: the robot.
        state: of the N robots after the control step.
        action: the actions that were applied in this step.
        foot_timers: seconds since each foot's last contact, before this step's update.
        command: vx, vy (m/s) and yaw rate (rad/s) of each robot.
        parameters: of the N robots where randomisation makes them differ.
    """
    nominal = (parameters or robot.parameters).nominal
    joints = np.stack(
        [
            (state.joint_positions - nominal) / ANGLE_SCALE,
            state.joint_velocities / VELOCITY_SCALE,
            action / 10.0,
        ],
        axis=-1,
    )
    if robot.senses_feet:
        contact = 2.0 * state.foot_contact - 1.0
        timers = np.clip(foot_timers / 2.5 - 1.0, -1.0, 1.0)
        feet = np.stack([contact, timers], axis=-1)
    else:
        feet = np.full((*foot_timers.shape, FOOT_OBSERVATION_SIZE), -1.0)
    general = np.concatenate(
        [
            np.clip(state.linear_velocity / LINEAR_VELOCITY_SCALE, -1.0, 1.0),
            np.clip(state.angular_velocity / ANGULAR_VELOCITY_SCALE, -1.0, 1.0),
            command,
            state.gravity,
            np.clip(state.height[:, None] / robot.box_size[2] - 1.0, -1.0, 1.0),
        ],
        axis=1,
    )
    return Observation(*(part.astype(np.float32) for part in (joints, feet, general)))


def reward_terms(
    robot: "Robot",
    state: RobotState,
    action: Float[np.ndarray, "N J"],
    history: StepHistory,
    command: Float[np.ndarray, "N 3"],
    parameters: ModelParameters | None = None,
) -> Float[np.ndarray, "N 15"]:
    """The terms of `REWARD_TERMS`, times coefficient and control step (reference task, section 4).

    Args:
        robot: the robot.
        state: of the N robots after the control step.
        action: the actions that were applied in this step.
        history: of the steps before this one.
        command: vx, vy (m/s) and yaw rate (rad/s) of each robot.
        parameters: of the N robots where randomisation makes them differ.
    """
    weights, parameters = robot.reward, parameters or robot.parameters
    velocity, rates = state.linear_velocity, state.angular_velocity
    q, qd = state.joint_positions, state.joint_velocities
    distance = q - parameters.nominal
    error_xy = _sum_of_squares(velocity[:, :2] - command[:, :2])
    error_yaw = np.square(rates[:, 2] - command[:, 2])
    middle, half = _soft_range(parameters)
    timers = history.foot_timers + CONTROL_STEP * ~state.foot_contact
    terms = [
        weights.tracking_xy * np.exp(-error_xy / TRACKING_TEMPERATURE),
        weights.tracking_yaw * np.exp(-error_yaw / TRACKING_TEMPERATURE),
        -weights.z_velocity * np.square(velocity[:, 2]),
        -weights.roll_pitch_velocity * _sum_of_squares(rates[:, :2]),
        -weights.roll_pitch * _sum_of_squares(roll_pitch_from_gravity(state.gravity)),
        -weights.nominal_pose * _sum_of_squares(distance[:, _nominal_pose_joints(robot)]),
        -weights.joint_limit * np.maximum(np.abs(q - middle) - half, 0.0).sum(axis=1),
        np.zeros(len(q)),  # the original has a joint velocity term whose coefficient is 0
        # Slip of the original: only the present velocity is divided by the control step.
        -weights.acceleration * _sum_of_squares(history.joint_velocities - qd / CONTROL_STEP),
        -weights.torque * _sum_of_squares(state.torques),
        -weights.action_rate * _sum_of_squares(action - history.last_action),
        -weights.collision * _collisions(robot, state.touching),
        -weights.height * np.square(state.height - robot.drop_height),
        weights.air_time * (state.foot_contact * (timers - AIR_TIME_TARGET)).sum(axis=1),
        -weights.symmetry * _pairs_in_air(robot, state.foot_contact),
    ]
    return CONTROL_STEP * np.stack(terms, axis=1)


def total_reward(
    terms: Float[np.ndarray, "N 15"], penalty_scale: float = 1.0
) -> Float[np.ndarray, "N"]:
    """Tracking plus scaled penalties; the sum is clipped at zero from below, as in the original."""
    return np.maximum(terms[:, :2].sum(axis=1) + penalty_scale * terms[:, 2:].sum(axis=1), 0.0)


def is_terminated(robot: "Robot", state: RobotState) -> Bool[np.ndarray, "N"]:
    """Whether each robot has fallen: a listed geom touches anything, or the trunk is too low."""
    fallen = np.zeros(len(state.height), bool)
    geoms, min_height = robot.termination.contact_geoms, robot.termination.min_height
    if geoms:
        fallen |= state.touching[:, _contact_columns(robot, geoms)].any(axis=1)
    if min_height is not None:
        fallen |= state.height < min_height
    return fallen


def update_history(
    state: RobotState, action: Float[np.ndarray, "N J"], foot_timers: Float[np.ndarray, "N F"]
) -> StepHistory:
    """The history for the next control step, from the foot timers (s) before this one."""
    timers = np.where(state.foot_contact, 0.0, foot_timers + CONTROL_STEP)
    return StepHistory(action, state.joint_velocities, timers)


def _sum_of_squares(values: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N"]:
    # Always the same order of summation. A restored array may lie differently in memory.
    values = np.ascontiguousarray(values)
    return np.einsum("nk,nk->n", values, values)


def _nominal_pose_joints(robot: "Robot") -> list[int]:
    return [robot.joints.index(name) for name in robot.reward.nominal_pose_joints]


def _contact_columns(robot: "Robot", geoms: tuple[str, ...]) -> list[int]:
    return [robot.contact_geoms.index(name) for name in geoms]


def _soft_range(
    parameters: ModelParameters,
) -> tuple[Float[np.ndarray, "... J"], Float[np.ndarray, "... J"]]:
    low, high = parameters.joint_range[..., 0], parameters.joint_range[..., 1]
    return (low + high) / 2.0, SOFT_JOINT_RANGE * (high - low) / 2.0


def _collisions(robot: "Robot", touching: Bool[np.ndarray, "N G"]) -> Float[np.ndarray, "N"]:
    each = touching[:, _contact_columns(robot, robot.reward.collision_geoms)].sum(axis=1)
    trunk = touching[:, _contact_columns(robot, robot.reward.trunk_geoms)].any(axis=1)
    return (each + trunk).astype(float)


def _pairs_in_air(robot: "Robot", foot_contact: Bool[np.ndarray, "N F"]) -> Float[np.ndarray, "N"]:
    names = [foot.name for foot in robot.feet]
    pairs = [[names.index(foot) for foot in pair] for pair in robot.reward.symmetry_pairs]
    count = np.zeros(len(foot_contact))
    for pair in pairs:
        count += ~foot_contact[:, pair].any(axis=1)
    return count
