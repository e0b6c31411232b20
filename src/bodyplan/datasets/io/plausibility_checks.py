"""Whether logs can be of a walking robot: what a wrong unit, rate or order makes impossible.

Positions must move as velocities say, gravity must turn as turn rates say, heights and joint angles
must be within the body's reach. Faults are refused; what is merely odd becomes a note.
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

_SLOPE = (0.7, 1.4)
"""Within which change per change told must be; recorded by us, it is 0.93 to 1.12."""
_JOINT_CORRELATION, _TURN_CORRELATION = 0.7, 0.3
"""That changes and changes told must at least have; recorded by us, 0.97 and, noisy, 0.75."""
_JOINT_MOTION, _TURN_MOTION = 0.3, 0.15
"""rad/s, root mean square: less is not judged, as it may be noise of a robot that stands."""
_SURE = 0.7
"""Correlation from which even less motion is judged: it is no noise."""
_WINDOW = 4
"""Steps over which velocities are summed up; noise and impacts then matter less."""
_MIN_STEPS, _MIN_CHANGES = 50, 100
_CLIPPED = 0.3
"""rad/s by which a velocity differs from the joint's highest if it may have been cut off there."""
_HEIGHTS = (-0.25, 0.1, 3.0)
"""Of the drop height: no height is lower, the highest is no lower, none is higher."""
_BEYOND, _OFTEN = 0.5, 0.05
"""rad outside a joint's range, and the share of rows that may be so."""
_REWARD = 1.01
"""Of what a step can earn; more is noted."""


def require_plausible(log: RobotLog, state: RobotState, frames: FrameRows) -> None:
    """Refuses what no log of the robot can hold.

    Raises:
        BodyplanError: joints or gravity do not move as their velocities say, or joints or heights
            are far out of reach.
    """
    _require_range(log, state.joint_positions)
    _require_height(log, state.height, frames)
    episode = _episodes(frames)
    if len(frames.steps) < _MIN_STEPS:
        return
    if _is_logged(log, "joint_positions") and _is_logged(log, "joint_velocities"):
        _require_joints_move(log, state, episode)
    if _is_logged(log, "angular_velocity") and (
        _is_logged(log, "gravity") or _is_logged(log, "orientation")
    ):
        _require_gravity_turns(log, state, episode)


def notes(robot: Robot, logs: RobotLogs, episodes: Episodes) -> list[str]:
    """What is odd about a robot's logs, but may be so."""
    found = []
    most = CONTROL_STEP * (robot.reward.tracking_xy + robot.reward.tracking_yaw)
    above = int(np.count_nonzero(episodes.rewards > _REWARD * most))
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
    for word, odd in (("never", ~down.any(axis=0)), ("always", down.all(axis=0))):
        if odd.any():
            feet = name_list(robot.feet[place].name for place in np.flatnonzero(odd))
            found.append(
                f"{feet} {word} on the floor at threshold {contacts.threshold:g}; check it against "
                f"'{contacts.array}', and foot_order"
            )
    return found


def _is_logged(log: RobotLog, name: str) -> bool:
    return log.has(name) and log.quantity(name).array is not None


def _episodes(frames: FrameRows) -> Int[np.ndarray, "frames"]:
    """A number for each frame, alike where frames follow one another; repeated ones do not."""
    repeated = np.diff(frames.rows, prepend=-1) == 0
    return np.cumsum(frames.first | repeated)


def _require_joints_move(
    log: RobotLog, state: RobotState, episode: Int[np.ndarray, "frames"]
) -> None:
    velocities = state.joint_velocities
    clipped = np.abs(np.abs(velocities) - log.robot.max_velocity) < _CLIPPED
    changes, told = _changes(state.joint_positions, velocities, episode, clipped)
    wrong = _disagreement(changes, told, _JOINT_MOTION, _JOINT_CORRELATION)
    if wrong:
        raise BodyplanError(
            f"{log.path}: joint_positions do not move as joint_velocities say ({wrong}); check "
            "the units of both, the rate, and that joint_order holds for both."
        )


def _require_gravity_turns(
    log: RobotLog, state: RobotState, episode: Int[np.ndarray, "frames"]
) -> None:
    turning = np.cross(state.gravity, state.angular_velocity)
    changes, told = _changes(state.gravity, turning, episode, np.zeros(turning.shape, bool))
    wrong = _disagreement(changes, told, _TURN_MOTION, _TURN_CORRELATION)
    if wrong:
        source = "gravity" if log.has("gravity") else "the orientation"
        order = "" if log.has("gravity") else ", the order of the quaternion"
        raise BodyplanError(
            f"{log.path}: {source} does not turn as angular_velocity says ({wrong}); check the "
            f"unit, frame and columns of angular_velocity{order}, and the rate."
        )


def _changes(
    values: Float[np.ndarray, "frames K"],
    rates: Float[np.ndarray, "frames K"],
    episode: Int[np.ndarray, "frames"],
    unsure: Bool[np.ndarray, "frames K"],
) -> tuple[Float[np.ndarray, "M"], Float[np.ndarray, "M"]]:
    """Changes over windows, and what rates tell of them, a second; not where a rate is unsure."""
    start, stop = slice(None, -_WINDOW), slice(_WINDOW, None)
    summed = np.zeros(rates.shape)
    np.cumsum((rates[1:] + rates[:-1]) / 2.0, axis=0, out=summed[1:])
    count = np.cumsum(unsure, axis=0)
    sure = (count[stop] == count[start]) & ~unsure[start]
    sure &= (episode[stop] == episode[start])[:, None]
    changes = (values[stop] - values[start]) / (_WINDOW * CONTROL_STEP)
    told = (summed[stop] - summed[start]) / _WINDOW
    return changes[sure], told[sure]


def _disagreement(
    changes: Float[np.ndarray, "M"], told: Float[np.ndarray, "M"], motion: float, least: float
) -> str:
    """How changes differ from what is told of them; nothing where they do not, or hardly move."""
    if len(changes) < _MIN_CHANGES:
        return ""
    product, changed, expected = changes @ told, changes @ changes, told @ told
    slope = product / expected if expected else 0.0
    correlation = product / np.sqrt(changed * expected) if changed and expected else 0.0
    size = len(changes) * motion**2
    if abs(correlation) < _SURE and expected < size and changed < 9.0 * size:
        return ""
    if correlation >= least and _SLOPE[0] <= slope <= _SLOPE[1]:
        return ""
    return f"{slope:.2g} times as fast, correlation {correlation:.2f}; both should be about 1"


def _require_height(log: RobotLog, height: Float[np.ndarray, "frames"], frames: FrameRows) -> None:
    lowest, highest, most = (share * log.robot.drop_height for share in _HEIGHTS)
    wrong = np.flatnonzero((height < lowest) | (height > most))
    if not len(wrong) and height.max() >= highest:
        return
    frame = int(wrong[0]) if len(wrong) else int(height.argmax())
    raise BodyplanError(
        f"{log.path}: the height in row {int(frames.rows[frame])} is {height[frame]:.3g} m, where "
        f"{log.robot.name} stands at {log.robot.drop_height:.3g} m; check the unit of height, and "
        "that it is the trunk's over the floor."
    )


def _require_range(log: RobotLog, positions: Float[np.ndarray, "frames J"]) -> None:
    robot, (low, high) = log.robot, log.robot.joint_range.T
    outside = (positions < low - _BEYOND) | (positions > high + _BEYOND)
    share = np.where(low < high, outside.mean(axis=0), 0.0)
    joint = int(share.argmax())
    if share[joint] > _OFTEN:
        raise BodyplanError(
            f"{log.path}: joint '{robot.joints[joint]}' is more than {_BEYOND:g} rad outside its "
            f"range of {low[joint]:.2f} to {high[joint]:.2f} rad in {share[joint]:.0%} of rows; "
            "check joint_order, the unit, and where the joint's zero and direction are."
        )
