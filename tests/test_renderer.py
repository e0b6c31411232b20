"""Renderers: images show the model where it is, with and without a graphics library."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from bodyplan.errors import BodyplanError
from bodyplan.rendering import renderer
from bodyplan.rendering.ray_casting import ray_cast
from bodyplan.rendering.renderer import (
    graphics_library,
    render_offscreen,
    render_poses,
    render_scene,
    render_scenes,
)
from bodyplan.rendering.scene import VIDEO_CAMERA, Scene, robot_scene

BALL = """
<mujoco><worldbody><body mocap="true"><geom size="0.2" rgba="1 0 0 1"/></body></worldbody></mujoco>
"""
ROCK = """
<mujoco><asset><mesh name="rock" vertex="0 0 0  .6 0 0  0 .3 0  0 0 .2  .5 .3 .3"/></asset>
<worldbody><geom type="plane" size="1 1 1"/><body name="trunk"><freejoint/>
<geom type="mesh" mesh="rock" pos=".1 0 0" euler="0 30 0"/>
<body><joint name="nod"/><geom type="ellipsoid" size=".1 .2 .1" pos="-.05 0 .05"/></body>
</body></worldbody></mujoco>
"""


def cast(model, positions, rotations=None):
    """Distances of rays from above and beside to whatever moves in the model."""
    data = mujoco.MjData(model)
    if model.nmocap:
        data.mocap_pos[:], data.mocap_quat[:] = positions, rotations
    else:
        data.qpos[:] = positions
    mujoco.mj_kinematics(model, data)
    rng = np.random.default_rng(0)
    origin, count = np.array([0.6, -0.9, 0.8]), 4000
    rays = rng.uniform(-0.6, 0.6, (count, 3)) + np.array([0, 0, 0.2]) - origin
    shape, distance = np.zeros(count, np.int32), np.zeros(count)
    groups = np.array([1, 1, 1, 0, 0, 0], np.uint8)
    static = bool(model.nmocap)
    mujoco.mj_multiRay(
        model, data, origin, rays.ravel(), groups, static, -1, shape, distance, None, count, 1e6
    )
    return np.where(shape >= 0, distance, np.inf)


def test_a_ball_is_drawn_where_the_camera_must_see_it():
    centre = np.array([0.3, 0.2, 0.5])
    scene = Scene(
        mujoco.MjModel.from_xml_string(BALL),
        positions=centre[None, None],
        rotations=np.array([[[1.0, 0.0, 0.0, 0.0]]]),
        look_at=np.array([[0.0, 0.0, 0.4]]),
        distance=4.0,
        radius=1.0,
    )
    (image,) = ray_cast(scene, (160, 120))
    red = (image[..., 0] > 1.5 * image[..., 1]) & (image[..., 0] > 1.5 * image[..., 2])
    right, up, forward = VIDEO_CAMERA.axes()
    away = centre - scene.look_at[0] + scene.distance * forward
    focal = 60.0 / np.tan(np.radians(VIDEO_CAMERA.field_of_view / 2.0)) / (away @ forward)
    rows, columns = np.nonzero(red)
    assert columns.mean() == pytest.approx(79.5 + focal * (away @ right), abs=0.7)
    assert rows.mean() == pytest.approx(59.5 - focal * (away @ up), abs=0.7)
    assert red.sum() == pytest.approx(np.pi * (0.2 * focal) ** 2, rel=0.08)


@pytest.mark.parametrize("name", ["unitree_go1", "badger", "hexapod"])
def test_the_copy_has_the_robots_shapes_in_their_places(load, name):
    robot = load(name)
    pose = robot.nominal_qpos + 0.1
    pose[3:7] /= np.linalg.norm(pose[3:7])
    scene = robot_scene(robot, pose[None])
    copy = cast(scene.model, scene.positions[0], scene.rotations[0])
    original = cast(robot.model, pose)
    hit = np.isfinite(original)
    assert hit.sum() > 100
    # Bones can only stand before a shape, and seldom do.
    assert (copy[hit] <= original[hit] + 1e-6).all()
    assert np.isclose(copy[hit], original[hit], atol=1e-6).mean() > 0.8


def test_meshes_of_a_users_robot_are_copied(load):
    model = mujoco.MjModel.from_xml_string(ROCK)
    go1, one = load("unitree_go1"), np.ones(1)
    robot = replace(go1, model=model, joints=("nod",), feet=(), nominal=one, max_velocity=one)
    pose = np.array([0.1, 0.0, 0.2, 1.0, 0.0, 0.0, 0.0, 0.5])
    scene = robot_scene(robot, pose[None])
    copy, original = cast(scene.model, scene.positions[0], scene.rotations[0]), cast(model, pose)
    assert np.isfinite(original).sum() > 100
    np.testing.assert_allclose(copy, original, atol=1e-5)


def test_the_floor_passes_by_under_a_robot_that_walks(load):
    robot = load("unitree_go1")
    poses = np.tile(robot.nominal_qpos, (3, 1))
    poses[:, 0] = [0.0, 0.25, 1.0]
    start, quarter, two_tiles = render_poses(robot, poses, (80, 60), "drawn").astype(float)
    assert np.abs(quarter - start).mean() > 2.0
    assert np.abs(two_tiles - start).mean() < 0.5


@pytest.mark.parametrize("program", ["import os; os.abort()", "import time; time.sleep(60)", "1/0"])
def test_graphics_that_crash_or_hang_do_no_harm(load, tmp_path, program):
    fake = tmp_path / "fake.py"
    fake.write_text(program)
    robot = load("hexapod")
    scene = robot_scene(robot, robot.nominal_qpos[None])
    assert render_offscreen([scene], (16, 16), "egl", seconds=1.0, program=fake) is None


def test_without_graphics_the_drawing_steps_in(load, monkeypatch):
    monkeypatch.setattr(renderer, "graphics_library", lambda: None)
    robot = load("badger")
    poses = robot.nominal_qpos[None]
    drawn = render_poses(robot, poses, (64, 48), "drawn")
    np.testing.assert_array_equal(render_poses(robot, poses, (64, 48), "auto"), drawn)
    with pytest.raises(BodyplanError, match="libegl1"):
        render_poses(robot, poses, (64, 48), "mujoco")
    with pytest.raises(BodyplanError, match="oil"):
        render_poses(robot, poses, (64, 48), "oil")


@pytest.mark.parametrize("kind", ["mujoco", "drawn"])
def test_scenes_rendered_together_are_those_rendered_alone(load, kind):
    if kind == "mujoco" and graphics_library() is None:
        pytest.skip("no graphics library here")
    poses = [np.tile(load(name).nominal_qpos, (3, 1)) for name in ("hexapod", "unitree_h1")]
    poses[0][2, 0] = 0.4  # the first two frames are the same
    scenes = [robot_scene(load("hexapod"), poses[0]), robot_scene(load("unitree_h1"), poses[1])]
    together = render_scenes(scenes, (64, 48), kind)
    for scene, images in zip(scenes, together, strict=True):
        np.testing.assert_array_equal(images, render_scene(scene, (64, 48), kind))
    assert (together[0][0] != together[0][2]).any()


def test_both_renderers_show_the_robot_in_the_same_place(load):
    if graphics_library() is None:
        pytest.skip("no graphics library here")
    robot = load("hexapod")
    poses = robot.nominal_qpos[None]
    images = [
        render_poses(robot, poses, (160, 120), kind)[0].astype(int) for kind in ("drawn", "mujoco")
    ]
    orange = [(p[..., 0] > 1.6 * p[..., 2]) & (p[..., 0] > 60) for p in images]
    assert orange[0].sum() > 100
    assert (orange[0] & orange[1]).sum() > 0.75 * (orange[0] | orange[1]).sum()


def test_both_renderers_lay_the_same_tiles(load):
    if graphics_library() is None:
        pytest.skip("no graphics library here")
    robot = load("unitree_go1")
    pose = robot.nominal_qpos.copy()
    pose[:2] = (1.3, -0.7)
    images = [render_poses(robot, pose[None], (160, 120), kind)[0] for kind in ("drawn", "mujoco")]
    pale = [(np.ptp(p, axis=2) < 15) & (p.min(axis=2) > 205) for p in images]
    floor = pale[0] & pale[1]
    assert floor.mean() > 0.5
    light = [p[floor][:, 0] > p[floor][:, 0].mean() for p in images]
    assert (light[0] == light[1]).mean() > 0.9


def test_strips_make_the_image_that_one_piece_would(load):
    robot = load("hexapod")
    scene = robot_scene(robot, robot.nominal_qpos[None])
    whole = ray_cast(scene, (96, 72))
    strips = ray_cast(scene, (96, 72), strip_rows=20)
    assert strips.shape == whole.shape
    # Only edges along a seam are smoothed a little less.
    assert (strips == whole).all(axis=3).mean() > 0.98


def test_a_robot_stands_whole_in_its_image(load):
    for name in ("anymal_c", "cassie", "unitree_h1"):
        robot = load(name)
        (image,) = render_poses(robot, robot.nominal_qpos[None], (80, 60), "drawn")
        coloured = np.ptp(image, axis=2) > 25
        assert coloured.any(axis=0)[[1, -2]].sum() == 0, name
        assert coloured.any(axis=1)[[1, -2]].sum() == 0, name
        assert coloured.any(axis=1).sum() > 40, name
