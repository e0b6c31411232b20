"""Model parameters: what domain randomisation may change of a robot, and the torque law.

`ModelParameters` are in the descriptors, so a policy knows them. `MotorErrors` are hidden from it
(`envs/domain_randomisation.py` draws both).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bodyplan.robots.task_config import CONTROL_STEP


class ModelParameters(NamedTuple):
    """Parameters of one randomised robot or, with leading axes, of many."""

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
    """How the motors depart from the torque law; the policy does not observe it."""

    strength: Float[np.ndarray, "... J"]
    """Factor on the torque."""
    kp: Float[np.ndarray, "... J"]
    """Factor."""
    kd: Float[np.ndarray, "... J"]
    """Factor."""
    offset: Float[np.ndarray, "... J"]
    """rad, added to the sensed joint position."""


MIN_INERTIA_PER_KP = 1.5 * CONTROL_STEP**2
"""s^2: inertia of a joint over kp. Below it a torque held for a control step shakes the joint."""


def ideal_motors(num_joints: int) -> MotorErrors:
    """Motors without any error."""
    ones = np.ones(num_joints)
    return MotorErrors(ones, ones, ones, np.zeros(num_joints))


class TorqueLaw(NamedTuple):
    """A PD law around nominal + action_scale * action (reference task, section 1)."""

    nominal: Float[np.ndarray, "... J"]
    """rad."""
    action_scale: Float[np.ndarray, "... 1"]
    """rad."""
    offset: Float[np.ndarray, "... J"]
    """rad, added to the sensed joint position."""
    kp: Float[np.ndarray, "... J"]
    """N m / rad, with the motors' errors."""
    kd: Float[np.ndarray, "... J"]
    """N m s / rad, with the motors' errors."""
    strength: Float[np.ndarray, "... J"]
    """Factor on the torque."""
    upper: Float[np.ndarray, "... J"]
    """N m."""
    lower: Float[np.ndarray, "... J"]
    """N m."""

    @classmethod
    def of(cls, parameters: ModelParameters, errors: MotorErrors) -> "TorqueLaw":
        """The law of one robot, or of many with the same leading axes in all arrays."""
        return cls(
            nominal=parameters.nominal,
            action_scale=parameters.action_scale[..., None],
            offset=errors.offset,
            kp=errors.kp * parameters.kp[..., None],
            kd=errors.kd * parameters.kd[..., None],
            strength=errors.strength,
            upper=parameters.torque_limit,
            lower=-parameters.torque_limit,
        )

    def torque(
        self,
        action: Float[np.ndarray, "... J"],
        positions: Float[np.ndarray, "... J"],
        velocities: Float[np.ndarray, "... J"],
    ) -> Float[np.ndarray, "... J"]:
        """Torques in N m, within the motors' limits.

        Args:
            action: of the policy, without a unit.
            positions: of the joints, rad.
            velocities: of the joints, rad/s.
        """
        target = self.nominal + self.action_scale * action
        pull = self.kp * (target - (positions + self.offset))
        torque = self.strength * (pull - self.kd * velocities)
        return np.minimum(np.maximum(torque, self.lower), self.upper)
