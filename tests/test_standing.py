"""The action that holds a robot up, and a policy that begins from it."""

import jax
import numpy as np
import pytest

from bodyplan.datasets.experts import policy_input
from bodyplan.envs.environment import Environment
from bodyplan.learn import ppo
from bodyplan.learn.ppo import PPOConfig
from bodyplan.learn.standing import standing_action, stood_up
from bodyplan.robots.robot import Robot


def heights(robot, action):
    """Of the trunk after two seconds under one action, in the task's own physics."""
    environment = Environment(robot, threads=1)
    for _ in range(100):
        environment.step(action[None])
    return environment.qpos[0, 2], environment.qpos[0, robot.qpos_index]


@pytest.mark.parametrize("name", ["anymal_c", "anymal_b"])
def test_a_heavy_robot_stands_as_its_pose_wants(name):
    robot = Robot.load(name)
    sagging, _ = heights(robot, np.zeros(robot.num_joints))
    standing, joints = heights(robot, standing_action(robot))
    assert sagging < 0.8 * robot.drop_height
    assert standing > 0.9 * robot.drop_height
    np.testing.assert_allclose(joints, robot.nominal, atol=0.1)


def test_a_policy_begins_from_it():
    robot = Robot.load("anymal_c")
    observation = Environment(robot, num_envs=3, initial_state="random").observation
    senses = policy_input(observation)
    fresh = ppo.init(jax.random.PRNGKey(0), PPOConfig(), senses.shape[1], 5, 12, 0.5)
    mean = stood_up(fresh, robot).actor(senses) - fresh.actor(senses)
    np.testing.assert_allclose(mean, np.tile(standing_action(robot), (3, 1)), atol=1e-4)
