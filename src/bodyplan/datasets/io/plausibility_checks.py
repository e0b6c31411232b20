"""Checks whether logs are physically plausible, to find wrong units, rates and orders.

Joint positions must change as joint velocities say, and gravity as angular velocity says. Heights
and joint angles must be possible for the robot. Implausible logs are refused. What is only unusual
becomes a note.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.io.episode_boundaries import FrameRows
from bodyplan.datasets.io.mapping_file import RobotLogs
from bodyplan.datasets.io.robot_log import RobotLog
from bodyplan.envs.walking_task import RobotState
from bodyplan.errors import BodyplanError
from bodyplan.robots.robot import Robot
from bodyplan.robots.task_config import CONTROL_STEP
from bodyplan.robots.validation.problem import name_list

_SLOPE_RANGE = (0.7, 1.4)
"""Range of the slope of measured against expected changes. Our recordings have 0.93 to 1.12."""
_MIN_JOINT_CORRELATION, _MIN_GRAVITY_CORRELATION = 0.7, 0.3
"""Least correlation of measured and expected changes. Our recordings have 0.97, and 0.75 with
noise."""
_MIN_JOINT_MOTION, _MIN_GRAVITY_MOTION = 0.3, 0.15
"""Root mean square in rad/s. Less is not checked; it may be the noise of a robot that stands."""
_CORRELATION_OF_MOTION = 0.7
"""From this correlation on, even less motion is checked, because it cannot be noise."""
_WINDOW = 4
"""Steps over which velocities are summed, to reduce the effect of noise and impacts."""
_MIN_STEPS, _MIN_CHANGES = 50, 100
_CLIPPED_MARGIN = 0.3
"""A velocity that is closer to the joint's limit, in rad/s, may have been clipped there."""
_HEIGHT_SHARES = (-0.25, 0.1, 3.0)
"""Shares of the drop height: the least height, the least highest height, the greatest height."""
_RANGE_MARGIN, _MAX_OUTSIDE_SHARE = 0.5, 0.05
"""rad outside a joint's range, and the share of rows that may be outside."""
_MAX_REWARD_SHARE = 1.01
"""Share of the task's largest reward above which a reward is noted."""


def require_plausible(log: RobotLog, state: RobotState, frames: FrameRows) -> None:
    """Refuses a log that is not possible for the robot.

    Raises:
        BodyplanError: joints or gravity do not move as their velocities say, or joints or heights
            are far outside their ranges.
    """
    _require_range(log, state.joint_positions)
    _require_height(log, state.height, frames)
    episode = _episode_numbers(frames)
    if len(frames.steps) < _MIN_STEPS:
        return
    if _is_logged(log, "joint_positions") and _is_logged(log, "joint_velocities"):
        _check_joint_velocities(log, state, episode)
    if _is_logged(log, "angular_velocity") and (
        _is_logged(log, "gravity") or _is_logged(log, "orientation")
    ):
        _check_angular_velocity(log, state, episode)


def plausibility_notes(robot: Robot, logs: RobotLogs, episodes: Episodes) -> list[str]:
    """Notes about what is unusual in a robot's logs but possible."""
    found = []
    most = CONTROL_STEP * (robot.reward.tracking_xy + robot.reward.tracking_yaw)
    above = int(np.count_nonzero(episodes.rewards > _MAX_REWARD_SHARE * most))
    if above:
        steps = "1 step earns" if above == 1 else f"{above:,} steps earn"
        found.append(
            f"{steps} up to {episodes.rewards.max():.3g} where the task gives at most {most:.3g}, "
            "so returns do not compare with those of the task"
        )
    contacts = logs.quantities.get("foot_contacts")
    if contacts is None or contacts.array is None or not robot.senses_feet:
        return found
    down = episodes.feet[:, :, 0] > 0.0
    for word, unusual in (("never", ~down.any(axis=0)), ("always", down.all(axis=0))):
        if unusual.any():
            feet = name_list(robot.feet[i].name for i in np.flatnonzero(unusual))
            found.append(
                f"{feet} {word} on the floor at threshold {contacts.threshold:g}; check it against "
                f"'{contacts.array}', and foot_order"
            )
    return found


def _is_logged(log: RobotLog, name: str) -> bool:
    return log.has(name) and log.source(name).array is not None


def _episode_numbers(frames: FrameRows) -> Int[np.ndarray, "frames"]:
    """A number for each frame, equal for consecutive frames; a repeated frame gets a new one."""
    repeated = np.diff(frames.rows, prepend=-1) == 0
    return np.cumsum(frames.first | repeated)


def _check_joint_velocities(
    log: RobotLog, state: RobotState, episode: Int[np.ndarray, "frames"]
) -> None:
    velocities = state.joint_velocities
    clipped = np.abs(np.abs(velocities) - log.robot.max_velocity) < _CLIPPED_MARGIN
    changes, expected = _changes(state.joint_positions, velocities, episode, clipped)
    wrong = _disagreement(changes, expected, _MIN_JOINT_MOTION, _MIN_JOINT_CORRELATION)
    if wrong:
        raise BodyplanError(
            f"{log.path}: joint_positions do not move as joint_velocities say ({wrong}); check "
            "the units of both, the rate, and that joint_order holds for both."
        )


def _check_angular_velocity(
    log: RobotLog, state: RobotState, episode: Int[np.ndarray, "frames"]
) -> None:
    # A fixed direction g in a rotating frame: dg/dt = g x omega.
    rates = np.cross(state.gravity, state.angular_velocity)
    changes, expected = _changes(state.gravity, rates, episode, np.zeros(rates.shape, bool))
    wrong = _disagreement(changes, expected, _MIN_GRAVITY_MOTION, _MIN_GRAVITY_CORRELATION)
    if wrong:
        source = "gravity" if log.has("gravity") else "the orientation"
        order = "" if log.has("gravity") else ", the order of the quaternion"
        raise BodyplanError(
            f"{log.path}: {source} does not rotate as angular_velocity says ({wrong}); check the "
            f"unit, frame and columns of angular_velocity{order}, and the rate."
        )


def _changes(
    values: Float[np.ndarray, "frames K"],
    rates: Float[np.ndarray, "frames K"],
    episode: Int[np.ndarray, "frames"],
    clipped: Bool[np.ndarray, "frames K"],
) -> tuple[Float[np.ndarray, "M"], Float[np.ndarray, "M"]]:
    """Measured changes a second over windows, and those expected from the rates.

    Windows that cross episodes, or in which a rate may be clipped, are left out.
    """
    start, stop = slice(None, -_WINDOW), slice(_WINDOW, None)
    summed = np.zeros(rates.shape)
    np.cumsum((rates[1:] + rates[:-1]) / 2.0, axis=0, out=summed[1:])
    count = np.cumsum(clipped, axis=0)
    usable = (count[stop] == count[start]) & ~clipped[start]
    usable &= (episode[stop] == episode[start])[:, None]
    changes = (values[stop] - values[start]) / (_WINDOW * CONTROL_STEP)
    expected = (summed[stop] - summed[start]) / _WINDOW
    return changes[usable], expected[usable]


def _disagreement(
    changes: Float[np.ndarray, "M"],
    expected: Float[np.ndarray, "M"],
    min_motion: float,
    min_correlation: float,
) -> str:
    """How measured and expected changes differ; empty if they agree or there is little motion."""
    if len(changes) < _MIN_CHANGES:
        return ""
    product, changed, predicted = changes @ expected, changes @ changes, expected @ expected
    slope = product / predicted if predicted else 0.0
    correlation = product / np.sqrt(changed * predicted) if changed and predicted else 0.0
    size = len(changes) * min_motion**2
    moves = predicted >= size or changed >= 9.0 * size
    if abs(correlation) < _CORRELATION_OF_MOTION and not moves:
        return ""
    if correlation >= min_correlation and _SLOPE_RANGE[0] <= slope <= _SLOPE_RANGE[1]:
        return ""
    return f"{slope:.2g} times as fast, correlation {correlation:.2f}; both should be about 1"


def _require_height(log: RobotLog, height: Float[np.ndarray, "frames"], frames: FrameRows) -> None:
    lowest, highest, most = (share * log.robot.drop_height for share in _HEIGHT_SHARES)
    wrong = np.flatnonzero((height < lowest) | (height > most))
    if not len(wrong) and height.max() >= highest:
        return
    frame = int(wrong[0]) if len(wrong) else int(height.argmax())
    raise BodyplanError(
        f"{log.path}: the height in row {int(frames.rows[frame])} is {height[frame]:.3g} m, where "
        f"{log.robot.name} stands at {log.robot.drop_height:.3g} m; check the unit of height, and "
        "that it is the height of the trunk above the floor."
    )


def _require_range(log: RobotLog, positions: Float[np.ndarray, "frames J"]) -> None:
    robot, (low, high) = log.robot, log.robot.joint_range.T
    outside = (positions < low - _RANGE_MARGIN) | (positions > high + _RANGE_MARGIN)
    share = np.where(low < high, outside.mean(axis=0), 0.0)
    joint = int(share.argmax())
    if share[joint] > _MAX_OUTSIDE_SHARE:
        raise BodyplanError(
            f"{log.path}: joint '{robot.joints[joint]}' is more than {_RANGE_MARGIN:g} rad outside "
            f"its range of {low[joint]:.2f} to {high[joint]:.2f} rad in {share[joint]:.0%} of "
            "rows; check joint_order, the unit, and the joint's zero and direction."
        )
