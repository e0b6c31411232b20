"""Balancing torques: with them and the floor's forces nothing accelerates."""

import copy

import mujoco
import numpy as np
import pytest

from bodyplan.robots.nominal_pose import balancing_torques
from bodyplan.robots.robot import Robot

GRAVITY = 9.81


def acceleration(robot, torques):
    """Of all coordinates in the nominal pose, with half the weight on each foot."""
    model = copy.copy(robot.model)
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONTACT
    data = mujoco.MjData(model)
    data.qpos[:] = robot.nominal_qpos
    mujoco.mj_forward(model, data)
    centre = data.subtree_com[model.body(robot.trunk).id]
    force = np.array([0.0, 0.0, robot.mass * GRAVITY / robot.num_feet])
    for body in robot.foot_bodies:
        lever = np.array([centre[0], data.xpos[body, 1], 0.0]) - data.xipos[body]
        data.xfrc_applied[body] = [*force, *np.cross(lever, force)]
    data.ctrl[robot.actuator_ids] = torques
    mujoco.mj_forward(model, data)
    return data.qacc


@pytest.mark.parametrize("name", ["unitree_h1", "unitree_g1", "talos", "robotis_op3", "nao_v5"])
def test_a_balanced_robot_does_not_accelerate(name):
    robot = Robot.load(name)
    held = acceleration(robot, balancing_torques(robot))
    loose = acceleration(robot, np.zeros(robot.num_joints))
    assert np.abs(held[:6]).max() < 0.1  # m/s^2, rad/s^2; left and right are not quite alike
    assert np.abs(loose[:6]).max() > 2.0
    assert np.abs(held).max() < 0.01 * np.abs(loose).max()
