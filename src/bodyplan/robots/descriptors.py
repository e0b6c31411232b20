"""Descriptors: what a policy knows of a robot's body, as vectors for joints, feet and the whole.

They are computed from the compiled model and scaled by fixed constants, so that one network reads
any body (URMA, Bohlinger et al. 2024, arXiv 2409.06366; the layout is the original code's).
`feature_sizes.py` has their sizes.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import mujoco
import numpy as np
from jaxtyping import Float, Int

from bodyplan.robots.feature_sizes import CONTEXT_SIZE
from bodyplan.robots.model_parameters import ModelParameters
from bodyplan.robots.task_config import Foot

ANGLE_SCALE = 4.6  # rad; also scales the joint positions of the observation


class RobotDescriptor(NamedTuple):
    """The descriptors of one robot; with leading axes, of many. Constant over an episode."""

    joints: Float[np.ndarray, "... J 23"]
    feet: Float[np.ndarray, "... F 10"]
    context: Float[np.ndarray, "... 7"]
    """Gains and action scale (3), mass (1), box size (3)."""

    def __repr__(self) -> str:
        """The shapes alone."""
        shapes = (list(np.shape(part)) for part in self)
        parts = (f"{name} {shape}" for name, shape in zip(self._fields, shapes, strict=True))
        return f"RobotDescriptor({', '.join(parts)})"


@runtime_checkable
class DescribedRobot(Protocol):
    """The properties that descriptors are computed from; `Robot` has them all."""

    @property
    def model(self) -> mujoco.MjModel: ...
    @property
    def trunk(self) -> str: ...
    @property
    def feet(self) -> tuple[Foot, ...]: ...
    @property
    def foot_bodies(self) -> tuple[int, ...]: ...
    @property
    def num_joints(self) -> int: ...
    @property
    def num_feet(self) -> int: ...
    @property
    def joint_ids(self) -> Int[np.ndarray, "J"]: ...
    @property
    def children(self) -> Int[np.ndarray, "J"]: ...
    @property
    def nominal_qpos(self) -> Float[np.ndarray, "nq"]: ...
    @property
    def box_min(self) -> Float[np.ndarray, "3"]: ...
    @property
    def box_size(self) -> Float[np.ndarray, "3"]: ...


def describe(robot: "DescribedRobot", parameters: ModelParameters) -> RobotDescriptor:
    """Descriptors of one randomised instance of a robot, or of many.

    Positions and axes are those at the robot's own nominal pose, not the instance's.

    Args:
        robot: the robot.
        parameters: of the instance, or of many with leading axes.

    Returns:
        float32, with the leading axes of `parameters`.
    """
    anchors, axes, points = _positions(robot)
    context = np.stack(
        [
            parameters.kp / 50.0 - 1.0,
            parameters.kd - 1.0,
            parameters.action_scale / 0.4 - 1.0,
            parameters.mass / 85.0 - 1.0,
            *(np.full(parameters.mass.shape, edge - 1.0) for edge in robot.box_size),
        ],
        axis=-1,
    )
    per_joint = [
        parameters.nominal / ANGLE_SCALE,
        parameters.torque_limit / 500.0 - 1.0,
        parameters.max_velocity / 17.5 - 1.0,
        parameters.damping / 5.0 - 1.0,
        parameters.armature / 0.1 - 1.0,
        parameters.stiffness / 15.0 - 1.0,
        parameters.friction_loss / 0.6 - 1.0,
    ]
    leading = parameters.mass.shape
    fixed = np.column_stack([anchors, axes, robot.children - 1.0])
    joints = np.concatenate(
        [
            np.broadcast_to(fixed, (*leading, *fixed.shape)),
            np.stack(per_joint, axis=-1),
            parameters.joint_range / ANGLE_SCALE,
            _repeated(context, robot.num_joints),
        ],
        axis=-1,
    )
    feet = np.concatenate(
        [
            np.broadcast_to(points, (*leading, *points.shape)),
            _repeated(context, robot.num_feet),
        ],
        axis=-1,
    )
    return RobotDescriptor(*(np.asarray(part, np.float32) for part in (joints, feet, context)))


def _positions(
    robot: "DescribedRobot",
) -> tuple[Float[np.ndarray, "J 3"], Float[np.ndarray, "J 3"], Float[np.ndarray, "F 3"]]:
    """Joint anchors in the robot's box, joint axes, feet in the box; trunk frame, nominal pose."""
    data = mujoco.MjData(robot.model)
    data.qpos[:] = robot.nominal_qpos
    mujoco.mj_kinematics(robot.model, data)
    trunk = robot.model.body(robot.trunk).id
    to_trunk = data.xmat[trunk].reshape(3, 3)

    def in_box(points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
        local = (points - data.xpos[trunk]) @ to_trunk
        return 2.0 * (local - robot.box_min) / robot.box_size - 1.0

    anchors = in_box(data.xanchor[robot.joint_ids])
    return anchors, data.xaxis[robot.joint_ids] @ to_trunk, in_box(_foot_points(robot, data))


def _repeated(context: Float[np.ndarray, "... 7"], count: int) -> Float[np.ndarray, "... count 7"]:
    return np.broadcast_to(context[..., None, :], (*context.shape[:-1], count, CONTEXT_SIZE))


def _foot_points(robot: "DescribedRobot", data: mujoco.MjData) -> Float[np.ndarray, "F 3"]:
    points = []
    for foot, body in zip(robot.feet, robot.foot_bodies, strict=True):
        if foot.point is None:
            points.append(data.geom_xpos[robot.model.geom(foot.geoms[0]).id])
        else:
            points.append(data.xpos[body] + data.xmat[body].reshape(3, 3) @ np.array(foot.point))
    return np.array(points)
