"""The action prior: it does what larger gains would do, and is nothing where none is asked for."""

from dataclasses import replace

import numpy as np
import pytest

from bodyplan.datasets.policy_snapshots import policy_input
from bodyplan.envs.environment import Environment
from bodyplan.experts.action_prior import MAX_BALANCING_ACTION, make_action_prior
from bodyplan.robots.model_parameters import TorqueLaw, ideal_motors
from bodyplan.robots.nominal_pose import balancing_torques
from bodyplan.robots.robot import Robot

COUNT = 6


def in_motion(robot):
    """Observations of a few robots, and their joints' positions and velocities."""
    environment = Environment(robot, num_envs=COUNT, initial_state="random", seed=1, threads=1)
    simulator = environment.simulator
    positions = simulator.qpos[:, robot.qpos_index].copy()
    return environment.observation, positions, simulator.qvel[:, robot.qvel_index].copy()


@pytest.mark.parametrize("name", ["unitree_h1", "talos", "cassie"])
def test_a_prior_acts_as_larger_gains_would(name):
    robot = Robot.load(name)
    robot = replace(robot, expert=replace(robot.expert, balanced=False))
    settings, errors = robot.expert, ideal_motors(robot.num_joints)
    observation, positions, velocities = in_motion(robot)
    observations = policy_input(observation)
    prior = make_action_prior(robot, observations.shape[1])
    actions = np.random.default_rng(0).normal(0.0, 0.1, (COUNT, robot.num_joints))
    parameters = robot.parameters
    soft = TorqueLaw.of(parameters, errors).torque(
        prior.add_to(actions, observations), positions, velocities
    )
    # A firmer PD law with the same targets: what the action moves them by is divided among gains.
    stiff = parameters._replace(
        kp=settings.stiffness * parameters.kp,
        kd=settings.damping * parameters.kd,
        action_scale=parameters.action_scale / settings.stiffness,
    )
    firm = TorqueLaw.of(stiff, errors).torque(actions, positions, velocities)
    np.testing.assert_allclose(soft, firm, rtol=1e-4, atol=1e-2)


def test_the_constant_part_is_gravitys():
    robot = Robot.load("unitree_h1")
    observations = policy_input(in_motion(robot)[0])
    prior = make_action_prior(robot, observations.shape[1])
    still = np.zeros((1, observations.shape[1]), np.float32)
    law = TorqueLaw.of(robot.parameters, ideal_motors(robot.num_joints))
    standing = law.torque(prior(still), robot.nominal, 0.0 * robot.nominal)
    np.testing.assert_allclose(standing[0], balancing_torques(robot), atol=0.5)
    assert np.abs(prior.bias).max() <= MAX_BALANCING_ACTION


def test_actions_with_a_prior_are_bounded():
    robot = Robot.load("unitree_h1")
    observations = policy_input(in_motion(robot)[0])
    prior = make_action_prior(robot, observations.shape[1])
    far = prior.add_to(np.full((COUNT, robot.num_joints), 50.0), observations)
    assert (far == 10.0).all()


def test_a_robot_that_asks_for_none_has_none():
    assert make_action_prior(Robot.load("unitree_go1"), 53) is None
