"""Portraits: everybody is there, to scale, unhidden and named; the command writes them whole."""

import json
import subprocess
import sys

import mujoco
import numpy as np
import pytest
from PIL import Image

from bodyplan.cli import main
from bodyplan.errors import BodyplanError
from bodyplan.rendering import portrait
from bodyplan.rendering.camera import Camera
from bodyplan.rendering.lineup import CAMERA, CAPTION, line_up, stand
from bodyplan.rendering.ray_casting import ray_cast
from bodyplan.rendering.scene import FLOOR_GROUP, gather
from bodyplan.rendering.visual_geoms import COLOURS, extent
from bodyplan.robots.kinematic_tree import bounds
from bodyplan.robots.robot import Robot

SIZE = (600, 386)
WIDTH = 0.1
"""Of captions, over the picture's."""


@pytest.fixture(scope="module")
def everybody(load):
    """Places of all robots, the view of them, and the scene."""
    robots = [load(name) for name in Robot.names()]
    places, view = line_up(robots, [WIDTH] * len(robots), SIZE)
    poses = [place.pose for place in places]
    chosen = [place.robot for place in places]
    return places, view, gather(chosen, poses, CAMERA, view.look_at, view.distance)


def first_met(scene, targets):
    """Bodies of the puppets that rays from the camera to some points meet first (-1 for none)."""
    data = mujoco.MjData(scene.puppet)
    data.mocap_pos[:], data.mocap_quat[:] = scene.positions[0], scene.rotations[0]
    mujoco.mj_kinematics(scene.puppet, data)
    if targets is None:
        targets = data.geom_xpos
    eye = scene.look_at[0] - scene.distance * scene.camera.axes()[2]
    groups, met = np.arange(6) != FLOOR_GROUP, np.zeros(1, np.int32)
    bodies = []
    for target in targets:
        mujoco.mj_ray(scene.puppet, data, eye, target - eye, groups.astype(np.uint8), 1, -1, met)
        bodies.append(int(scene.puppet.geom_bodyid[met[0]]) if met[0] >= 0 else -1)
    return np.array(bodies)


def owners(places):
    """Which robot each body of the common puppet belongs to; the first two are world and lamp."""
    count = [place.robot.model.nbody - 1 for place in places]
    return np.concatenate([[-1, -1], np.repeat(np.arange(len(places)), count)])


def coloured(picture):
    """Where robots are: floor and shadows have no colour."""
    return np.ptp(picture.astype(int), axis=2) > 25


@pytest.mark.parametrize("name", Robot.names())
def test_all_feet_are_on_the_floor(load, name):
    robot = load(name)
    data = mujoco.MjData(robot.model)
    data.qpos[:] = stand(robot, yaw=1.0)
    mujoco.mj_kinematics(robot.model, data)
    lowest = [
        bounds(robot.model, data, [robot.model.geom(g).id for g in foot.geoms])[0][:, 2].min()
        for foot in robot.feet
    ]
    assert min(lowest) == pytest.approx(0.0, abs=1e-6)
    assert max(lowest) < 0.012


def test_nobody_hides_anybody(everybody):
    places, _, scene = everybody
    owner = owners(places)
    own = owner[scene.puppet.geom_bodyid]
    assert {*own} == {*range(len(places)), -1}
    met = owner[first_met(scene, None)]
    shapes = own >= 0
    np.testing.assert_array_equal(met[shapes], own[shapes])


def test_nobody_stands_on_a_caption(everybody):
    places, view, scene = everybody
    right, _, _ = CAMERA.axes()
    for place in places:
        depth = view.project(place.caption[None])[0, 2]
        metre = CAMERA.focal(SIZE[1]) / depth
        down = CAPTION * SIZE[0] / metre / np.sin(np.radians(-CAMERA.elevation))
        points = [
            place.caption
            + across * WIDTH / 2.0 * SIZE[0] / metre * right
            - [0.0, share * down, 0.0]
            for across in (-1.0, 0.0, 1.0)
            for share in (0.0, 0.5, 1.0)
        ]
        assert (first_met(scene, points) == -1).all(), place.robot.name
        columns, rows, _ = view.project(np.array(points)).T
        assert 0.0 < columns.min() < columns.max() < SIZE[0]
        assert rows.max() < SIZE[1]


def test_every_robot_is_drawn_where_it_stands(everybody):
    places, view, scene = everybody
    picture = ray_cast(scene, SIZE)[0].astype(float)
    inside = np.zeros(SIZE[::-1], bool)
    for place in places:
        seen = view.project(place.corners)[:, :2]
        left, top, right, bottom = *np.floor(seen.min(axis=0)), *np.ceil(seen.max(axis=0))
        box = np.s_[int(top) : int(bottom) + 1, int(left) : int(right) + 1]
        assert left > 0
        assert top > 0
        assert right < SIZE[0]
        inside[box] = True
        trunk = np.array(COLOURS[place.robot.kind].trunk)
        part = picture[box]
        likeness = part @ trunk / np.linalg.norm(part, axis=2) / np.linalg.norm(trunk)
        assert (likeness > 0.995).mean() > 0.03, place.robot.name
        orange = (part[..., 0] > 1.6 * part[..., 1]) & (part[..., 0] > 4.0 * part[..., 2])
        assert orange.any(), place.robot.name
    assert not coloured(picture)[~inside].any()


def test_heights_in_the_picture_are_as_heights_in_metres(load):
    names, height = ("unitree_h1", "nao_v5", "cassie"), 400
    robots = [load(name) for name in names]
    poses = [stand(robot) for robot in robots]
    for pose, x in zip(poses, (-1.4, 0.0, 1.4), strict=True):
        pose[0] = x
    camera = Camera(azimuth=90.0, elevation=-8.0, field_of_view=14.0)
    scene = gather(robots, poses, camera, np.array([0.0, 0.0, 0.8]), 12.0)
    there = coloured(ray_cast(scene, (3 * height // 2, height))[0])
    thirds = np.array_split(there, 3, axis=1)
    pixels = np.array([np.ptp(np.nonzero(third.any(axis=1))[0]) + 1 for third in thirds])
    sizes = [extent(robot) for robot in robots]
    metres = np.array([size.height - size.low for size in sizes])
    assert pixels / pixels[0] == pytest.approx(metres / metres[0], rel=0.05)


def test_any_list_of_robots_fits(load):
    for names in (["bittle"], ["talos", "bittle"], ["hexapod"] * 3):
        robots = [load(name) for name in names]
        places, view = line_up(robots, [WIDTH] * len(robots), SIZE)
        assert sorted(place.robot.name for place in places) == sorted(names)
        seen = view.project(np.concatenate([place.corners for place in places]))
        assert (seen[:, :2] > 0).all()
        assert (seen[:, :2] < SIZE).all()


@pytest.mark.parametrize("suffix", ["png", "webp", "jpg"])
def test_the_command_writes_a_picture(capsys, tmp_path, suffix):
    path = tmp_path / "album" / f"bittle.{suffix}"
    assert main(["robots", "draw", "bittle", "--out", str(path), "--size", "160", "120"]) == 0
    assert str(path) in "".join(capsys.readouterr().out.split("\n"))
    with Image.open(path) as image:
        assert image.size == (160, 120)
        assert coloured(np.asarray(image.convert("RGB"))).mean() > 0.1


def test_several_robots_are_one_picture_with_names(capsys, tmp_path):
    path = tmp_path / "pair.png"
    command = [
        "robots",
        "draw",
        "nao_v5",
        "unitree_go1",
        "--out",
        str(path),
        "--size",
        "300",
        "200",
    ]
    assert main([*command, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer == {"picture": str(path), "size": [300, 200], "robots": ["nao_v5", "unitree_go1"]}
    with Image.open(path) as image:
        dark = np.asarray(image.convert("RGB")).max(axis=2) < 110
    assert dark[100:].sum() > 40


def test_all_is_every_robot(capsys, tmp_path):
    path = tmp_path / "all.webp"
    command = ["robots", "draw", "--all", "--out", str(path), "--size", "300", "200", "--json"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["robots"] == list(Robot.names())
    assert path.is_file()


def test_wrong_use_is_told_in_one_sentence(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wrong = {
        ("bittle", "--out", "b.gif"): ".png, .webp, .jpg",
        ("bittle", "--out", "b"): ".png, .webp, .jpg",
        ("unitree_go7",): "no robot is called 'unitree_go7'",
        ("bittle", "--all"): "not both",
        (): "--all",
        ("bittle", "--size", "0", "120"): "--size 0 120",
        ("bittle", "--size", "160", "90000"): "--size 160 90000",
    }
    for arguments, words in wrong.items():
        assert main(["robots", "draw", *arguments]) == 2
        told = capsys.readouterr().err
        assert told.startswith("error: ")
        assert words in told
    assert not list(tmp_path.iterdir())


def test_a_picture_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path, grey = tmp_path / "bittle.png", np.full((8, 8, 3), 128, np.uint8)
    portrait.save(path, np.zeros((8, 8, 3), np.uint8))
    portrait.save(path, grey)
    before = path.read_bytes()

    def breaks_off(image, file, **settings):
        file.write_bytes(b"half")
        raise PermissionError(13, "no")

    monkeypatch.setattr(Image.Image, "save", breaks_off)
    with pytest.raises(BodyplanError, match="writ"):
        portrait.save(path, grey // 2)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["bittle.png"]


def test_other_commands_do_not_wait_for_the_drawing():
    program = "import sys, bodyplan.cli.robots; print({'PIL', 'scipy.ndimage'} & {*sys.modules})"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == "set()", ran.stderr
