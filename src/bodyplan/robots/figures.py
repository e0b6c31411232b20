"""The figures of a body that may differ from one specimen to the next.

Two robots of one make are never quite alike, and a simulated one can be made unlike on purpose
(`envs/randomisation.py`). `Figures` is what a policy is told of such a specimen; what it is not
told are `MotorErrors`.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from bodyplan.robots.robot import Robot


class Figures(NamedTuple):
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


def blueprint(robot: "Robot") -> Figures:
    """The figures as the robot's files give them."""
    model, joints, dofs = robot.model, robot.joint_ids, robot.qvel_index
    return Figures(
        mass=np.array(robot.mass),
        nominal=robot.nominal,
        joint_range=robot.joint_range,
        torque_limit=robot.torque_limit,
        max_velocity=robot.max_velocity,
        damping=model.dof_damping[dofs],
        armature=model.dof_armature[dofs],
        stiffness=model.jnt_stiffness[joints],
        friction_loss=model.dof_frictionloss[dofs],
        kp=np.array(robot.kp),
        kd=np.array(robot.kd),
        action_scale=np.array(robot.action_scale),
    )


def no_errors(joints: int) -> MotorErrors:
    """Motors that do what they are told."""
    return MotorErrors(np.ones(joints), np.ones(joints), np.ones(joints), np.zeros(joints))


def torque_law(
    figures: Figures,
    errors: MotorErrors,
    action: Float[np.ndarray, "... J"],
    positions: Float[np.ndarray, "... J"],
    velocities: Float[np.ndarray, "... J"],
) -> Float[np.ndarray, "... J"]:
    """Torques (N m) of a PD law around nominal + action_scale * action, within the motors' limits
    (reference task, section 1).
    """
    target = figures.nominal + figures.action_scale[..., None] * action
    pull = errors.kp * figures.kp[..., None] * (target - (positions + errors.offset))
    brake = errors.kd * figures.kd[..., None] * velocities
    limit = figures.torque_limit
    return np.clip(errors.strength * (pull - brake), -limit, limit)
