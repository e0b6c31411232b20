"""Models from elsewhere become robots: servos, welded roots, nameless feet, URDF."""

import json
import shutil
import sys
from pathlib import Path

import mujoco
import numpy as np
import pytest

from bodyplan.cli import main
from bodyplan.envs.environment import Environment
from bodyplan.errors import BodyplanError
from bodyplan.robots.adaptation.convert_model import convert_model
from bodyplan.robots.adaptation.menagerie import find_model_file
from bodyplan.robots.reading.read_model import read_model
from bodyplan.robots.robot import Robot
from bodyplan.robots.validation.check_robot import check_robot

STANDIN = Path(__file__).parent / "data" / "standin"
SERVO = '<position class="hip" name="FL_hip" joint="FL_hip"/>'
OBJ = """v 0 0 0
v 0.05 0 0
v 0 0.05 0
v 0 0 0.05
f 1 3 2
f 1 2 4
f 2 3 4
f 1 4 3
"""


@pytest.fixture
def dog(tmp_path):
    """A quadruped in Menagerie's style, with text replaced, and its meshes."""

    def write(*changes, folder="menagerie"):
        home = tmp_path / folder
        (home / "assets").mkdir(parents=True, exist_ok=True)
        for mesh in ("torso", "leg"):
            (home / "assets" / f"{mesh}.obj").write_text(OBJ)
        text = (STANDIN / "dog.xml").read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (home / "dog.xml").write_text(text)
        return home / "dog.xml"

    return write


def texts(done, kind):
    """The notes of a kind."""
    return [note.text for note in done.notes if note.kind == kind]


def adapted(mjcf, out=None):
    out = out or mjcf.with_name("mine.xml")
    done = convert_model(mjcf, out)
    return done, Robot.load(out)


def test_a_model_in_menageries_style_becomes_a_robot_that_stands(dog):
    mjcf = dog()
    before = mujoco.MjModel.from_xml_path(str(mjcf))
    _, robot = adapted(mjcf)
    model = robot.model
    assert (robot.num_joints, robot.num_feet, robot.kind) == (12, 4, "quadruped")
    assert check_robot(mjcf.with_name("mine.xml")).usable
    np.testing.assert_allclose(model.body_mass, before.body_mass)
    np.testing.assert_allclose(model.body_inertia, before.body_inertia)
    for figure in ("damping", "armature", "frictionloss"):
        np.testing.assert_allclose(*(getattr(own, f"dof_{figure}") for own in (model, before)))
    # The servos' force limits are the motors', and their keyframe is the nominal pose.
    assert robot.torque_limit.tolist() == [25.0, 25.0, 38.0] * 4
    assert not model.actuator_biasprm.any()
    assert (model.actuator_gainprm[:, 0] == 1.0).all()
    assert robot.nominal.tolist() == [0.0, 0.7, -1.4] * 4
    assert [foot.geoms for foot in robot.feet[:3]] == [("FL",), ("FR",), ("HL_shank_foot",)]
    assert robot.termination.contact_geoms == ("torso_shape",)
    environment = Environment(robot, threads=1)
    for _ in range(150):
        step = environment.step(np.zeros((1, 12)))
        assert not step.terminated[0]


def test_the_model_that_was_adapted_is_left_alone(dog):
    mjcf = dog()
    files = {path: path.read_bytes() for path in mjcf.parent.rglob("*") if path.is_file()}
    adapted(mjcf)
    assert {path: path.read_bytes() for path in files} == files


def test_meshes_are_found_from_another_folder(dog, tmp_path):
    mjcf = dog()
    _, robot = adapted(mjcf, tmp_path / "elsewhere" / "mine.xml")
    assert robot.model.nmesh == 2
    # Beside the model, paths are relative: the folder can be moved.
    adapted(mjcf)
    moved = tmp_path / "moved"
    mjcf.parent.rename(moved)
    assert Robot.load(moved / "mine.xml").model.nmesh == 2


def test_an_own_sensor_does_not_disturb_the_feet(dog):
    """The simulator reads contacts by their place among all sensors."""
    mjcf = dog()
    _, robot = adapted(mjcf)
    text = mjcf.with_name("mine.xml").read_text()
    sensor = '<sensor><gyro name="gyro" site="imu"/></sensor></mujoco>'
    sensed = mjcf.with_name("sensed.xml")
    sensed.write_text(text.replace("</mujoco>", sensor))
    shutil.copy(mjcf.with_name("mine.toml"), sensed.with_suffix(".toml"))
    assert Robot.load(sensed).model.nsensordata == robot.model.nsensordata


def test_a_welded_root_gets_a_free_joint(dog):
    key = 'qpos="0 0 0.33 1 0 0 0 0 0.7'
    done, robot = adapted(dog(("<freejoint/>", ""), (key, 'qpos="0 0.7')))
    assert any("'torso' has a free joint" in change for change in texts(done, "changed"))
    assert robot.nominal.tolist() == [0.0, 0.7, -1.4] * 4
    assert robot.drop_height == pytest.approx(0.33, abs=0.01)


def test_a_root_on_rails_gets_a_free_joint_in_their_place(dog):
    rails = '<joint name="x" type="slide" axis="1 0 0"/><joint name="pitch" range="-1 1"/>'
    changes = [("<freejoint/>", rails), ('qpos="0 0 0.33 1 0 0 0 0 0.7', 'qpos="0 0 0 0.7')]
    changes.append(("</actuator>", '<motor name="push" joint="x"/></actuator>'))
    done, robot = adapted(dog(*changes))
    assert any(
        "'torso' has a free joint instead of 'x', 'pitch'" in own for own in texts(done, "changed")
    )
    assert robot.nominal.tolist() == [0.0, 0.7, -1.4] * 4
    assert robot.num_joints == 12


@pytest.mark.parametrize(
    ("actuator", "torque"),
    [
        ('<motor name="m" joint="FL_hip" gear="6" ctrlrange="-4 4" forcelimited="false"/>', 24.0),
        ('<motor name="m" joint="FL_hip" gear="-6" ctrlrange="-4 4" forcerange="-3 3"/>', 18.0),
        ('<general joint="FL_hip" gainprm="5" biastype="none" ctrlrange="-2 2"/>', 10.0),
        ('<velocity joint="FL_hip" kv="3" forcerange="-7 7"/>', 7.0),
        ('<position joint="FL_hip" kp="80" gear="0.5" forcelimited="false"/>', 5.0),
    ],
)
def test_a_motor_has_the_torque_that_the_actuator_had(dog, actuator, torque):
    _, robot = adapted(dog((SERVO, actuator)))
    assert robot.torque_limit[robot.joints.index("FL_hip")] == pytest.approx(torque)


def test_a_joint_limit_that_is_none_is_not_believed(dog):
    limit = '<joint range="-1.2 3.2" actuatorfrcrange="-1000 1000"'
    servo = '<position class="hip" name="FL_hip" joint="FL_hip" kp="200" forcelimited="false"/>'
    done, robot = adapted(dog(('<joint range="-1.2 3.2"', limit), (SERVO, servo)))
    assert robot.torque_limit[robot.joints.index("FL_hip")] == 0.25 * 200
    (guess,) = texts(done, "guessed")
    assert "'FL_hip': 50 N m" in guess


def test_a_model_without_actuators_gets_motors_by_its_weight(dog):
    text = (STANDIN / "dog.xml").read_text()
    actuators = text[text.index("<actuator>") : text.index("</actuator>")]
    control = text[text.index('      ctrl="') : text.index("/>\n  </keyframe>")]
    sensor = '<actuatorfrc name="FL_force" actuator="FL_knee"/>'
    done, robot = adapted(dog((actuators, "<actuator>"), (control, ""), (sensor, "")))
    assert robot.num_joints == 12
    assert robot.torque_limit == pytest.approx(0.5 * robot.mass * 9.81 * 0.424, rel=0.1)
    assert any("torque limits" in guess for guess in texts(done, "guessed"))


def test_settings_meant_for_speed_are_given_up(dog):
    hasty = '<option iterations="1" ls_iterations="5"><flag eulerdamp="disable"/></option>'
    _, robot = adapted(dog(('<option cone="elliptic" impratio="100"/>', hasty)))
    assert robot.model.opt.iterations == 100
    assert not robot.model.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_EULERDAMP.value


def test_a_scene_with_its_own_ground_keeps_one_floor(dog):
    ground = '<geom name="ground" type="plane" size="0 0 1"/></worldbody>'
    _, robot = adapted(dog(("</worldbody>", ground)))
    assert (robot.model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE.value).sum() == 1


URDF_LEG = """
<joint name="{n}_hip" type="revolute"><parent link="base"/><child link="{n}_thigh"/>
 <origin xyz="{x} {y} 0"/><axis xyz="0 1 0"/>
 <limit lower="-1.5" upper="1.5" effort="21" velocity="17"/></joint>
<link name="{n}_thigh"><inertial><origin xyz="0 0 -0.1"/><mass value="0.8"/>
 <inertia ixx="0.003" iyy="0.003" izz="0.001" ixy="0" ixz="0" iyz="0"/></inertial>
 <visual><geometry><mesh filename="package://dog/meshes/gone.dae"/></geometry></visual></link>
<joint name="{n}_knee" type="revolute"><parent link="{n}_thigh"/><child link="{n}_shin"/>
 <origin xyz="0 0 -0.2"/><axis xyz="0 1 0"/>
 <limit lower="-2.5" upper="-0.2" effort="33" velocity="12"/></joint>
<link name="{n}_shin"><inertial><origin xyz="0 0 -0.1"/><mass value="0.2"/>
 <inertia ixx="0.001" iyy="0.001" izz="0.0001" ixy="0" ixz="0" iyz="0"/></inertial></link>
<joint name="{n}_ankle" type="fixed"><parent link="{n}_shin"/><child link="{n}_foot"/>
 <origin xyz="0 0 -0.2"/></joint>
<link name="{n}_foot"><inertial><mass value="0.05"/>
 <inertia ixx="0.0001" iyy="0.0001" izz="0.0001" ixy="0" ixz="0" iyz="0"/></inertial>
 <collision><geometry><sphere radius="0.02"/></geometry></collision></link>
"""
URDF_BASE = """
<link name="base"><inertial><mass value="5"/>
 <inertia ixx="0.02" iyy="0.07" izz="0.08" ixy="0" ixz="0" iyz="0"/></inertial>
 <collision><geometry><box size="0.4 0.15 0.1"/></geometry></collision></link>
"""


def test_a_urdf_becomes_a_robot(tmp_path):
    corners = {"FL": (0.2, 0.1), "FR": (0.2, -0.1), "RL": (-0.2, 0.1), "RR": (-0.2, -0.1)}
    legs = "".join(URDF_LEG.format(n=n, x=x, y=y) for n, (x, y) in corners.items())
    urdf = tmp_path / "dog.urdf"
    urdf.write_text(f'<robot name="dog">{URDF_BASE}{legs}</robot>')
    with pytest.raises(BodyplanError, match="robots adapt"):
        Robot.load(urdf)
    _, robot = adapted(urdf)
    assert (robot.num_joints, robot.num_feet, robot.trunk) == (8, 4, "base")
    assert robot.torque_limit.tolist() == [21.0, 33.0] * 4
    assert robot.max_velocity.tolist() == [17.0, 12.0] * 4
    assert {foot.name for foot in robot.feet} == {f"{leg}_foot" for leg in corners}
    pairs = {frozenset(pair) for pair in robot.reward.symmetry_pairs}
    assert pairs == {frozenset({"FL_foot", "FR_foot"}), frozenset({"RL_foot", "RR_foot"})}
    assert check_robot(tmp_path / "mine.xml").usable


def test_meshes_of_a_urdf_are_found_in_its_package(tmp_path):
    package = tmp_path / "dog"
    (package / "urdf").mkdir(parents=True)
    (package / "meshes").mkdir()
    (package / "meshes" / "base.obj").write_text(OBJ)
    mesh = '<mesh filename="package://dog/meshes/base.obj"/>'
    base = URDF_BASE.replace('<box size="0.4 0.15 0.1"/>', mesh)
    (package / "urdf" / "dog.urdf").write_text(f'<robot name="dog">{base}</robot>')
    spec = read_model(package / "urdf" / "dog.urdf").spec
    assert [own.file for own in spec.meshes] == [str(package / "meshes" / "base.obj")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<mujoco/>", "no body"),
        (
            "<mujoco><worldbody><body><geom size='1'/></body></worldbody></mujoco>",
            "no leg",
        ),
        ("<svg/>", "MuJoCo"),
        ("<mujoco><asset><mesh file='gone.stl'/></asset></mujoco>", r"gone\.stl"),
    ],
)
def test_what_cannot_be_adapted_is_refused(tmp_path, text, message):
    mjcf = tmp_path / "model.xml"
    mjcf.write_text(text)
    with pytest.raises(BodyplanError, match=message):
        convert_model(mjcf, tmp_path / "mine.xml")
    assert not list(tmp_path.glob("mine*"))


def test_the_command_reports_changes_and_overwrites_nothing(dog, capsys):
    mjcf = dog()
    out = mjcf.with_name("mine.xml")
    assert main(["robots", "adapt", str(mjcf), "--out", str(out), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer) == {"changes", "guesses", "dropped", "problems", "file"}
    assert any("12 joints" in change and "servo" in change for change in answer["changes"])
    written = out.read_text(), out.with_suffix(".toml").read_text()
    assert main(["robots", "adapt", str(mjcf), "--out", str(out)]) == 2
    assert f"{out} exists" in capsys.readouterr().err
    assert (out.read_text(), out.with_suffix(".toml").read_text()) == written
    assert main(["robots", "adapt", str(mjcf), "--out", "mine.urdf"]) == 2
    assert main(["robots", "adapt", str(mjcf.with_name("gone.xml")), "--out", "new.xml"]) == 2


def test_a_missing_menagerie_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco_menagerie", None)
    with pytest.raises(BodyplanError, match=r"bodyplan\[robots\]"):
        find_model_file("menagerie:unitree_go1")


def test_a_menagerie_model_is_adapted_by_name(dog, monkeypatch, tmp_path, capsys):
    """With the real package, pointed at a stand-in of its files."""
    pytest.importorskip("mujoco_menagerie")
    mjcf = dog(folder="unitree_go1")
    mjcf.rename(mjcf.with_name("go1.xml"))
    monkeypatch.setenv("MENAGERIE_ROOT", str(tmp_path))
    out = tmp_path / "robots" / "go1.xml"
    assert main(["robots", "adapt", "menagerie:unitree_go1", "--out", str(out)]) == 0
    assert Robot.load(out).model.nmesh == 2
    assert main(["robots", "adapt", "menagerie:unitree_go9", "--out", str(tmp_path / "a.xml")]) == 2
    assert "unitree_go9" in capsys.readouterr().err
