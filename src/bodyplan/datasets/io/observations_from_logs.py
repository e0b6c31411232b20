"""What a logged robot sensed, scaled as the walking task does."""

import numpy as np
from jaxtyping import Bool, Float

from bodyplan.datasets.io.episode_boundaries import FrameRows
from bodyplan.datasets.io.plausibility_checks import require_plausible
from bodyplan.datasets.io.robot_log import RobotLog
from bodyplan.envs.gymnasium_spaces import unflatten_observation
from bodyplan.envs.rotations import projected_gravity, world_to_trunk
from bodyplan.envs.walking_task import (
    Command,
    Observation,
    RobotState,
    compute_observation,
    update_history,
)
from bodyplan.errors import BodyplanError
from bodyplan.robots.feature_sizes import (
    COMMAND_COLUMNS,
    FOOT_OBSERVATION_SIZE,
    GRAVITY_COLUMNS,
    JOINT_OBSERVATION_SIZE,
)

_SCALED = ("joints", "feet", "general")
_MAX_ANGLE = 4.0 * np.pi
_NORM = (0.8, 1.25)
"""Between which a unit vector's length may be measured."""


def scaled(
    log: RobotLog, frames: FrameRows, led: Float[np.ndarray, "frames J"], command: Command | None
) -> Observation:
    """The observation of each frame.

    Args:
        log: where quantities come from.
        frames: which rows.
        led: the action that led to each frame.
        command: for all frames, where the log has none.

    Raises:
        BodyplanError: a quantity is missing, or what it holds cannot be what it is said to be.
    """
    if log.has("observations") or any(map(log.has, _SCALED)):
        return _as_given(log, frames)
    state = _state(log, frames)
    timers = (
        log.frames("foot_timers", frames)
        if log.has("foot_timers")
        else _timers(state, led, frames.first)
    )
    wanted = np.tile(command, (len(led), 1)) if command and not log.has("command") else None
    wanted = log.frames("command", frames) if wanted is None else wanted
    return compute_observation(log.robot, state, led, timers, wanted)


def _as_given(log: RobotLog, frames: FrameRows) -> Observation:
    """Observations that are scaled already."""
    robot = log.robot
    if log.has("observations"):
        seen = unflatten_observation(
            log.frames("observations", frames).astype(np.float32),
            robot.num_joints,
            robot.num_feet,
        )
    else:
        joints, feet, general = (log.frames(name, frames) for name in _SCALED)
        seen = Observation(
            joints.reshape(len(joints), -1, JOINT_OBSERVATION_SIZE),
            feet.reshape(len(feet), -1, FOOT_OBSERVATION_SIZE),
            general,
        )
    clipped = (
        seen.feet.reshape(len(seen.feet), -1),
        np.delete(seen.general, np.r_[COMMAND_COLUMNS, GRAVITY_COLUMNS], axis=1),
    )
    for part in clipped:
        if (np.abs(part) > 1.0 + 1e-5).any():
            row = int(frames.rows[np.argmax((np.abs(part) > 1.0 + 1e-5).any(axis=1))])
            raise BodyplanError(
                f"{log.path}: feet, velocities or height of row {row} are not within -1 and 1, so "
                "it is no scaled observation; map physical quantities one by one instead."
            )
    return Observation(*(part.astype(np.float32) for part in seen))


def _state(log: RobotLog, frames: FrameRows) -> RobotState:
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
        contacts = log.frames("foot_contacts", frames) > log.quantity("foot_contacts").threshold
    state = RobotState(
        height=_height(log, frames),
        gravity=_gravity(log, frames, orientation),
        linear_velocity=_velocity(log, "linear_velocity", frames, orientation),
        angular_velocity=_velocity(log, "angular_velocity", frames, orientation),
        joint_positions=positions,
        joint_velocities=log.frames("joint_velocities", frames),
        torques=np.zeros_like(positions),  # only rewards read these and the next
        foot_contact=contacts,
        touching=np.zeros((count, len(robot.contact_geoms)), bool),
    )
    require_plausible(log, state, frames)
    return state


def _orientation(log: RobotLog, frames: FrameRows) -> Float[np.ndarray, "frames 4"]:
    """Unit quaternions (w, x, y, z)."""
    numbers = _unit(log, "orientation", log.frames("orientation", frames), frames)
    return np.roll(numbers, 1, axis=1) if log.quantity("orientation").order == "xyzw" else numbers


def _gravity(
    log: RobotLog, frames: FrameRows, orientation: Float[np.ndarray, "frames 4"] | None
) -> Float[np.ndarray, "frames 3"]:
    """Where down is, in the trunk's frame."""
    if log.has("gravity"):
        down = _unit(log, "gravity", log.frames("gravity", frames), frames)
    elif orientation is not None:
        down = projected_gravity(orientation)
    else:
        raise BodyplanError(
            f"the mapping gives neither gravity nor orientation of {log.robot.name}; add one, see "
            "docs/interchange.md."
        )
    if np.median(down[frames.first, 2]) > 0.0:
        raise BodyplanError(
            f"{log.path}: the robot begins its episodes on its back; gravity points down (an "
            "accelerometer at rest points up: scale = -1), and check the order of a quaternion."
        )
    return down


def _unit(
    log: RobotLog, name: str, vectors: Float[np.ndarray, "frames K"], frames: FrameRows
) -> Float[np.ndarray, "frames K"]:
    """Vectors of length one, once they are known to be nearly so."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    wrong = np.flatnonzero((length[:, 0] < _NORM[0]) | (length[:, 0] > _NORM[1]))
    if len(wrong):
        raise BodyplanError(
            f"{log.path}: {name} in row {int(frames.rows[wrong[0]])} has the length "
            f"{length[wrong[0], 0]:.3g} where 1 belongs; give a direction, if need be by scale."
        )
    return vectors / length


def _velocity(
    log: RobotLog, name: str, frames: FrameRows, orientation: Float[np.ndarray, "frames 4"] | None
) -> Float[np.ndarray, "frames 3"]:
    """A velocity in the trunk's frame; zero where unknown."""
    if log.quantity(name).is_unknown:
        return np.zeros((len(frames.rows), 3))
    velocity = log.frames(name, frames)
    if log.quantity(name).frame == "trunk":
        return velocity
    if orientation is None:
        raise BodyplanError(
            f'the mapping gives {name} of {log.robot.name} with frame = "world", which needs the '
            "orientation; add it."
        )
    return world_to_trunk(velocity, orientation)


def _height(log: RobotLog, frames: FrameRows) -> Float[np.ndarray, "frames"]:
    """The trunk's; that of the nominal pose where unknown."""
    if log.quantity("height").is_unknown:
        return np.full(len(frames.rows), log.robot.drop_height)
    return log.frames("height", frames)[:, 0]


def _timers(
    state: RobotState, led: Float[np.ndarray, "frames J"], first: Bool[np.ndarray, "frames"]
) -> Float[np.ndarray, "frames F"]:
    """Seconds since each foot's last contact, as observed: from contacts up to the frame before.

    As in the task, an episode begins with zero, whatever its first frame touches.
    """
    timers = np.zeros(state.foot_contact.shape)
    starts = np.flatnonzero(first)
    lengths = np.diff(np.append(starts, len(first)))
    for place in range(2, int(lengths.max(initial=0))):
        rows = starts[lengths > place] + place
        before = RobotState(*(part[rows - 1] for part in state))
        timers[rows] = update_history(before, led[rows - 1], timers[rows - 1]).foot_timers
    return timers
