"""Films of walking robots: what is drawn is where the model is, with and without graphics."""

import io
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import mujoco
import numpy as np
import pytest
from PIL import Image

from bodyplan.envs.environment import Environment
from bodyplan.errors import BodyplanError
from bodyplan.evaluate.video import animate, encode, record
from bodyplan.robots import rendering
from bodyplan.robots.drawing import draw
from bodyplan.robots.rendering import graphics_library, render, render_apart
from bodyplan.robots.scene import FIELD_OF_VIEW, Scene, camera_axes, compose

BALL = """
<mujoco><worldbody><body mocap="true"><geom size="0.2" rgba="1 0 0 1"/></body></worldbody></mujoco>
"""
ROCK = """
<mujoco><asset><mesh name="rock" vertex="0 0 0  .6 0 0  0 .3 0  0 0 .2  .5 .3 .3"/></asset>
<worldbody><geom type="plane" size="1 1 1"/><body name="trunk"><freejoint/>
<geom type="mesh" mesh="rock" pos=".1 0 0" euler="0 30 0"/>
<body><joint name="nod"/><geom type="ellipsoid" size=".1 .2 .1" pos="-.2 0 .1"/></body>
</body></worldbody></mujoco>
"""


def swinging(robot):
    steps = iter(range(10_000))

    def policy(observation):
        phase = 0.3 * next(steps) + np.arange(robot.num_joints)
        return np.tile(0.4 * np.sin(phase), (len(observation.general), 1))

    return policy


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
    (picture,) = draw(scene, (160, 120))
    red = (picture[..., 0] > 1.5 * picture[..., 1]) & (picture[..., 0] > 1.5 * picture[..., 2])
    right, up, forward = camera_axes()
    away = centre - scene.look_at[0] + scene.distance * forward
    focal = 60.0 / np.tan(np.radians(FIELD_OF_VIEW / 2.0)) / (away @ forward)
    rows, columns = np.nonzero(red)
    assert columns.mean() == pytest.approx(79.5 + focal * (away @ right), abs=0.7)
    assert rows.mean() == pytest.approx(59.5 - focal * (away @ up), abs=0.7)
    assert red.sum() == pytest.approx(np.pi * (0.2 * focal) ** 2, rel=0.08)


@pytest.mark.parametrize("name", ["unitree_go1", "badger", "hexapod"])
def test_the_puppet_has_the_robots_shapes_in_their_places(load, name):
    robot = load(name)
    pose = robot.nominal_qpos + 0.1
    pose[3:7] /= np.linalg.norm(pose[3:7])
    scene = compose(robot, pose[None])
    puppet = cast(scene.puppet, scene.positions[0], scene.rotations[0])
    original = cast(robot.model, pose)
    hit = np.isfinite(original)
    assert hit.sum() > 100
    # Bones can only stand before a shape, and seldom do.
    assert (puppet[hit] <= original[hit] + 1e-6).all()
    assert np.isclose(puppet[hit], original[hit], atol=1e-6).mean() > 0.8


def test_meshes_of_a_users_robot_are_copied(load):
    model = mujoco.MjModel.from_xml_string(ROCK)
    go1, one = load("unitree_go1"), np.ones(1)
    robot = replace(go1, model=model, joints=("nod",), feet=(), nominal=one, max_velocity=one)
    pose = np.array([0.1, 0.0, 0.2, 1.0, 0.0, 0.0, 0.0, 0.5])
    scene = compose(robot, pose[None])
    puppet, original = cast(scene.puppet, scene.positions[0], scene.rotations[0]), cast(model, pose)
    assert np.isfinite(original).sum() > 100
    np.testing.assert_allclose(puppet, original, atol=1e-5)


def test_the_drawn_film_moves_and_plays_at_real_speed(load):
    robot = load("hexapod")
    film = animate(Environment(robot), swinging(robot), 0.4, (80, 60), renderer="drawn")
    image = Image.open(io.BytesIO(film))
    assert image.format == "WEBP"
    assert image.size == (80, 60)
    assert image.n_frames == 11
    frames, durations = [], []
    for index in range(image.n_frames):
        image.seek(index)
        image.load()
        frames.append(np.asarray(image.convert("RGB"), float))
        durations.append(image.info["duration"])
    assert set(durations) == {40}
    moved = [np.abs(b - a).mean() for a, b in pairwise(frames[1:])]
    assert min(moved) > 0.1
    assert min(frame.std() for frame in frames) > 10.0


def test_the_floor_passes_by_under_a_robot_that_walks(load):
    robot = load("unitree_go1")
    poses = np.tile(robot.nominal_qpos, (3, 1))
    poses[:, 0] = [0.0, 0.25, 1.0]
    start, quarter, two_tiles = render(robot, poses, (80, 60), "drawn").astype(float)
    assert np.abs(quarter - start).mean() > 2.0
    assert np.abs(two_tiles - start).mean() < 0.5


def test_a_fallen_robot_lies_still_to_the_end():
    class Falls(Environment):
        qpos, observation, steps = np.zeros((2, 7)), None, 0

        def __init__(self):
            """Nothing to set up."""

        def reset(self, mask=None):
            self.steps = 0

        def step(self, action):
            self.steps += 1
            self.qpos = self.qpos + 1.0
            down = np.array([self.steps == 5, False])
            return SimpleNamespace(terminated=down, truncated=np.zeros(2, bool))

    poses = record(Falls(), lambda observation: np.zeros((2, 1)), 12)
    np.testing.assert_array_equal(poses[:, 0], [0, 2, 4, 5, 5, 5, 5])


@pytest.mark.parametrize("program", ["import os; os.abort()", "import time; time.sleep(60)", "1/0"])
def test_graphics_that_crash_or_hang_do_no_harm(load, monkeypatch, tmp_path, program):
    fake = tmp_path / "fake.py"
    fake.write_text(program)
    monkeypatch.setattr(rendering, "_PROGRAM", fake)
    robot = load("hexapod")
    scene = compose(robot, robot.nominal_qpos[None])
    assert render_apart(scene, (16, 16), "egl", seconds=1.0) is None


def test_without_graphics_the_drawing_steps_in(load, monkeypatch):
    monkeypatch.setattr(rendering, "graphics_library", lambda: None)
    robot = load("badger")
    poses = robot.nominal_qpos[None]
    drawn = render(robot, poses, (64, 48), "drawn")
    np.testing.assert_array_equal(render(robot, poses, (64, 48), "auto"), drawn)
    with pytest.raises(BodyplanError, match="no working graphics library"):
        render(robot, poses, (64, 48), "mujoco")
    with pytest.raises(BodyplanError, match="choose one of auto"):
        render(robot, poses, (64, 48), "oil")


def test_both_renderers_show_the_robot_in_the_same_place(load):
    if graphics_library() is None:
        pytest.skip("no graphics library here")
    robot = load("hexapod")
    poses = robot.nominal_qpos[None]
    pictures = [
        render(robot, poses, (160, 120), kind)[0].astype(int) for kind in ("drawn", "mujoco")
    ]
    orange = [(p[..., 0] > 1.6 * p[..., 2]) & (p[..., 0] > 60) for p in pictures]
    assert orange[0].sum() > 100
    assert (orange[0] & orange[1]).sum() > 0.75 * (orange[0] | orange[1]).sum()


def test_equal_pictures_are_one_frame_of_a_small_file():
    assert len(encode(np.full((50, 24, 32, 3), 128, np.uint8))) < 2000
