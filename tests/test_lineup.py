"""Lineups: every robot is there, to scale, and nothing hides it or its caption."""

import mujoco
import numpy as np
import pytest

from bodyplan.rendering.camera import Camera
from bodyplan.rendering.lineup import (
    CAPTION_HEIGHT,
    LINEUP_CAMERA,
    arrange_lineup,
    standing_pose,
)
from bodyplan.rendering.ray_casting import ray_cast
from bodyplan.rendering.scene import FLOOR_GROUP, lineup_scene
from bodyplan.rendering.visual_geoms import ROBOT_COLOURS, robot_extent
from bodyplan.robots.kinematic_tree import geom_bounds
from bodyplan.robots.registry import list_robots

SIZE = (600, 386)
CAPTION_WIDTH = 0.1
"""Over the width of the image."""


def is_robot(image):
    """Pixels of robots: floor and shadows have no colour."""
    return np.ptp(image.astype(int), axis=2) > 25


@pytest.fixture(scope="module")
def all_placed(load):
    """Places of all robots, the view of them, and the scene."""
    robots = [load(name) for name in list_robots()]
    places, view = arrange_lineup(robots, [CAPTION_WIDTH] * len(robots), SIZE)
    poses = [place.pose for place in places]
    chosen = [place.robot for place in places]
    return places, view, lineup_scene(chosen, poses, LINEUP_CAMERA, view.look_at, view.distance)


def first_met(scene, targets):
    """Bodies that rays from the camera to some points meet first (-1 for none)."""
    data = mujoco.MjData(scene.model)
    data.mocap_pos[:], data.mocap_quat[:] = scene.positions[0], scene.rotations[0]
    mujoco.mj_kinematics(scene.model, data)
    if targets is None:
        targets = data.geom_xpos
    eye = scene.look_at[0] - scene.distance * scene.camera.axes()[2]
    groups, met = np.arange(6) != FLOOR_GROUP, np.zeros(1, np.int32)
    bodies = []
    for target in targets:
        mujoco.mj_ray(scene.model, data, eye, target - eye, groups.astype(np.uint8), 1, -1, met)
        bodies.append(int(scene.model.geom_bodyid[met[0]]) if met[0] >= 0 else -1)
    return np.array(bodies)


def owners(places):
    """Which robot each body of the common scene belongs to; the first two are world and light."""
    count = [place.robot.model.nbody - 1 for place in places]
    return np.concatenate([[-1, -1], np.repeat(np.arange(len(places)), count)])


@pytest.mark.parametrize("name", list_robots())
def test_all_feet_are_on_the_floor(load, name):
    robot = load(name)
    data = mujoco.MjData(robot.model)
    data.qpos[:] = standing_pose(robot, yaw=1.0)
    mujoco.mj_kinematics(robot.model, data)
    lowest = [
        geom_bounds(robot.model, data, [robot.model.geom(g).id for g in foot.geoms])[0][:, 2].min()
        for foot in robot.feet
    ]
    assert min(lowest) == pytest.approx(0.0, abs=1e-6)
    assert max(lowest) < 0.012


def test_no_robot_hides_another(all_placed):
    places, _, scene = all_placed
    owner = owners(places)
    own = owner[scene.model.geom_bodyid]
    assert {*own} == {*range(len(places)), -1}
    met = owner[first_met(scene, None)]
    shapes = own >= 0
    np.testing.assert_array_equal(met[shapes], own[shapes])


def test_no_robot_stands_on_a_caption(all_placed):
    places, view, scene = all_placed
    right, _, _ = LINEUP_CAMERA.axes()
    for place in places:
        depth = view.project(place.caption[None])[0, 2]
        metre = LINEUP_CAMERA.focal_length(SIZE[1]) / depth
        down = CAPTION_HEIGHT * SIZE[0] / metre / np.sin(np.radians(-LINEUP_CAMERA.elevation))
        points = [
            place.caption
            + across * CAPTION_WIDTH / 2.0 * SIZE[0] / metre * right
            - [0.0, share * down, 0.0]
            for across in (-1.0, 0.0, 1.0)
            for share in (0.0, 0.5, 1.0)
        ]
        assert (first_met(scene, points) == -1).all(), place.robot.name
        columns, rows, _ = view.project(np.array(points)).T
        assert 0.0 < columns.min() < columns.max() < SIZE[0]
        assert rows.max() < SIZE[1]


def test_every_robot_is_drawn_where_it_stands(all_placed):
    places, view, scene = all_placed
    image = ray_cast(scene, SIZE)[0].astype(float)
    inside = np.zeros(SIZE[::-1], bool)
    for place in places:
        seen = view.project(place.corners)[:, :2]
        left, top, right, bottom = *np.floor(seen.min(axis=0)), *np.ceil(seen.max(axis=0))
        box = np.s_[int(top) : int(bottom) + 1, int(left) : int(right) + 1]
        assert left > 0
        assert top > 0
        assert right < SIZE[0]
        inside[box] = True
        trunk = np.array(ROBOT_COLOURS[place.robot.kind].trunk)
        part = image[box]
        similarity = part @ trunk / np.linalg.norm(part, axis=2) / np.linalg.norm(trunk)
        assert (similarity > 0.995).mean() > 0.03, place.robot.name
        orange = (part[..., 0] > 1.6 * part[..., 1]) & (part[..., 0] > 4.0 * part[..., 2])
        assert orange.any(), place.robot.name
    assert not is_robot(image)[~inside].any()


def test_heights_in_the_image_are_as_heights_in_metres(load):
    names, height = ("unitree_h1", "nao_v5", "cassie"), 400
    robots = [load(name) for name in names]
    poses = [standing_pose(robot) for robot in robots]
    for pose, x in zip(poses, (-1.4, 0.0, 1.4), strict=True):
        pose[0] = x
    camera = Camera(azimuth=90.0, elevation=-8.0, field_of_view=14.0)
    scene = lineup_scene(robots, poses, camera, np.array([0.0, 0.0, 0.8]), 12.0)
    there = is_robot(ray_cast(scene, (3 * height // 2, height))[0])
    thirds = np.array_split(there, 3, axis=1)
    pixels = np.array([np.ptp(np.nonzero(third.any(axis=1))[0]) + 1 for third in thirds])
    sizes = [robot_extent(robot) for robot in robots]
    metres = np.array([size.height - size.lowest_foot for size in sizes])
    assert pixels / pixels[0] == pytest.approx(metres / metres[0], rel=0.05)


def test_any_list_of_robots_fits(load):
    for names in (["bittle"], ["talos", "bittle"], ["hexapod"] * 3):
        robots = [load(name) for name in names]
        places, view = arrange_lineup(robots, [CAPTION_WIDTH] * len(robots), SIZE)
        assert sorted(place.robot.name for place in places) == sorted(names)
        seen = view.project(np.concatenate([place.corners for place in places]))
        assert (seen[:, :2] > 0).all()
        assert (seen[:, :2] < SIZE).all()
