"""The joint torques that hold a robot still against gravity in its nominal pose."""

import copy
from typing import TYPE_CHECKING

import mujoco
import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from bodyplan.robots.robot import Robot


def balancing_torques(robot: "Robot") -> Float[np.ndarray, "J"]:
    """Torques (N m) under which, with both feet carrying it, the robot does not accelerate.

    The equations of motion at rest, `bias - passive = S tau + J_e' f + J_f' F`, are solved for
    motor torques tau, forces f of closed linkages and vertical forces F on the feet, in least
    squares because joints without a motor may have to give way. A foot's force acts below the
    centre of mass, so that the trunk is not asked to pitch.
    """
    model = copy.copy(robot.model)
    model.opt.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
    data = mujoco.MjData(model)
    data.qpos[:] = robot.nominal_qpos
    mujoco.mj_forward(model, data)
    motors = np.zeros((model.nv, robot.num_joints))
    motors[robot.qvel_index, np.arange(robot.num_joints)] = 1.0
    columns = [motors, _linkages(model, data).T, _foot_forces(robot, model, data).T]
    wanted = data.qfrc_bias - data.qfrc_passive
    solution = np.linalg.lstsq(np.hstack(columns), wanted, rcond=None)[0]
    return solution[: robot.num_joints]


def _linkages(model: mujoco.MjModel, data: mujoco.MjData) -> Float[np.ndarray, "E nv"]:
    rows = data.efc_J.reshape(-1, model.nv)
    return rows[data.efc_type[: len(rows)] == mujoco.mjtConstraint.mjCNSTR_EQUALITY]


def _foot_forces(
    robot: "Robot", model: mujoco.MjModel, data: mujoco.MjData
) -> Float[np.ndarray, "F nv"]:
    centre = data.subtree_com[model.body(robot.trunk).id]
    rows = np.zeros((robot.num_feet, model.nv))
    for row, body in zip(rows, robot.foot_bodies, strict=True):
        point = np.array([centre[0], data.xpos[body, 1], data.xpos[body, 2]])
        jacobian = np.zeros((3, model.nv))
        mujoco.mj_jac(model, data, jacobian, None, point, body)
        row[:] = jacobian[2]
    return rows
