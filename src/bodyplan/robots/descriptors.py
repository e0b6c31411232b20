"""What a policy may know of a body: joint, foot and context descriptors.

One vector for each joint and each foot and one for the whole robot, computed from the compiled
model and scaled by fixed constants, so that one network reads any body (URMA, Bohlinger et al.
2024, arXiv 2409.06366; layout of the original code).
"""

from typing import TYPE_CHECKING, NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from bodyplan.robots.robot import Robot

ANGLE_SCALE = 4.6  # rad; also scales the joint positions of the observation


class RobotDescriptor(NamedTuple):
    """A body in numbers; constant over an episode."""

    joints: Float[np.ndarray, "J 23"]
    feet: Float[np.ndarray, "F 10"]
    context: Float[np.ndarray, "7"]
    """Gains and action scale (3), mass (1), box size (3)."""


def describe(robot: "Robot") -> RobotDescriptor:
    """Compute a robot's descriptors at its nominal pose."""
    model = robot.model
    data = mujoco.MjData(model)
    data.qpos[:] = robot.nominal_qpos
    mujoco.mj_kinematics(model, data)
    trunk = model.body(robot.trunk).id
    to_trunk = data.xmat[trunk].reshape(3, 3)

    def in_box(points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
        local = (points - data.xpos[trunk]) @ to_trunk
        return 2.0 * (local - robot.box_min) / robot.box_size - 1.0

    context = np.concatenate(
        [
            [robot.kp / 50.0 - 1.0, robot.kd - 1.0, robot.action_scale / 0.4 - 1.0],
            [robot.mass / 85.0 - 1.0],
            robot.box_size - 1.0,
        ]
    )
    dofs = robot.qvel_index
    own = np.column_stack(
        [
            in_box(data.xanchor[robot.joint_ids]),
            data.xaxis[robot.joint_ids] @ to_trunk,
            robot.children - 1.0,
            robot.nominal / ANGLE_SCALE,
            robot.torque_limit / 500.0 - 1.0,
            robot.max_velocity / 17.5 - 1.0,
            model.dof_damping[dofs] / 5.0 - 1.0,
            model.dof_armature[dofs] / 0.1 - 1.0,
            model.jnt_stiffness[robot.joint_ids] / 15.0 - 1.0,
            model.dof_frictionloss[dofs] / 0.6 - 1.0,
            robot.joint_range / ANGLE_SCALE,
        ]
    )
    joints = np.column_stack([own, np.tile(context, (robot.num_joints, 1))])
    points = in_box(_foot_points(robot, data))
    feet = np.column_stack([points, np.tile(context, (robot.num_feet, 1))])
    return RobotDescriptor(*(np.asarray(part, np.float32) for part in (joints, feet, context)))


def _foot_points(robot: "Robot", data: mujoco.MjData) -> Float[np.ndarray, "F 3"]:
    points = []
    for foot, body in zip(robot.feet, robot.foot_bodies, strict=True):
        if foot.point is None:
            points.append(data.geom_xpos[robot.model.geom(foot.geoms[0]).id])
        else:
            points.append(data.xpos[body] + data.xmat[body].reshape(3, 3) @ np.array(foot.point))
    return np.array(points)
