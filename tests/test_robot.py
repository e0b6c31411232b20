"""Robots against data/published_parameters.json, and the messages of faulty files.

The table holds each robot's parameters as the original task compiles them, to 6 significant digits:
body and joint constants, the frames of joints and feet at the nominal pose, and the task's lists.
"""

import json
import shutil
from pathlib import Path

import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from bodyplan.envs.environment import Environment
from bodyplan.errors import BodyplanError
from bodyplan.robots.registry import MODELS, packaged_robots
from bodyplan.robots.robot import Robot

DATA = Path(__file__).parent / "data"
PUBLISHED = json.loads((DATA / "published_parameters.json").read_text())
REWARD_NAMES = {
    "tracking_xy_velocity_command_coeff": "tracking_xy",
    "tracking_yaw_velocity_command_coeff": "tracking_yaw",
    "z_velocity_coeff": "z_velocity",
    "pitch_roll_vel_coeff": "roll_pitch_velocity",
    "pitch_roll_pos_coeff": "roll_pitch",
    "joint_nominal_diff_coeff": "nominal_pose",
    "joint_position_limit_coeff": "joint_limit",
    "joint_acceleration_coeff": "acceleration",
    "joint_torque_coeff": "torque",
    "action_rate_coeff": "action_rate",
    "collision_coeff": "collision",
    "base_height_coeff": "height",
    "air_time_coeff": "air_time",
    "symmetry_air_coeff": "symmetry",
}

# Bittle's lists name shapes that in the original are there to be seen, and touch nothing.
CANNOT_COLLIDE = {
    "bittle": {f"{leg}_thigh_1" for leg in ("LB", "LF", "RB", "RF")}
    | {"trunk_1", "trunk_3", "trunk_5"}
}

every_robot = pytest.mark.parametrize("name", sorted(PUBLISHED))


def close(actual, expected, scale=0.0):
    """Within 1e-5 of each number, or of `scale` where that is larger."""
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5 * scale)


def column(table, figure):
    return [row[figure] for row in table.values()]


def ends(table, figure):
    return table[f"{figure}_min"], table[f"{figure}_max"]


@pytest.fixture
def copy(tmp_path):
    """A packaged robot's two files in another folder, with text replaced in one of them."""

    def edit(suffix, old, new):
        for path in MODELS.glob("unitree_go1.*"):
            shutil.copy(path, tmp_path)
        path = tmp_path / f"unitree_go1{suffix}"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        return tmp_path / "unitree_go1.xml"

    return edit


def test_the_packaged_robots_are_those_of_the_table():
    assert set(PUBLISHED) == set(packaged_robots())
    assert len(PUBLISHED) == 16


@every_robot
def test_bodies_have_the_published_mass_and_inertia(load, name):
    robot, bodies = load(name), PUBLISHED[name]["bodies"]
    model = robot.model
    assert [model.body(i).name for i in range(1, model.nbody)] == list(bodies)
    close(robot.mass, PUBLISHED[name]["total_mass"])
    for body, figures in bodies.items():
        own = model.body(body)
        assert model.body(own.parentid[0]).name == figures["parent"]
        close(own.mass, figures["mass"])
        close(own.ipos, figures["inertial_pos"], scale=0.1)
        axes = Rotation.from_quat(own.iquat, scalar_first=True).as_matrix()
        other = Rotation.from_quat(figures["inertial_quat"], scalar_first=True).as_matrix()
        inertia = other @ np.diag(figures["diaginertia"]) @ other.T
        close(axes @ np.diag(own.inertia) @ axes.T, inertia, scale=np.abs(inertia).max())


@every_robot
def test_joints_have_the_published_order_and_parameters(load, name):
    robot, joints = load(name), PUBLISHED[name]["joints"]
    model = robot.model
    assert robot.joints == tuple(joints)
    assert robot.num_joints == len(joints) == model.nu
    assert [model.body(body).name for body in robot.joint_bodies] == column(joints, "body")
    close(robot.joint_range, column(joints, "range"))
    close(robot.torque_limit, column(joints, "torque"))
    close(model.jnt_stiffness[robot.joint_ids], column(joints, "stiffness"))
    dofs = {"damping": model.dof_damping, "armature": model.dof_armature}
    for figure, array in (dofs | {"frictionloss": model.dof_frictionloss}).items():
        close(array[robot.qvel_index], column(joints, figure))


@every_robot
def test_joints_and_feet_are_where_published_at_the_nominal_pose(load, name):
    robot, figures = load(name), PUBLISHED[name]
    data = mujoco.MjData(robot.model)
    data.qpos[:] = robot.nominal_qpos
    mujoco.mj_kinematics(robot.model, data)
    trunk = data.body(robot.trunk)
    np.testing.assert_array_equal(trunk.xmat.reshape(3, 3), np.eye(3))
    assert trunk.xpos.tolist() == [0.0, 0.0, figures["task"]["drop_height"]]
    joints, ids = figures["joints"], robot.joint_ids
    close(data.xaxis[ids], column(joints, "axis"), scale=1.0)
    close(data.xanchor[ids] - trunk.xpos, column(joints, "anchor"), scale=0.1)
    # A foot's place as its descriptor speaks of it: undo the scaling into the box.
    inside = (robot.descriptor.feet[:, :3] + 1.0) / 2.0
    feet = robot.box_min + inside * robot.box_size
    assert [foot.name for foot in robot.feet] == list(figures["feet"])
    close(feet, list(figures["feet"].values()), scale=0.1)


@every_robot
def test_the_task_config_is_the_published_one(load, name):
    robot, task = load(name), PUBLISHED[name]["task"]
    for figure in ("nominal", "max_velocity", "box_min", "box_size"):
        close(getattr(robot, figure), task[figure])
    for figure in ("kp", "kd", "action_scale", "drop_height"):
        assert getattr(robot, figure) == task[figure]
    assert {foot.name: sorted(foot.geoms) for foot in robot.feet} == task["floor_geoms"]
    reward = robot.reward
    unseen = CANNOT_COLLIDE.get(name, set())
    assert set(robot.termination.contact_geoms) == set(task["termination"]) - unseen
    assert robot.termination.min_height == task["min_height"]
    assert set(reward.collision_geoms) == set(task["collision"]) - unseen
    assert set(reward.trunk_geoms) == set(task["collision_trunk"]) - unseen
    assert list(reward.nominal_pose_joints) == task["nominal_pose_joints"]
    assert [list(pair) for pair in reward.symmetry_pairs] == task["symmetry_pairs"]
    for published, own in REWARD_NAMES.items():
        assert getattr(reward, own) == task["reward"][published], own
    start, ranges = robot.initial_state, task["initial_state"]
    assert start.roll_pitch == ranges["roll_angle_factor"] == ranges["pitch_angle_factor"]
    assert start.joint_position == ranges["nominal_joint_position_factor"]
    assert start.joint_velocity == ranges["joint_velocity_factor"]
    assert start.linear_velocity == ranges["max_linear_velocity"]
    assert start.angular_velocity == ranges["max_angular_velocity"]
    assert robot.tracking_ceiling == pytest.approx(20.0 * (reward.tracking_xy * 1.5))


@every_robot
def test_ranges_of_randomisation_are_the_published_ones(load, name):
    own, table = load(name).randomisation, PUBLISHED[name]["task"]["randomisation"]
    seen, hidden, world = table["seen_robot"], table["unseen_robot"], table["mujoco_model"]
    push, noise = table["perturbation"], table["observation_noise"]
    one_sided = {
        "trunk_mass": "add_trunk_mass",
        "com": "add_com_displacement",
        "nominal": "add_joint_nominal_position",
        "joint_range": "add_joint_range",
        "kp": "add_p_gain",
        "kd": "add_d_gain",
        "action_scale": "add_scaling_factor",
    }
    for figure, published in one_sided.items():
        size = getattr(own, figure)
        assert (-size, size) == ends(seen, published), figure
    assert own.foot_size == ends(seen, "foot_size")
    assert own.torque_limit == seen["torque_limit_factor"]
    assert own.max_velocity == seen["joint_velocity_factor"]
    for figure in ("damping", "armature", "stiffness", "friction_loss"):
        redraw, key = getattr(own, figure), f"joint_{figure}"
        if redraw.between:
            assert redraw.between == ends(seen, key)
        elif redraw.add:
            assert (-redraw.add, redraw.add) == ends(seen, f"add_{key}")
        else:
            assert redraw.factor == seen[f"{key}_factor"]
        assert own.hidden_joint_share == hidden[f"{key}_factor"]
    for figure in ("trunk_mass", "com_displacement", "motor_strength", "p_gain", "d_gain"):
        assert own.hidden_share == hidden[f"{figure}_factor"]
    assert own.hidden_foot_share == hidden["foot_size_factor"]
    assert own.hidden_offset == hidden["position_offset"]
    worldly = {
        "friction": "friction_tangential",
        "floor_torsion": "friction_torsional_ground",
        "foot_torsion": "friction_torsional_feet",
        "floor_rolling": "friction_rolling_ground",
        "foot_rolling": "friction_rolling_feet",
        "contact_stiffness": "stiffness",
        "contact_damping": "damping",
        "gravity": "gravity",
    }
    for figure, published in worldly.items():
        assert getattr(own, figure) == ends(world, published), figure
    for axis in "xyz":
        assert (-own.push, own.push) == ends(push, f"push_velocity_{axis}")
    assert own.push_growth == push["additive_multiplier"]
    assert own.mixed_delay == table["action_delay"]["mixed_chance"]
    assert own.joint_position_noise == noise["joint_position_noise"]
    assert own.joint_velocity_noise == noise["joint_velocity_noise"]
    assert own.angular_velocity_noise == noise["trunk_angular_velocity_noise"]
    assert own.gravity_noise == noise["gravity_vector_noise"]
    assert own.dropout == table["observation_dropout"]["dynamic_dropout_chance"]


@every_robot
def test_observations_and_states_have_the_published_layout(load, name):
    robot, task = load(name), PUBLISHED[name]["task"]
    size = 26 * robot.num_joints + 12 * robot.num_feet + 20
    assert size == task["observation_size"]
    np.testing.assert_array_equal(robot.qpos_index, task["qpos_index"])
    np.testing.assert_array_equal(robot.qvel_index, task["qvel_index"])
    close(robot.nominal_qpos, task["nominal_qpos"])


@every_robot
def test_joints_without_a_motor_have_the_published_parameters(load, name):
    model, passive = load(name).model, PUBLISHED[name]["passive_joints"]
    names = {model.joint(i).name for i in range(model.njnt)}
    assert names == {*PUBLISHED[name]["joints"], *passive, "root"}
    for joint, figures in passive.items():
        own = model.joint(joint)
        assert model.body(model.jnt_bodyid[own.id]).name == figures["body"]
        close(own.stiffness, figures["stiffness"])
        for figure in ("damping", "armature", "frictionloss"):
            close(getattr(own, figure), figures[figure])
        if "range" in figures:
            close(own.range, figures["range"])


@every_robot
def test_a_robot_without_actions_stands_or_falls_as_published(load, name):
    """The original falls in the step that the table has; without one it stands for 20 s."""
    robot, fall = load(name), PUBLISHED[name]["task"]["zero_action_fall"]
    environment, steps = Environment(robot, threads=1), 0
    rest, terminated = np.zeros((1, robot.num_joints)), False
    while not terminated and steps < 200:
        step, steps = environment.step(rest), steps + 1
        terminated = step.terminated[0]
    if fall is None:
        # After 4 s the trunk rests; Bittle is so light that it keeps trembling.
        assert not terminated
        assert np.abs(environment.simulator.qvel[0, :6]).max() < (0.5 if name == "bittle" else 0.02)
    else:
        assert terminated
        assert abs(steps - fall) <= 3


def test_cassies_legs_close_their_loops(load):
    robot = load("cassie")
    data = mujoco.MjData(robot.model)
    data.qpos[:] = robot.nominal_qpos
    mujoco.mj_forward(robot.model, data)
    assert robot.model.neq == 4
    gaps = np.linalg.norm(data.efc_pos[: 3 * robot.model.neq].reshape(-1, 3), axis=1)
    assert gaps.max() < 2e-3  # m; the published pose closes them to 1.5 mm


def test_the_joints_of_the_golden_files_are_at_the_same_places(load, recorded):
    for name in ("unitree_go1", "unitree_h1", "cassie", "hexapod"):
        golden, robot = recorded(name), load(name)
        assert robot.joints == tuple(golden["joint_names"])
        assert [foot.name for foot in robot.feet] == golden["foot_names"].tolist()
        np.testing.assert_array_equal(robot.qpos_index, golden["joint_qpos_index"])
        np.testing.assert_array_equal(robot.qvel_index, golden["joint_qvel_index"])


def test_the_users_own_robot_is_read_by_its_path(copy, load):
    own = Robot.load(copy(".toml", "kp = 20.0", "kp = 21"))
    assert (own.name, own.kp) == ("unitree_go1", 21.0)
    np.testing.assert_array_equal(
        own.descriptor.joints[:, :16], load(own.name).descriptor.joints[:, :16]
    )


def test_one_number_stands_for_all_joints(copy):
    old = f"max_velocity = {[30.1, 30.1, 20.06] * 4}"
    for number in ("21", "21.0"):
        robot = Robot.load(copy(".toml", old, f"max_velocity = {number}"))
        assert robot.max_velocity.tolist() == [21.0] * 12


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(BodyplanError, match=r"'unitree_go7'.*anymal_c"):
        Robot.load("unitree_go7")


def test_a_missing_file_is_named(copy, tmp_path):
    with pytest.raises(BodyplanError, match=r"nowhere\.xml does not exist"):
        Robot.load(tmp_path / "nowhere.xml")
    mjcf = copy(".xml", "trunk", "trunk")
    mjcf.with_suffix(".toml").unlink()
    with pytest.raises(BodyplanError, match=r"unitree_go1\.toml does not exist"):
        Robot.load(mjcf)


FAULTS = {
    "broken TOML": (".toml", "[feet]", "[feet", r"unitree_go1\.toml: .*TOML"),
    "broken MJCF": (".xml", "</worldbody>", "", r"unitree_go1\.xml"),
    "missing entry": (".toml", "drop_height", "fall_height", r"\.toml: drop_height"),
    "unknown coefficient": (".toml", "action_rate =", "action_hate =", "'action_rate'"),
    "text for a number": (".toml", "kp = 20.0", "kp = 'stiff'", r"control\.kp = 'stiff'"),
    "no table of a foot": (".toml", '{ geoms = ["FR_foot"] }', "3", r"feet\.FR_foot = 3"),
    "foot geom": (".toml", '["FR_foot"] }', '["FR_hoof"] }', "'FR_hoof'"),
    "terminating geom": (".toml", '"trunk_3"]', '"trunk_9"]', "'trunk_9'"),
    "trunk": (".toml", 'trunk = "trunk"', 'trunk = "torso"', "'torso'"),
    "joint name": (".toml", '"RL_calf_joint"', '"RL_shin_joint"', "'RL_shin_joint'"),
    "symmetry pair": (".toml", '[["FR_foot"', '[["FX_foot"', "'FX_foot'"),
    "nominal angles": (".toml", "[-0.1, -0.8, 1.5, ", "[", r"joints\.nominal"),
    "box": (".toml", "box_min = [-0.404681, ", "box_min = [", r"box_min"),
    "joint without motor": (
        ".xml",
        '<motor name="RL_calf" joint="RL_calf_joint" ctrlrange="-35.55 35.55"/>',
        "",
        "'RL_calf_joint'.*motor",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_is_named_with_what_is_wrong(copy, fault):
    suffix, old, new, message = FAULTS[fault]
    with pytest.raises(BodyplanError, match=message):
        Robot.load(copy(suffix, old, new))


def test_a_robot_shows_itself_in_one_line_and_as_a_table(load):
    robot = load("unitree_go1")
    assert repr(robot) == "Robot('unitree_go1': quadruped, 12 joints, 4 feet, 12.7 kg)"
    table = robot._repr_html_()
    assert "<table>" in table
    assert "Unitree Go1" in table
