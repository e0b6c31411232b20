"""Visual geoms: they add what models leave out, and none of them floats."""

import mujoco
import numpy as np
import pytest

from bodyplan.rendering.lineup import standing_pose
from bodyplan.rendering.scene import FLOOR_GROUP, robot_scene
from bodyplan.rendering.visual_geoms import robot_extent
from bodyplan.robots.registry import list_robots


def posed(robot, pose):
    """Model and data of the visual geoms in a pose of the robot."""
    scene = robot_scene(robot, pose[None])
    data = mujoco.MjData(scene.model)
    data.mocap_pos[:], data.mocap_quat[:] = scene.positions[0], scene.rotations[0]
    mujoco.mj_kinematics(scene.model, data)
    return scene.model, data


def pieces(model, data, touching):
    """How many pieces the visual geoms fall into."""
    geoms = [int(g) for g in np.flatnonzero(model.geom_group != FLOOR_GROUP)]
    left, count = set(geoms), 0
    while left:
        reached, count = [left.pop()], count + 1
        while reached:
            one = reached.pop()
            near = [g for g in left if close(model, data, one, g, touching)]
            left -= set(near)
            reached += near
    return count


def close(model, data, first, second, touching):
    apart = np.linalg.norm(data.geom_xpos[first] - data.geom_xpos[second])
    if apart > model.geom_rbound[first] + model.geom_rbound[second] + touching:
        return False
    return mujoco.mj_geomDistance(model, data, first, second, 1.0, None) <= touching


@pytest.mark.parametrize("name", list_robots())
def test_every_robot_is_one_piece_even_when_it_moves(load, name):
    robot = load(name)
    pose = standing_pose(robot)
    pose[robot.qpos_index] += np.random.default_rng(0).uniform(-0.3, 0.3, robot.num_joints)
    model, data = posed(robot, pose)
    assert pieces(model, data, 0.02 * robot_extent(robot).radius) == 1


@pytest.mark.parametrize(("name", "soles"), [("unitree_g1", 2), ("nao_v5", 2), ("hexapod", 0)])
def test_feet_that_are_points_get_soles(load, name, soles):
    robot = load(name)
    model, data = posed(robot, standing_pose(robot))
    plates = np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_MESH.value)
    assert len(plates) == soles
    for plate in plates:
        length = 2.0 * model.geom_size[plate].max()
        assert 0.08 < length < 0.3
        assert data.geom_xpos[plate][2] < 0.02
        assert model.geom_rgba[plate][0] > 2.0 * model.geom_rgba[plate][1]


def test_cassies_rods_close_their_loops(load):
    robot = load("cassie")
    scene = robot_scene(robot, robot.nominal_qpos[None])
    rods = [robot.model.body(f"{side}-achilles-rod").id for side in ("left", "right")]
    for rod in rods:
        own = np.flatnonzero(scene.model.geom_bodyid == rod)
        assert 2.0 * scene.model.geom_size[own, 1].max() == pytest.approx(0.5012, abs=1e-4)


def test_a_torso_above_the_hips_has_the_trunks_colour(load):
    robot = load("talos")
    scene = robot_scene(robot, robot.nominal_qpos[None])

    def colour(name):
        own = np.flatnonzero(scene.model.geom_bodyid == robot.model.body(name).id)
        return tuple(scene.model.geom_rgba[own[0]])

    assert colour("torso_2_link") == colour("trunk")
    assert colour("arm_left_4_link") != colour("trunk")
