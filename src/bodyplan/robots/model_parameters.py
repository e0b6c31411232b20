"""The parameters of a body that may differ from one specimen to the next.

Two robots of one make are never quite alike, and a simulated one can be made unlike on purpose
(`envs/domain_randomisation.py`). `ModelParameters` is what a policy is told of such a specimen;
what it is not told are `MotorErrors`.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class ModelParameters(NamedTuple):
    """Of one specimen or, with leading axes, of many."""

    mass: Float[np.ndarray, "..."]
    """kg, all bodies."""
    nominal: Float[np.ndarray, "... J"]
    """rad."""
    joint_range: Float[np.ndarray, "... J 2"]
    """rad."""
    torque_limit: Float[np.ndarray, "... J"]
    """N m."""
    max_velocity: Float[np.ndarray, "... J"]
    """rad/s."""
    damping: Float[np.ndarray, "... J"]
    """N m s / rad."""
    armature: Float[np.ndarray, "... J"]
    """kg m^2."""
    stiffness: Float[np.ndarray, "... J"]
    """N m / rad."""
    friction_loss: Float[np.ndarray, "... J"]
    """N m."""
    kp: Float[np.ndarray, "..."]
    """N m / rad."""
    kd: Float[np.ndarray, "..."]
    """N m s / rad."""
    action_scale: Float[np.ndarray, "..."]
    """rad."""


class MotorErrors(NamedTuple):
    """How the motors depart from the torque law, unseen by the policy."""

    strength: Float[np.ndarray, "... J"]
    """Factor on the torque."""
    kp: Float[np.ndarray, "... J"]
    """Factor."""
    kd: Float[np.ndarray, "... J"]
    """Factor."""
    offset: Float[np.ndarray, "... J"]
    """rad, added to the sensed joint position."""


def ideal_motors(joints: int) -> MotorErrors:
    """Motors that do what they are told."""
    return MotorErrors(np.ones(joints), np.ones(joints), np.ones(joints), np.zeros(joints))


def pd_torque(
    parameters: ModelParameters,
    errors: MotorErrors,
    action: Float[np.ndarray, "... J"],
    positions: Float[np.ndarray, "... J"],
    velocities: Float[np.ndarray, "... J"],
) -> Float[np.ndarray, "... J"]:
    """Torques (N m) of a PD law around nominal + action_scale * action, within the motors' limits
    (reference task, section 1).
    """
    target = parameters.nominal + parameters.action_scale[..., None] * action
    pull = errors.kp * parameters.kp[..., None] * (target - (positions + errors.offset))
    brake = errors.kd * parameters.kd[..., None] * velocities
    limit = parameters.torque_limit
    return np.clip(errors.strength * (pull - brake), -limit, limit)
