"""Generated robots: repeatable, whole, physically consistent, and able to stand."""

import json
from pathlib import Path

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bodyplan.cli import main
from bodyplan.envs.environment import Environment
from bodyplan.errors import BodyplanError
from bodyplan.robots import registry
from bodyplan.robots.procedural import design_robot, generate_robots
from bodyplan.robots.procedural.body_plans import BodyPlan
from bodyplan.robots.procedural.build_robot import build_design
from bodyplan.robots.robot import Robot

SEEDS = st.integers(0, 2**32)
few = settings(max_examples=12, derandomize=True, deadline=None)


def drawn_plan(seed):
    return BodyPlan.draw(np.random.default_rng(seed))


def posed(robot):
    """The robot in its nominal pose, with all that touches."""
    data = mujoco.MjData(robot.model)
    data.qpos[:] = robot.nominal_qpos
    mujoco.mj_forward(robot.model, data)
    return data


def foot_heights(robot):
    """Height of each foot's lowest point over the floor."""
    data = posed(robot)
    corners = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, -1)

    def lowest(geom):
        size, axes = robot.model.geom_size[geom], data.geom_xmat[geom].reshape(3, 3)
        if robot.model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_SPHERE:
            return data.geom_xpos[geom, 2] - size[0]
        return data.geom_xpos[geom, 2] + (axes @ (corners * size[:, None]))[2].min()

    return [min(lowest(robot.model.geom(geom).id) for geom in foot.geoms) for foot in robot.feet]


def live(robot, steps, scale, seed=0):
    """Step two robots with random actions and see that all stays finite."""
    env = Environment(robot, num_envs=2, threads=1, initial_state="random")
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        step = env.step(scale * rng.normal(size=(2, robot.num_joints)))
        assert np.isfinite(step.reward).all()
        assert (step.reward >= 0.0).all()
        assert all(np.isfinite(part).all() for part in step.observation)
    # MuJoCo starts a simulation that has gone wrong anew, at time zero.
    np.testing.assert_allclose(env.simulator.states[:, 0], 0.02 * steps)


@given(seed=SEEDS, index=st.integers(0, 2**20))
@few
def test_a_seed_and_a_number_are_one_robot(seed, index):
    first, again, other = (
        design_robot(index, seed),
        design_robot(index, seed),
        design_robot(index, seed + 1),
    )
    assert (first.mjcf, first.config) == (again.mjcf, again.config)
    assert first.mjcf != other.mjcf


def test_more_robots_begin_with_the_same_ones():
    few, many = generate_robots(3, seed=5), generate_robots(6, seed=5)
    assert [robot.name for robot in few] == [robot.name for robot in many[:3]]
    assert len({robot.name for robot in many}) == 6
    np.testing.assert_array_equal(few[2].model.body_mass, many[2].model.body_mass)


def test_the_packaged_robots_are_varied_in_turn():
    names = registry.packaged_robots()
    count = 2 * len(names)
    assert [design_robot(index).origin for index in range(0, count, 2)] == list(names)
    assert {design_robot(index).origin for index in range(1, count, 2)} == {None}
    assert repr(design_robot(0)) == f"RobotDesign('{names[0]}_0_0': varied from {names[0]})"


@given(seed=SEEDS, index=st.integers(0, 2**20))
@few
def test_what_is_written_is_the_same_robot(tmp_path_factory, seed, index):
    folder = tmp_path_factory.mktemp("robots")
    own = design_robot(index, seed)
    built, loaded = own.robot(), Robot.load(own.write(folder))
    for name in ("body_mass", "body_inertia", "body_pos", "geom_size", "jnt_range", "qpos0"):
        np.testing.assert_array_equal(getattr(built.model, name), getattr(loaded.model, name))
    for part, other in zip(built.descriptor, loaded.descriptor, strict=True):
        np.testing.assert_array_equal(part, other)
    assert (built.name, built.reward, built.drop_height) == (
        loaded.name,
        loaded.reward,
        loaded.drop_height,
    )
    with pytest.raises(BodyplanError, match="exists"):
        own.write(folder)


@given(seed=SEEDS, index=st.integers(0, 2**20))
@settings(max_examples=6, derandomize=True, deadline=None)
def test_any_generated_robot_has_weight_and_stays_in_order(seed, index):
    robot = design_robot(index, seed).robot()
    assert (robot.model.body_mass[1:] > 0.0).all()
    assert (robot.model.body_inertia[1:] > 0.0).all()
    assert (robot.torque_limit > 0.0).all()
    low, high = robot.joint_range.T
    assert ((low < robot.nominal) & (robot.nominal < high))[low < high].all()
    live(robot, 60, scale=0.0)
    live(robot, 60, scale=1.0, seed=seed)


@given(SEEDS)
@few
def test_new_bodies_stand_on_all_feet_and_touch_nothing_of_their_own(seed):
    robot = build_design(drawn_plan(seed)).robot()
    np.testing.assert_allclose(foot_heights(robot), 0.0, atol=2e-6)
    touching = {
        tuple(robot.model.geom(int(geom)).name for geom in contact.geom)
        for contact in posed(robot).contact
    }
    assert touching <= {("floor", foot.name) for foot in robot.feet}


@pytest.mark.parametrize("legs", range(3, 9))
@pytest.mark.parametrize("sprawled", [False, True])
def test_bodies_with_three_legs_or_more_stand_by_themselves(legs, sprawled):
    joints = 2 + (legs + sprawled) % 4
    robot = build_design(BodyPlan(legs=legs, leg_joints=joints, sprawled=sprawled)).robot()
    env = Environment(robot, threads=1)
    assert not any(env.step(np.zeros((1, robot.num_joints))).terminated[0] for _ in range(250))
    assert env.qpos[0, 2] > 0.9 * robot.drop_height


def test_plans_have_the_limbs_they_ask_for():
    for legs, joints, arms, spine in [(2, 6, 4, True), (3, 5, 0, False), (8, 5, 0, True)]:
        plan = BodyPlan(legs=legs, leg_joints=joints, arm_joints=arms, spine=spine)
        robot = build_design(plan).robot()
        assert (robot.legs, robot.num_feet) == (legs, legs)
        assert robot.num_joints == plan.joints == legs * joints + 2 * arms + spine
        assert robot.mass == pytest.approx(plan.mass, rel=1e-4)


@pytest.mark.parametrize("thigh", [0.3, 0.7])
@pytest.mark.parametrize("bend", [0.65, 0.98])
@pytest.mark.parametrize("legs", [2, 3])
def test_legs_can_be_folded_at_the_bounds_of_a_plan(legs, bend, thigh):
    for joints in range(3, 6):
        for sprawled in {False, legs > 2}:
            plan = BodyPlan(legs=legs, leg_joints=joints, sprawled=sprawled, bend=bend, thigh=thigh)
            robot = build_design(plan).robot()
            low, high = robot.joint_range.T
            assert ((low < robot.nominal) & (robot.nominal < high)).all()
            np.testing.assert_allclose(foot_heights(robot), 0.0, atol=2e-6)


@given(SEEDS)
@few
def test_drawn_plans_leave_room_for_the_paper_s_critic(seed):
    assert drawn_plan(seed).joints <= 24


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"legs": 9}, "legs"),
        ({"leg_joints": 6}, "leg_joints.* 2 to 5"),
        ({"legs": 2, "leg_joints": 2}, "leg_joints.* 3 to 6"),
        ({"arm_joints": 2}, "arm_joints"),
        ({"legs": 2, "leg_joints": 3, "sprawled": True}, "sprawled"),
        ({"mass": float("nan")}, "mass"),
    ],
)
def test_impossible_plans_are_refused_by_name(wrong, named):
    with pytest.raises(BodyplanError, match=named):
        BodyPlan(**wrong)


def test_robots_are_numbered_from_zero():
    with pytest.raises(BodyplanError, match="index"):
        design_robot(-1)
    with pytest.raises(BodyplanError, match="count"):
        generate_robots(-1)


def test_the_command_writes_robots_that_load(capsys, tmp_path):
    out = tmp_path / "robots"
    command = ["robots", "generate", "--count", "3", "--seed", "4", "--out", str(out), "--json"]
    assert main(command) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["relative"] for row in rows] == [
        registry.packaged_robots()[0],
        None,
        registry.packaged_robots()[1],
    ]
    for row in rows:
        robot = Robot.load(out / f"{row['name']}.xml")
        assert (robot.legs, robot.num_joints) == (row["legs"], row["joints"])
        assert robot.mass == pytest.approx(row["mass"], abs=1e-3)


def test_the_command_overwrites_nothing(capsys, tmp_path):
    name = design_robot(1, 0).name
    (tmp_path / f"{name}.toml").write_text("mine")
    assert main(["robots", "generate", "--count", "2", "--out", str(tmp_path)]) == 2
    assert f"{name}.toml exists" in capsys.readouterr().err
    assert [path.name for path in Path(tmp_path).iterdir()] == [f"{name}.toml"]
    assert main(["robots", "generate", "--count", "0", "--out", str(tmp_path)]) == 2
    assert "count" in capsys.readouterr().err
