"""Computes the task's scaled observations from the physical quantities of a log."""

import numpy as np
from jaxtyping import Bool, Float

from bodyplan.datasets.io.episode_boundaries import FrameRows
from bodyplan.datasets.io.plausibility_checks import require_plausible
from bodyplan.datasets.io.robot_log import RobotLog
from bodyplan.envs.components import join_components, split_components
from bodyplan.envs.gymnasium_spaces import unflatten_observation
from bodyplan.envs.rotations import projected_gravity, world_to_trunk
from bodyplan.envs.walking_task import (
    Command,
    Observation,
    RobotState,
    WalkingTask,
    update_history,
)
from bodyplan.errors import BodyplanError
from bodyplan.robots.feature_sizes import (
    COMMAND_COLUMNS,
    FOOT_OBSERVATION_SIZE,
    GRAVITY_COLUMNS,
    JOINT_OBSERVATION_SIZE,
)

_SCALED_QUANTITIES = ("joints", "feet", "general")
_MAX_ANGLE = 4.0 * np.pi  # rad
_NORM_RANGE = (0.8, 1.25)
"""Lengths that a measured unit vector may have."""


def observations_from_log(
    log: RobotLog,
    frames: FrameRows,
    previous_actions: Float[np.ndarray, "frames J"],
    command: Command | None,
) -> Observation:
    """The scaled observation of each frame.

    Args:
        log: the quantities.
        frames: the rows of the log that are frames.
        previous_actions: the action that led to each frame.
        command: the command of all frames, where the log has none.

    Raises:
        BodyplanError: a quantity is missing, or its values are not possible.
    """
    if log.has("observations") or any(map(log.has, _SCALED_QUANTITIES)):
        return _scaled_observations(log, frames)
    state = _robot_state(log, frames)
    if log.has("foot_timers"):
        timers = log.frames("foot_timers", frames)
    else:
        timers = _foot_timers(state, previous_actions, frames.first)
    if command and not log.has("command"):
        commands = np.tile(command, (len(frames.rows), 1))
    else:
        commands = log.frames("command", frames)
    task = WalkingTask(log.robot, len(frames.rows))
    return task.observation(
        state.components(), *map(split_components, (previous_actions, timers, commands))
    )


def _scaled_observations(log: RobotLog, frames: FrameRows) -> Observation:
    """Observations that are scaled in the log already."""
    robot = log.robot
    if log.has("observations"):
        observations = unflatten_observation(
            log.frames("observations", frames).astype(np.float32),
            robot.num_joints,
            robot.num_feet,
        )
    else:
        joints, feet, general = (log.frames(name, frames) for name in _SCALED_QUANTITIES)
        observations = Observation(
            joints.reshape(len(joints), -1, JOINT_OBSERVATION_SIZE),
            feet.reshape(len(feet), -1, FOOT_OBSERVATION_SIZE),
            general,
        )
    clipped = (
        observations.feet.reshape(len(frames.rows), -1),
        np.delete(observations.general, np.r_[COMMAND_COLUMNS, GRAVITY_COLUMNS], axis=1),
    )
    for part in clipped:
        if (np.abs(part) > 1.0 + 1e-5).any():
            row = int(frames.rows[np.argmax((np.abs(part) > 1.0 + 1e-5).any(axis=1))])
            raise BodyplanError(
                f"{log.path}: feet, velocities or height of row {row} are not within -1 and 1, so "
                "the observations are not scaled; map physical quantities one by one instead."
            )
    return Observation(*(part.astype(np.float32) for part in observations))


def _robot_state(log: RobotLog, frames: FrameRows) -> RobotState:
    robot, count = log.robot, len(frames.rows)
    orientation = _orientation(log, frames) if log.has("orientation") else None
    positions = log.frames("joint_positions", frames)
    if (np.abs(positions) > _MAX_ANGLE).any():
        raise BodyplanError(
            f"{log.path}: joint positions reach {np.abs(positions).max():.3g} rad; are they "
            'degrees? Then give unit = "deg".'
        )
    contacts = np.zeros((count, robot.num_feet), bool)
    if robot.senses_feet or log.has("foot_contacts"):
        contacts = log.frames("foot_contacts", frames) > log.source("foot_contacts").threshold
    state = RobotState(
        height=_height(log, frames),
        gravity=_gravity(log, frames, orientation),
        linear_velocity=_velocity(log, "linear_velocity", frames, orientation),
        angular_velocity=_velocity(log, "angular_velocity", frames, orientation),
        joint_positions=positions,
        joint_velocities=log.frames("joint_velocities", frames),
        torques=np.zeros_like(positions),  # only rewards read torques and `touching`
        foot_contact=contacts,
        touching=np.zeros((count, len(robot.contact_geoms)), bool),
    )
    require_plausible(log, state, frames)
    return state


def _orientation(log: RobotLog, frames: FrameRows) -> Float[np.ndarray, "frames 4"]:
    """Unit quaternions (w, x, y, z)."""
    given = _unit_vectors(log, "orientation", log.frames("orientation", frames), frames)
    return np.roll(given, 1, axis=1) if log.source("orientation").order == "xyzw" else given


def _gravity(
    log: RobotLog, frames: FrameRows, orientation: Float[np.ndarray, "frames 4"] | None
) -> Float[np.ndarray, "frames 3"]:
    """The direction of gravity in the trunk's frame."""
    if log.has("gravity"):
        down = _unit_vectors(log, "gravity", log.frames("gravity", frames), frames)
    elif orientation is not None:
        down = projected_gravity(orientation)
    else:
        raise BodyplanError(
            f"the mapping gives neither gravity nor orientation of {log.robot.name}; add one, see "
            "docs/interchange.md."
        )
    if np.median(down[frames.first, 2]) > 0.0:
        raise BodyplanError(
            f"{log.path}: the robot begins its episodes on its back; make gravity point down (an "
            "accelerometer at rest points up: scale = -1), and check the order of a quaternion."
        )
    return down


def _unit_vectors(
    log: RobotLog, name: str, vectors: Float[np.ndarray, "frames K"], frames: FrameRows
) -> Float[np.ndarray, "frames K"]:
    """Normalises vectors after checking that their lengths are about one."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    wrong = np.flatnonzero((length[:, 0] < _NORM_RANGE[0]) | (length[:, 0] > _NORM_RANGE[1]))
    if len(wrong):
        raise BodyplanError(
            f"{log.path}: {name} in row {int(frames.rows[wrong[0]])} has the length "
            f"{length[wrong[0], 0]:.3g} instead of 1; give a unit vector, or use scale."
        )
    return vectors / length


def _velocity(
    log: RobotLog, name: str, frames: FrameRows, orientation: Float[np.ndarray, "frames 4"] | None
) -> Float[np.ndarray, "frames 3"]:
    """A velocity in the trunk's frame, zero if it is unknown."""
    if log.source(name).is_unknown:
        return np.zeros((len(frames.rows), 3))
    velocity = log.frames(name, frames)
    if log.source(name).frame == "trunk":
        return velocity
    if orientation is None:
        raise BodyplanError(
            f'the mapping gives {name} of {log.robot.name} with frame = "world", which needs the '
            "orientation; add it."
        )
    return world_to_trunk(velocity, orientation)


def _height(log: RobotLog, frames: FrameRows) -> Float[np.ndarray, "frames"]:
    """The height of the trunk, that of the nominal pose if it is unknown."""
    if log.source("height").is_unknown:
        return np.full(len(frames.rows), log.robot.drop_height)
    return log.frames("height", frames)[:, 0]


def _foot_timers(
    state: RobotState,
    previous_actions: Float[np.ndarray, "frames J"],
    first: Bool[np.ndarray, "frames"],
) -> Float[np.ndarray, "frames F"]:
    """Seconds since each foot's last contact, computed from the contacts of earlier frames.

    As in the task, the timers of an episode's first frame are zero.
    """
    timers = np.zeros(state.foot_contact.shape)
    starts = np.flatnonzero(first)
    lengths = np.diff(np.append(starts, len(first)))
    for time in range(2, int(lengths.max(initial=0))):
        rows = starts[lengths > time] + time
        previous = RobotState(*(part[rows - 1] for part in state)).components()
        actions, before = previous_actions[rows - 1], timers[rows - 1]
        history = update_history(previous, split_components(actions), split_components(before))
        timers[rows] = join_components(history.foot_timers, len(rows))
    return timers
