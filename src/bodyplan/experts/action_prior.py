"""What a beginner's body does of itself: an affine action added to the policy's.

Some robots' PD gains are too soft to carry them, so that no noise around a zero action finds a
step. The action can stand in for gains: an action of -(m - 1)(q - nominal)/scale pulls as m times
`kp` would, and a constant one holds the pose against gravity. It is part of the behaviour: what is
recorded is the sum, and a snapshot keeps it as a layer that skips the network.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bodyplan.envs.walking_task import ACTION_MEAN_LIMIT, VELOCITY_SCALE
from bodyplan.robots.descriptors import ANGLE_SCALE
from bodyplan.robots.feature_sizes import JOINT_OBSERVATION_SIZE
from bodyplan.robots.nominal_pose import balancing_torques
from bodyplan.robots.robot import Robot
from bodyplan.robots.symmetry import mirror_joints, symmetrise

LARGEST_BALANCE = 3.0
"""Bound on the part that holds against gravity, in actions."""


@dataclass(frozen=True, eq=False)
class ActionPrior:
    """Actions that are affine in what the policy senses."""

    weight: Float[np.ndarray, "J I"]
    bias: Float[np.ndarray, "J"]

    def __call__(self, senses: Float[np.ndarray, "N I"]) -> Float[np.ndarray, "N J"]:
        """The action without the policy's part."""
        return senses @ self.weight.T + self.bias

    def added(
        self, actions: Float[np.ndarray, "N J"], senses: Float[np.ndarray, "N I"]
    ) -> Float[np.ndarray, "N J"]:
        """What the robot is given: the policy's action and the prior's, within bounds."""
        return np.clip(actions + self(senses), -ACTION_MEAN_LIMIT, ACTION_MEAN_LIMIT)


def action_prior(robot: Robot, senses: int) -> ActionPrior | None:
    """The prior that a robot's parameters ask for, if any.

    Args:
        robot: the body; its `expert` parameters say how much stiffer and more damped it should be.
        senses: how many numbers a policy sees, each joint's three first.
    """
    wants, joints = robot.expert, robot.num_joints
    if wants.stiffness == 1.0 and wants.damping == 1.0 and not wants.balanced:
        return None
    weight, each = np.zeros((joints, senses), np.float32), np.arange(joints)
    weight[each, JOINT_OBSERVATION_SIZE * each] = (
        -(wants.stiffness - 1.0) * ANGLE_SCALE / robot.action_scale
    )
    brake = (wants.damping - 1.0) * robot.kd / (robot.kp * robot.action_scale)
    weight[each, JOINT_OBSERVATION_SIZE * each + 1] = -brake * VELOCITY_SCALE
    bias = _balance(robot) if wants.balanced else np.zeros(joints)
    return ActionPrior(weight, bias.astype(np.float32))


def _balance(robot: Robot) -> Float[np.ndarray, "J"]:
    torques = balancing_torques(robot)
    if robot.expert.symmetric:
        torques = symmetrise(mirror_joints(robot), torques)
    action = torques / (robot.kp * robot.action_scale)
    return np.clip(action, -LARGEST_BALANCE, LARGEST_BALANCE)
