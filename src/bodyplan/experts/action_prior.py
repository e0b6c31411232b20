"""Action prior: an affine action added to the policy's, so that weak motors can carry the robot.

Some robots' PD gains are too soft to carry them, so no noise around a zero action finds a step.
The prior acts like larger gains. An action of -(m - 1)(q - nominal)/scale pulls as m times `kp`
would, and a constant action holds the pose against gravity. The prior is part of the behaviour:
datasets record the sum, and a snapshot stores the prior as a layer that skips the network.
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

MAX_BALANCING_ACTION = 3.0
"""Limit of the constant part that holds the pose against gravity."""


@dataclass(frozen=True, eq=False)
class ActionPrior:
    """Actions that are affine in the policy's input."""

    weight: Float[np.ndarray, "J I"]
    bias: Float[np.ndarray, "J"]

    def __call__(self, observations: Float[np.ndarray, "N I"]) -> Float[np.ndarray, "N J"]:
        """The prior's own actions."""
        return observations @ self.weight.T + self.bias

    def add_to(
        self, actions: Float[np.ndarray, "N J"], observations: Float[np.ndarray, "N I"]
    ) -> Float[np.ndarray, "N J"]:
        """The policy's actions plus the prior's, clipped to the limit of mean actions."""
        return np.clip(actions + self(observations), -ACTION_MEAN_LIMIT, ACTION_MEAN_LIMIT)


def make_action_prior(robot: Robot, num_observations: int) -> ActionPrior | None:
    """The action prior that a robot's `[expert]` settings ask for, or None.

    Args:
        robot: its `expert.stiffness` and `expert.damping` are factors on `kp` and `kd`;
            with `expert.balanced` the prior also holds the nominal pose against gravity.
        num_observations: I, length of the policy's input, which starts with three numbers
            for each joint: position, velocity, last action.
    """
    settings, num_joints = robot.expert, robot.num_joints
    if settings.stiffness == 1.0 and settings.damping == 1.0 and not settings.balanced:
        return None
    weight, joint = np.zeros((num_joints, num_observations), np.float32), np.arange(num_joints)
    position = JOINT_OBSERVATION_SIZE * joint
    # a = -(m - 1) (q - nominal) / action_scale adds (m - 1) kp to the stiffness.
    weight[joint, position] = -(settings.stiffness - 1.0) * ANGLE_SCALE / robot.action_scale
    # a = -(m - 1) kd / (kp action_scale) qdot adds (m - 1) kd to the damping.
    damping = (settings.damping - 1.0) * robot.kd / (robot.kp * robot.action_scale)
    weight[joint, position + 1] = -damping * VELOCITY_SCALE
    bias = _balancing_action(robot) if settings.balanced else np.zeros(num_joints)
    return ActionPrior(weight, bias.astype(np.float32))


def _balancing_action(robot: Robot) -> Float[np.ndarray, "J"]:
    """The constant action whose torques balance gravity in the nominal pose."""
    torques = balancing_torques(robot)
    if robot.expert.symmetric:
        torques = symmetrise(mirror_joints(robot), torques)
    action = torques / (robot.kp * robot.action_scale)
    return np.clip(action, -MAX_BALANCING_ACTION, MAX_BALANCING_ACTION)
