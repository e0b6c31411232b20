"""Faulty robots: each fault is found with its fix, and none hides another."""

import json
import re
import shutil
import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path

import mujoco
import numpy as np
import pytest

from bodyplan.cli import main
from bodyplan.envs.environment import Environment
from bodyplan.errors import BodyplanError
from bodyplan.robots.nominal_pose import simulate_standing
from bodyplan.robots.registry import MODELS, packaged_robots
from bodyplan.robots.robot import Robot
from bodyplan.robots.task_config import TaskConfig
from bodyplan.robots.toml_reader import parse_config
from bodyplan.robots.validation.check_robot import check_robot
from bodyplan.robots.validation.model_checks import model_problems
from bodyplan.robots.validation.problem import only_errors

DOCUMENT = Path(__file__).parents[1] / "docs" / "add_a_robot.md"
MOTOR = '<motor name="FR_hip" joint="FR_hip_joint" ctrlrange="-23.7 23.7"/>'
FLOOR = '<geom name="floor" type="plane" size="100 100 0.125" margin="0" condim="3"/>'
FREE = '<freejoint name="root"/>'
CALF = '<inertial pos="0.00429862 0.000976676 -0.146197" quat="0.691246 0.00357467 0.00511118'
FOOT = '<geom name="FR_foot" class="foot" size="0.023"'
BALL = '<body name="ball"><freejoint/><geom size=".1"/></body>'
COM = "com = 0.0025"

# The file, the text that is replaced in it, the new text, and key words of the problem and the fix.
ERRORS = {
    "no root": (".xml", FREE, "", "'trunk' is fixed", "<freejoint"),
    "held root": (
        ".xml",
        FREE,
        '<joint name="x" type="slide"/><joint name="turn"/>',
        "'x', 'turn'",
        "<freejoint/>",
    ),
    "two roots": (".xml", "</worldbody>", f"{BALL}</worldbody>", "'trunk', 'ball'", "remove"),
    "servo": (
        ".xml",
        MOTOR,
        '<position name="FR_hip" joint="FR_hip_joint" kp="50" forcerange="-9 9"/>',
        "'FR_hip' is a position servo",
        'ctrlrange="-9 9"',
    ),
    "damper": (
        ".xml",
        MOTOR,
        '<velocity name="FR_hip" joint="FR_hip_joint" kv="5"/>',
        "'FR_hip' is a velocity servo",
        "<motor",
    ),
    "gear": (
        ".xml",
        MOTOR,
        MOTOR.replace("ctrlrange", 'gear="6" ctrlrange').replace("23.7", "4"),
        "'FR_hip' has gear 6",
        'gear="1" and ctrlrange="-24 24"',
    ),
    "no ctrlrange": (
        ".xml",
        MOTOR,
        MOTOR.replace('ctrlrange="-23.7 23.7"', 'forcerange="-8 8"'),
        "'FR_hip' has no ctrlrange",
        'ctrlrange="-8 8"',
    ),
    "two motors": (".xml", MOTOR, MOTOR + MOTOR.replace("FR_hip", "x", 1), "2 motors", "leave"),
    "no motor": (".xml", MOTOR, "", "'FR_hip_joint' has no motor", "<motor"),
    "slide": (
        ".xml",
        '<joint name="FR_hip_joint" axis',
        '<joint name="FR_hip_joint" type="slide" axis',
        "'FR_hip_joint' is a slide",
        "hinge",
    ),
    "no range": (
        ".xml",
        '<joint name="FR_hip_joint" axis="1 0 0" range="-0.863 0.863"',
        '<joint name="FR_hip_joint" axis="1 0 0"',
        "'FR_hip_joint' has no range",
        'range="',
    ),
    "ghost foot": (
        ".xml",
        FOOT,
        FOOT + ' contype="0" conaffinity="0"',
        "'FR_foot' cannot touch",
        'contype="1"',
    ),
    "other trunk": (".toml", 'trunk = "trunk"', 'trunk = "FR_hip"', "root", "'trunk'"),
    "unknown key": (".toml", "legs = 4", "legs = 4\nkindd = 1", "kindd is unknown", "'kind'"),
    "unknown table": (".toml", "[initial_state]", "[initial_stat]", "initial_stat", "'initial_st"),
    "unknown range": (".toml", COM, "coms = 0.1", "randomisation.coms is unknown", "'com'"),
    "range of one": (".toml", "foot_size = [0.0225, 0.0235]", "foot_size = [1]", "= [1]", "two"),
    "no table": (".toml", "[control]", "[kontrol]", "[control] is missing", "add_a_robot"),
    "negative": (".toml", "kp = 20.0", "kp = -20", "kp = -20", "positive"),
    "twice": (".toml", '"FR_thigh_joint"', '"FR_hip_joint"', "'FR_hip_joint' twice", "leave one"),
    "posed joint": (
        ".toml",
        "symmetry_pairs",
        'nominal_pose_joints = ["FR_hp_joint"]\nsymmetry_pairs',
        "'FR_hp_joint'",
        "'FR_hip_joint'",
    ),
}
ENDS = {
    "touching": (
        ".toml",
        'contact_geoms = ["trunk_1"',
        'contact_geoms = ["FR_foot"',
        "'FR_foot'",
        "contact_geoms",
    ),
    "too low": (
        ".toml",
        "[termination]",
        "[termination]\nmin_height = 0.5",
        "min_height 0.5",
        "min_height = 0.18",
    ),
}
WARNINGS = {
    "lopsided": (".xml", MOTOR, MOTOR.replace("-23.7", "-9"), "23.7", "symmetric"),
    "tilted": (
        ".xml",
        '<body name="trunk">',
        '<body name="trunk" euler="1 0 0">',
        "root body is tilted",
        "z points up",
    ),
    "ground": (".xml", 'name="floor"', 'name="ground"', "'ground'", 'name="floor"'),
    "sunken": (".xml", FLOOR, FLOOR.replace("/>", ' pos="0 0 -1"/>'), "level", "0 0 0"),
    "hasty": (".xml", "<option", '<option iterations="1"', "solver", "iterations"),
    "grams": (".xml", 'mass="5.204"', 'mass="5204"', "5.21e+03 kg", "units"),
    "out of range": (".toml", "nominal = [-0.1", "nominal = [-1.0", "range", "nominal"),
    "too high": (".toml", "drop_height = 0.325", "drop_height = 0.4", "above", "= 0.3248"),
    "too deep": (".toml", "drop_height = 0.325", "drop_height = 0.3", "in the floor", "= 0.3248"),
    "limp": (".toml", "kp = 20.0", "kp = 2.0", "falls", "kp"),
}


@pytest.fixture
def faulty(tmp_path):
    """A packaged robot's two files in another folder, with text replaced in one of them."""

    def edit(suffix, old, new):
        for path in MODELS.glob("unitree_go1.*"):
            if not (tmp_path / path.name).exists():
                shutil.copy(path, tmp_path)
        path = tmp_path / f"unitree_go1{suffix}"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        return tmp_path / "unitree_go1.xml"

    return edit


def matching(problems, severity, problem, fix):
    """The problems of a severity with these key words."""
    return [
        own
        for own in problems
        if own.severity == severity and problem in own.problem and fix in own.fix
    ]


def test_contact_figures_of_unlike_sign_which_mujoco_ignores_are_refused(faulty):
    with pytest.raises(BodyplanError, match='solref="-1000 80".*two negative'):
        Robot.load(faulty(".xml", FOOT, FOOT + ' solref="-1000 80"'))


@pytest.mark.parametrize("name", packaged_robots())
def test_nothing_is_wrong_with_the_packaged_robots(name):
    found = check_robot(MODELS / f"{name}.xml")
    assert [str(own) for own in found.problems if own.severity != "note"] == []


@pytest.mark.parametrize("fault", ERRORS)
def test_a_fault_is_found_by_the_check_and_by_loading(faulty, fault):
    suffix, old, new, problem, fix = ERRORS[fault]
    mjcf = faulty(suffix, old, new)
    found = check_robot(mjcf)
    assert not found.usable
    own = matching(found.problems, "error", problem, fix)
    assert len(own) == 1, found.problems
    assert own[0].where == str(mjcf.with_suffix(suffix))
    with pytest.raises(BodyplanError) as refused:
        Robot.load(mjcf)
    sentence = str(refused.value)
    assert any(sentence.startswith(str(error)) for error in only_errors(found.problems))
    assert (" more: bodyplan robots check" in sentence) == (len(only_errors(found.problems)) > 1)


@pytest.mark.parametrize("fault", ENDS)
def test_a_robot_whose_episodes_end_at_their_start_is_unusable(faulty, fault):
    *edit, problem, fix = ENDS[fault]
    found = check_robot(faulty(*edit))
    assert matching(found.problems, "error", problem, fix), found.problems


@pytest.mark.parametrize("fault", WARNINGS)
def test_a_likely_mistake_is_a_warning(faulty, fault):
    *edit, problem, fix = WARNINGS[fault]
    found = check_robot(faulty(*edit))
    assert matching(found.problems, "warning", problem, fix), found.problems
    assert found.usable


def test_faults_do_not_hide_one_another(faulty):
    several = ("servo", "no range", "ghost foot", "other trunk", "posed joint", "unknown key")
    for name in several:
        mjcf = faulty(*ERRORS[name][:3])
    found = only_errors(check_robot(mjcf).problems)
    assert len(found) == len(several)
    for name in several:
        assert matching(found, "error", *ERRORS[name][3:])


def test_geoms_inside_each_other_are_named(faulty):
    mjcf = faulty(
        ".xml", '<geom name="FR_foot"', '<geom name="horn" size="0.2"/><geom name="FR_foot"'
    )
    clashes = matching(check_robot(mjcf).problems, "warning", "is inside", "<exclude>")
    assert clashes
    assert all("'horn'" in own.problem for own in clashes)


def test_a_joint_too_light_for_its_gains_gets_an_armature(faulty):
    faulty(".xml", 'armature="0.01"', 'armature="0"')
    faulty(".xml", 'damping="1"', 'damping="0"')
    mjcf = faulty(".toml", "kd = 0.5", "kd = 2.0")
    assert matching(check_robot(mjcf).problems, "warning", "", 'armature="0.04"')


@pytest.mark.parametrize(
    ("old", "limit"),
    [("/>", ' forcerange="-5 9"/>'), ('<joint name="FR_hip_joint"', ' actuatorfrcrange="-5 9"')],
)
def test_the_smaller_torque_limit_is_taken(faulty, old, limit):
    new = limit if old == "/>" else old + limit
    place = MOTOR if old == "/>" else old
    mjcf = faulty(".xml", place, place.replace(old, new))
    (note,) = matching(check_robot(mjcf).problems, "note", "'FR_hip_joint'", "5 N m")
    assert "forcerange" in note.problem
    robot = Robot.load(mjcf)
    assert robot.torque_limit[robot.joints.index("FR_hip_joint")] == 5.0


@pytest.mark.parametrize(
    ("text", "problem", "fix"),
    [
        ("no XML", "well-formed", "correct"),
        ("<svg/>", "MuJoCo", "correct"),
        ("<mujoco/>", "no body", "<worldbody>"),
        (
            "<mujoco><worldbody><body><freejoint/><body name='leg'><joint/></body></body>"
            "</worldbody></mujoco>",
            "mass and inertia",
            "mass",
        ),
        (
            '<robot name="r"><link name="l"><collision><geometry><sphere radius="1"/></geometry>'
            "</collision></link></robot>",
            "URDF",
            "robots adapt",
        ),
        ('<robot name="r"><link name="l"/></robot>', "<collision>", "<visual>"),
        ('<mujoco><include file="gone.xml"/></mujoco>', "gone.xml", "path"),
    ],
)
def test_a_file_that_is_no_robot_is_refused(tmp_path, text, problem, fix):
    mjcf = tmp_path / "robot.xml"
    mjcf.write_text(text)
    found = check_robot(mjcf)
    assert matching(found.problems, "error", problem, fix), found.problems
    assert found.toml is None


LEG = """<mujoco><worldbody><body name="trunk"><freejoint/><geom size="0.1"/>
<body name="leg"><joint name="hip" range="-1 1"/><geom size="0.1"/>
<body><joint name="rod" type="slide"/><geom size="0.1"/></body></body></body></worldbody>
<tendon><fixed name="cord"><joint joint="hip" coef="1"/></fixed></tendon>
<actuator>{}</actuator></mujoco>"""


@pytest.mark.parametrize(
    ("actuator", "problem", "fix"),
    [
        ("", "no actuator", "<motor"),
        ('<motor joint="rod" ctrlrange="-1 1"/>', "no hinge", "<motor"),
        ('<motor tendon="cord" ctrlrange="-1 1"/>', "tendon", "joint"),
        ('<damper joint="hip" ctrlrange="0 1"/>', "variable gain", "<motor"),
        ('<intvelocity joint="hip" actrange="-1 1"/>', "internal state", "<motor"),
    ],
)
def test_actuators_other_than_motors_are_errors(actuator, problem, fix):
    model = mujoco.MjModel.from_xml_string(LEG.format(actuator))
    assert matching(model_problems("leg.xml", model), "error", problem, fix)


def test_a_root_without_a_name_is_an_error():
    text = LEG.format('<motor joint="hip" ctrlrange="-1 1"/>').replace('name="trunk"', "")
    problems = model_problems("leg.xml", mujoco.MjModel.from_xml_string(text))
    assert matching(problems, "error", "root body", "name=")


def test_a_broken_toml_hides_no_problem_of_the_model(faulty):
    faulty(*ERRORS["no range"][:3])
    problems = check_robot(faulty(".toml", "[feet]", "[feet")).problems
    assert matching(problems, "error", "TOML", "correct")
    assert matching(problems, "error", *ERRORS["no range"][3:])
    assert len(problems) == 2


def test_a_missing_table_hides_no_problem_of_the_model(faulty):
    faulty(*ERRORS["no range"][:3])
    problems = check_robot(faulty(".toml", "[joints]", "[joint]")).problems
    assert matching(problems, "error", "[joints] is missing", "")
    assert matching(problems, "error", *ERRORS["no range"][3:])


@pytest.mark.parametrize("name", ["unitree_h1", "cassie", "unitree_go1", "hexapod"])
def test_a_robot_without_actions_stands_or_falls_as_in_the_environment(load, name):
    robot = load(name)
    environment, fallen = Environment(robot, threads=1), None
    for count in range(1, 101):
        step = environment.step(np.zeros((1, robot.num_joints)))
        if step.terminated[0]:
            fallen = pytest.approx(count * 0.02, abs=0.021)  # contacts are sensed a step later
            break
    end = simulate_standing(robot, 2.0)
    assert end.fall_time == fallen
    assert end.height == pytest.approx(environment.qpos[0, 2], abs=0.02)


def test_each_missing_mesh_is_named(faulty):
    meshes = '<asset><mesh file="a.stl"/><mesh file="b.obj"/></asset>'
    mjcf = faulty(".xml", "<worldbody>", f"{meshes}<worldbody>")
    problems = [own.problem for own in check_robot(mjcf).problems]
    assert len(problems) == 2
    for problem, name in zip(problems, ("a.stl", "b.obj"), strict=True):
        assert str(mjcf.parent / name) in problem


def test_the_documented_toml_is_right_and_names_every_key():
    blocks = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (text,) = [block for block in blocks if "drop_height" in block]
    content = tomllib.loads(text)
    config, problems = parse_config("docs", content)
    assert problems == []
    assert config is not None
    for own in fields(TaskConfig):
        if own.name not in ("feet", "joints") and is_dataclass(own.type):
            assert set(content[own.name]) == {key.name for key in fields(own.type)}, own.name


def test_the_command_exits_with_2_for_errors_only(faulty, capsys):
    mjcf = faulty(*WARNINGS["out of range"][:3])
    assert main(["robots", "check", str(mjcf)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("warning ")
    assert "can be used" in text
    faulty(*ERRORS["unknown key"][:3])
    assert main(["robots", "check", str(mjcf)]) == 2
    assert "1 error" in capsys.readouterr().out


def test_the_command_answers_in_json(faulty, capsys):
    mjcf = faulty(*ERRORS["no range"][:3])
    assert main(["robots", "check", str(mjcf), "--json"]) == 2
    problems = json.loads(capsys.readouterr().out)
    assert {"severity", "where", "problem", "fix"} == set(problems[0])
    assert [own["severity"] for own in problems] == ["error"]
    assert main(["robots", "check", str(mjcf.with_name("gone.xml")), "--json"]) == 2
    assert "gone.xml" in json.loads(capsys.readouterr().out)[0]["problem"]


def test_a_check_takes_names_and_text_paths_and_shows_itself_shortly(faulty):
    good = check_robot("unitree_go1")
    assert repr(good).splitlines()[0] == "RobotCheck(usable: no problem)"
    for name in ("servo", "no range", "ghost foot", "unknown key"):
        mjcf = faulty(*ERRORS[name][:3])
    lines = repr(check_robot(str(mjcf))).splitlines()
    assert lines[0].startswith("RobotCheck(not usable: 4 errors")
    assert 4 < len(lines) < 15
    with pytest.raises(BodyplanError, match="unitree_go1"):
        check_robot("unitree_go")
