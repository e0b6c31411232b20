"""Actions as they come from outside: refused by name where they cannot be meant."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from bodyplan.errors import BodyplanError

if TYPE_CHECKING:
    from bodyplan.robots.robot import Robot


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
