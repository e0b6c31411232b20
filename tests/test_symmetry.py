"""Mirror maps against physics: a mirrored robot moves as the mirror image of the robot."""

from dataclasses import replace

import numpy as np
import pytest

from bodyplan.datasets.policy_snapshots import policy_input
from bodyplan.envs.environment import Environment
from bodyplan.errors import BodyplanError
from bodyplan.experts.expert_observations import critic_input, mirror_maps
from bodyplan.robots.registry import packaged_robots
from bodyplan.robots.robot import Robot
from bodyplan.robots.symmetry import AXIAL, POLAR, MirrorMap, mirror_feet, mirror_joints

BIPEDS = tuple(name for name in packaged_robots() if Robot.load(name).kind == "biped")
every_biped = pytest.mark.parametrize("name", BIPEDS)

QUATERNION = (1.0, -1.0, 1.0, -1.0)  # w, and the axis times the sine
# Tolerance of a step's observations for robots whose meshes or hands are not alike on both sides.
UNEVEN = {"unitree_g1": 0.03, "nao_v5": 0.03}


def reflected_state(robot, joints, qpos, qvel):
    """Positions and velocities in the mirror; joints without a motor stay as they are."""
    there, speeds = qpos.copy(), qvel.copy()
    there[:, :3] *= POLAR
    there[:, 3:7] *= QUATERNION
    there[:, robot.qpos_index] = joints(qpos[:, robot.qpos_index])
    speeds[:, :3] *= POLAR
    speeds[:, 3:6] *= AXIAL
    speeds[:, robot.qvel_index] = joints(qvel[:, robot.qvel_index])
    return there, speeds


def test_there_are_six_bipeds():
    assert len(BIPEDS) == 6


def test_two_reflections_side_by_side_and_repeated():
    swap = MirrorMap((1, 0), (-1.0, -1.0))
    values = np.arange(1.0, 5.0)
    assert (swap + MirrorMap.in_place((1.0, -1.0)))(values).tolist() == [-2.0, -1.0, 3.0, -4.0]
    assert swap.per_entry((1.0, -1.0))(values).tolist() == [-3.0, 4.0, -1.0, 2.0]
    assert swap.unsigned()(values[:2]).tolist() == [2.0, 1.0]


@every_biped
def test_twice_reflected_is_as_before(name):
    robot = Robot.load(name)
    for reflection in (mirror_joints(robot), mirror_feet(robot), *mirror_maps(robot)):
        values = np.random.default_rng(0).normal(size=(3, len(reflection.order)))
        np.testing.assert_array_equal(reflection(reflection(values)), values)


@every_biped
def test_left_and_right_are_alike_and_what_is_in_the_middle_stays(name):
    robot = Robot.load(name)
    reflection = mirror_joints(robot)
    assert len(set(reflection.order)) == robot.num_joints
    middle = [robot.joints[i] for i, j in enumerate(reflection.order) if i == j]
    assert len(middle) == {"unitree_h1": 1, "unitree_g1": 1, "cassie": 0}.get(name, 2)
    np.testing.assert_allclose(reflection(robot.nominal), robot.nominal, atol=1e-6)
    for figure in (robot.max_velocity, robot.torque_limit):
        np.testing.assert_allclose(reflection.unsigned()(figure), figure)
    assert mirror_feet(robot).order == (1, 0)


@every_biped
def test_a_reflected_robot_under_reflected_actions_moves_as_its_mirror_image(name):
    robot = Robot.load(name)
    joints, maps = mirror_joints(robot), mirror_maps(robot)
    here, there = (Environment(robot, num_envs=8, threads=1) for _ in range(2))
    rng, everyone = np.random.default_rng(0), np.ones(8, bool)
    qpos, qvel = np.tile(robot.nominal_qpos, (8, 1)), np.zeros((8, robot.model.nv))
    qpos[:, 3:7] += rng.normal(0.0, 0.03, (8, 4))
    qpos[:, 3:7] /= np.linalg.norm(qpos[:, 3:7], axis=1, keepdims=True)
    if not robot.model.neq:  # a closed linkage does not bear any joint angle
        qpos[:, robot.qpos_index] += rng.uniform(-0.05, 0.05, (8, robot.num_joints))
    qvel[:, :6] = rng.normal(0.0, 0.2, (8, 6))
    here.simulator.reset(everyone, qpos, qvel)
    there.simulator.reset(everyone, *reflected_state(robot, joints, qpos, qvel))
    action = rng.normal(0.0, 0.3, (8, robot.num_joints))
    one, other = here.step(action), there.step(joints(action))
    mirrored = maps.observations(policy_input(one.observation))
    tolerance = UNEVEN.get(name, 1e-3)
    assert np.abs(mirrored - policy_input(one.observation)).max() > 5 * tolerance
    np.testing.assert_allclose(policy_input(other.observation), mirrored, atol=tolerance)
    scale = rng.random(8)
    np.testing.assert_allclose(
        critic_input(other.observation, scale),
        maps.critic_observations(critic_input(one.observation, scale)),
        atol=tolerance,
    )
    np.testing.assert_allclose(other.reward, one.reward, atol=2e-3)


def test_a_lopsided_robot_has_no_mirror_image():
    robot = Robot.load("unitree_h1")
    one_armed = replace(robot, joints=(*robot.joints[:-1], "back_bkz"))
    with pytest.raises(BodyplanError, match=r"'left_elbow'.*symmetric"):
        mirror_joints(one_armed)
