"""Task configs inferred from an MJCF alone, against robots whose configs are known."""

import shutil
from pathlib import Path

import mujoco
import numpy as np
import pytest

from bodyplan.cli import main
from bodyplan.envs.environment import Environment
from bodyplan.robots.inference.nominal_pose_search import find_nominal_pose
from bodyplan.robots.kinematic_tree import actuated_hinges, find_limbs
from bodyplan.robots.registry import MODELS, packaged_robots
from bodyplan.robots.robot import Robot
from bodyplan.robots.validation.check_robot import check_robot

STARFISH = Path(__file__).parents[1] / "examples" / "starfish" / "starfish.xml"
STANDING = sorted(set(packaged_robots()) - {"cassie", "talos", "unitree_g1", "unitree_h1"})
"""Packaged robots that stand without any action."""

every_robot = pytest.mark.parametrize("name", packaged_robots())


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A packaged robot read from its MJCF alone, and its check; each once."""
    folder, seen = tmp_path_factory.mktemp("alone"), {}

    def read(name):
        if name not in seen:
            mjcf = folder / f"{name}.xml"
            shutil.copy(MODELS / mjcf.name, mjcf)
            found = check_robot(mjcf)
            mjcf.with_suffix(".toml").write_text(found.toml)
            seen[name] = Robot.load(mjcf), found
        return seen[name]

    return read


@pytest.fixture
def starfish(tmp_path):
    """The starfish without its TOML, with text replaced."""

    def write(*changes):
        text = STARFISH.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "starfish.xml").write_text(text)
        return tmp_path / "starfish.xml"

    return write


def geoms(robot, pairs=None):
    """The geoms of each foot, or of each foot of each pair, whatever they are called."""
    feet = {foot.name: frozenset(foot.geoms) for foot in robot.feet}
    if pairs is None:
        return set(feet.values())
    return {frozenset(feet[foot] for foot in pair) for pair in pairs}


@every_robot
def test_trunk_joints_and_feet_are_those_of_the_robot(alone, load, name):
    own, true = alone(name)[0], load(name)
    assert own.trunk == true.trunk
    assert own.joints == true.joints
    assert geoms(own) == geoms(true)
    assert (own.legs, own.kind) == (true.legs, true.kind)
    assert geoms(own, own.reward.symmetry_pairs) == geoms(true, true.reward.symmetry_pairs)


@every_robot
def test_the_drop_height_is_near_the_robots(alone, load, name):
    assert alone(name)[0].drop_height == pytest.approx(load(name).drop_height, rel=0.15)


@every_robot
def test_the_inferred_robot_has_no_fault(alone, load, name):
    own, found = alone(name)
    assert [str(problem) for problem in found.problems if problem.severity != "note"] == []
    true = load(name)
    falls = own.termination.min_height is None, true.termination.min_height is None
    assert falls[0] == falls[1]
    assert set(own.reward.nominal_pose_joints) == set(true.reward.nominal_pose_joints)


@pytest.mark.parametrize("name", STANDING)
def test_the_inferred_robot_stands_by_itself(alone, name):
    robot = alone(name)[0]
    environment = Environment(robot, threads=1)
    for _ in range(75):
        step = environment.step(np.zeros((1, robot.num_joints)))
        assert not step.terminated[0]
    assert environment.qpos[0, 2] > 0.5 * robot.drop_height


def test_gains_are_those_of_the_robots_within_a_factor_of_two(alone, load):
    ratios = [alone(name)[0].kp / load(name).kp for name in packaged_robots()]
    assert 0.5 < min(ratios) < max(ratios) < 2.0


def test_a_keyframe_in_which_it_stands_is_the_nominal_pose(starfish):
    angles = "0 -30 120 " * 5
    key = f'<keyframe><key name="home" qpos="0 0 1 1 0 0 0 {angles}"/></keyframe>'
    radians = " ".join(f"{np.radians(float(angle)):.4f}" for angle in angles.split())
    mjcf = starfish(("</mujoco>", key.replace(angles, radians) + "</mujoco>"))
    found = check_robot(mjcf)
    assert "the keyframe home" in found.toml
    mjcf.with_suffix(".toml").write_text(found.toml)
    assert Robot.load(mjcf).nominal[:3] == pytest.approx(np.radians([0, -30, 120]), abs=1e-4)


def test_a_keyframe_that_lies_down_is_not(starfish):
    key = f'<keyframe><key name="home" qpos="0 0 1 1 0 0 0 {"0 -1.3 0.2 " * 5}"/></keyframe>'
    found = check_robot(starfish(("</mujoco>", key + "</mujoco>")))
    assert "found by search" in found.toml


def test_feet_without_a_name_get_a_proposal(starfish):
    found = check_robot(starfish(('name="foot" ', "")))
    problems = [own for own in found.problems if own.severity == "error"]
    assert [own.fix for own in problems] == [f'add name="shin{leg}_foot" to it' for leg in range(5)]
    assert found.toml is None


def test_every_guess_is_marked_as_one(alone):
    lines = alone("unitree_a1")[1].toml.splitlines()
    guessed = ("[control]", "[feet]", "[termination]", "[reward]", "[initial_state]")
    for start in (*guessed, "[randomisation]", "nominal =", "max_velocity ="):
        (line,) = [line for line in lines if line.startswith(start)]
        assert "guess" in line


def test_the_command_writes_a_toml_once(tmp_path, capsys):
    mjcf = shutil.copy(MODELS / "nao_v5.xml", tmp_path / "robot.xml")
    toml = mjcf.with_suffix(".toml")
    assert main(["robots", "check", str(mjcf)]) == 0
    assert not toml.exists()
    assert f"robots check {mjcf} --write" in capsys.readouterr().out
    assert main(["robots", "check", str(mjcf), "--write"]) == 0
    assert f"wrote {toml}" in capsys.readouterr().out
    written = toml.read_text()
    assert Robot.load(mjcf).num_feet == 2
    assert main(["robots", "check", str(mjcf), "--write"]) == 2
    assert "overwritten" in capsys.readouterr().err
    assert toml.read_text() == written


def test_the_pose_is_the_same_each_time(alone):
    robot, found = alone("unitree_a1")
    model = mujoco.MjModel.from_xml_path(str(MODELS / "unitree_a1.xml"))
    driven = actuated_hinges(model)
    poses = [find_nominal_pose(model, driven, find_limbs(model, driven)) for _ in range(2)]
    np.testing.assert_array_equal(poses[0].qpos, poses[1].qpos)
    assert "found by search" in found.toml
    np.testing.assert_allclose(poses[0].qpos[robot.qpos_index], robot.nominal, atol=0.006)
