"""Assistance: its forces by hand, what they do in the simulator, and when they are withdrawn."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from bodyplan.envs.simulator import Simulator
from bodyplan.experts.assistance import (
    Assistance,
    AssistanceGains,
    AssistanceSchedule,
    assistance_gains,
    guiding_force,
    holding_wrench,
    upright_rotation,
)
from bodyplan.robots.robot import Robot

ROBOT = Robot.load("unitree_h1")
GAINS = AssistanceGains(1.0, 500.0, 40.0, 300.0, (6.0, 8.0), 2.0, guidance=20.0)
SCHEDULE = AssistanceSchedule()
STILL = np.zeros((1, 3))


def posed(roll=0.0, pitch=0.0, yaw=0.0, height=1.0):
    """Positions and velocities of one robot whose trunk lies so."""
    qpos, qvel = np.zeros((1, 7)), np.zeros((1, 6))
    x, y, z, w = Rotation.from_euler("ZYX", [yaw, pitch, roll]).as_quat()
    qpos[0] = [0.3, -0.2, height, w, x, y, z]
    return qpos, qvel


@pytest.mark.parametrize("yaw", [0.0, 1.0, -2.5])
@pytest.mark.parametrize("angle", [0.02, -0.5, 1.2])
def test_the_rotation_that_sets_a_trunk_upright_undoes_its_tilt(angle, yaw):
    np.testing.assert_allclose(
        upright_rotation(posed(roll=angle, yaw=yaw)[0]), [[-angle, 0, 0]], atol=1e-9
    )
    np.testing.assert_allclose(
        upright_rotation(posed(pitch=angle, yaw=yaw)[0]), [[0, -angle, 0]], atol=1e-9
    )


def test_lift_and_torque_by_hand():
    qpos, qvel = posed(roll=0.1, height=0.9)
    qvel[0] = [5.0, 5.0, 0.2, 0.3, 0.4, 0.5]
    lift, torque = holding_wrench(GAINS, qpos, qvel)
    assert lift[0] == pytest.approx(500.0 * 0.1 - 40.0 * 0.2)
    by_hand = [-300.0 * 0.1 - 6.0 * 0.3, -8.0 * 0.4, -2.0 * 0.5]
    np.testing.assert_allclose(torque[0], by_hand, atol=1e-9)


def test_the_guiding_force_is_proportional_to_the_velocity_error_in_heading():
    qpos, qvel = posed(yaw=np.pi / 2)
    qvel[0, :3] = [0.1, 0.4, 0.3]  # m/s in the world: 0.4 forward, 0.1 to the right
    pull = guiding_force(GAINS, qpos, qvel, np.array([[1.0, 0.0, 0.0]]))
    np.testing.assert_allclose(pull, [[-20.0 * 0.1, 20.0 * 0.6, 0.0]], atol=1e-9)


def test_only_robots_that_ask_for_it_are_guided():
    assert assistance_gains(ROBOT).guidance == 0.0
    led = replace(ROBOT, expert=replace(ROBOT.expert, led=True))
    assert assistance_gains(led).guidance == pytest.approx(10.0 * ROBOT.mass)


def test_a_guided_robot_that_does_nothing_is_pulled_along():
    robot = Robot.load("robotis_op3")
    robot = replace(robot, expert=replace(robot.expert, led=True))
    simulator = Simulator(robot, 1, threads=1)
    assistance = Assistance(robot, 1, np.random.default_rng(0))
    assistance.shares[:] = 1.0
    for _ in range(100):
        simulator.wrench = assistance.wrench(simulator, np.array([[1.0, 0.0, 0.0]]))
        simulator.step(np.zeros((1, robot.num_joints)))
    assert simulator.qpos[0, 0] > 0.2
    assert not assistance.has_fallen(simulator)[0]


def test_full_assistance_is_stiff_in_proportion_to_weight_and_height():
    full = assistance_gains(ROBOT)
    weight = ROBOT.mass * 9.81
    assert full.upright == pytest.approx(3.0 * weight * ROBOT.drop_height)
    # Hanging on the spring alone, the trunk sinks by 8 % of its height.
    assert weight / full.lift == pytest.approx(0.08 * ROBOT.drop_height)


def test_a_wrench_on_the_trunk_obeys_newton():
    simulator = Simulator(ROBOT, 2, threads=1)
    qpos = np.tile(ROBOT.nominal_qpos, (2, 1))
    qpos[:, 2] += 5.0  # in the air
    simulator.reset(np.ones(2, bool), qpos, np.zeros(ROBOT.model.nv))
    simulator.wrench = np.zeros((2, 6))
    simulator.wrench[0, :3] = force = np.array([30.0, -20.0, ROBOT.mass * 9.81])
    simulator.step(np.zeros((2, ROBOT.num_joints)))
    pushed, falling = (momentum(simulator, index) for index in (0, 1))
    np.testing.assert_allclose(pushed - falling, force * 0.02, rtol=1e-2, atol=1e-2)


def momentum(simulator, index):
    data = mujoco.MjData(ROBOT.model)
    data.qpos[:], data.qvel[:] = simulator.qpos[index], simulator.qvel[index]
    mujoco.mj_forward(ROBOT.model, data)
    mujoco.mj_subtreeVel(ROBOT.model, data)
    return ROBOT.mass * data.subtree_linvel[ROBOT.model.body(ROBOT.trunk).id]


def test_a_wrench_of_nothing_changes_nothing():
    free, held = (Simulator(ROBOT, 3, threads=1) for _ in range(2))
    held.wrench = np.zeros((3, 6))
    for _ in range(3):
        action = np.full((3, ROBOT.num_joints), 0.1)
        free.step(action)
        held.step(action)
    np.testing.assert_array_equal(free.states, held.states)


def test_full_assistance_keeps_a_robot_up_that_would_fall():
    def height(assisted):
        simulator = Simulator(ROBOT, 1, threads=1)
        assistance = Assistance(ROBOT, 1, np.random.default_rng(0))
        assistance.shares[:] = 1.0
        for _ in range(150):
            if assisted:
                simulator.wrench = assistance.wrench(simulator, STILL)
            simulator.step(np.zeros((1, ROBOT.num_joints)))
        return simulator.qpos[0, 2], assistance.has_fallen(simulator)[0]

    assert height(assisted=True)[0] > 0.9 * ROBOT.drop_height
    assert not height(assisted=True)[1]
    assert height(assisted=False)[1]


def at(level=0.5, fall_rate=0.001, velocity_error=0.1):
    """Assistance of four robots at this progress."""
    assistance = Assistance(ROBOT, 4, np.random.default_rng(0))
    assistance.progress = replace(
        assistance.progress, level=level, fall_rate=fall_rate, velocity_error=velocity_error
    )
    return assistance


def test_shares_are_of_the_level_and_lift_goes_as_the_square():
    assistance, simulator = at(level=0.5), Simulator(ROBOT, 4, threads=1)
    simulator.qpos[:, 2] -= 0.1
    simulator.qpos[:, 3:7] = posed(roll=0.2)[0][0, 3:]
    assistance.shares[:] = [0.0, 0.2, 0.6, 1.0]
    wrench = assistance.wrench(simulator, STILL)
    np.testing.assert_allclose(wrench[:, 2] / wrench[3, 2], assistance.shares**2)
    np.testing.assert_allclose(wrench[:, 3] / wrench[3, 3], assistance.shares)
    assert wrench[3, 2] == pytest.approx(0.25 * assistance.gains.lift * 0.1)
    assert wrench[3, 3] == pytest.approx(-0.5 * assistance.gains.upright * 0.2)
    assert (wrench[:, :2] == 0.0).all()


@pytest.mark.parametrize(
    ("fall_rate", "velocity_error", "factor"),
    [
        (1 / 1000, 0.1, SCHEDULE.fast_factor),
        (1 / 400, 0.1, SCHEDULE.factor),
        (1 / 1000, 0.6, SCHEDULE.slow_factor),
        (1 / 200, 0.1, 1.0),
        (1 / 100, 0.1, 1 / SCHEDULE.factor),
    ],
)
def test_the_level_falls_as_robots_stay_up_and_rises_as_they_fall(
    fall_rate, velocity_error, factor
):
    assistance = at(fall_rate=fall_rate, velocity_error=velocity_error)
    assistance.update_level(fall_rate, velocity_error, 100)
    assert assistance.progress.level == pytest.approx(0.5 * factor)
    assert assistance.progress.fall_rate == pytest.approx(fall_rate)


def test_the_level_is_never_above_full_and_ends_for_good():
    weak = at(level=1.0, fall_rate=0.1)
    weak.update_level(0.1, 0.1, 100)
    assert weak.progress.level == 1.0
    strong = at(level=1.001 * SCHEDULE.end_below)
    strong.update_level(0.0, 0.1, 300)
    assert (strong.progress.level, strong.progress.ended) == (0.0, 300)
    strong.update_level(0.5, 2.0, 400)
    assert (strong.progress.level, strong.progress.ended) == (0.0, 300)
    assert strong.wrench(Simulator(ROBOT, 4, threads=1), STILL) is None
