"""The inputs of actor and critic, and their mirror image; against the physics in test_symmetry."""

from dataclasses import replace

import numpy as np

from bodyplan.datasets.policy_snapshots import policy_input
from bodyplan.envs.environment import Environment
from bodyplan.experts.expert_observations import critic_input, mirror_maps
from bodyplan.robots.robot import Robot


def test_the_critic_gets_the_policys_input_first_and_then_the_rest():
    observation = Environment("unitree_go1", num_envs=2, initial_state="random").observation
    policy, critic = policy_input(observation), critic_input(observation)
    assert critic.shape[1] == policy.shape[1] + 4
    np.testing.assert_array_equal(critic[:, : policy.shape[1]], policy)
    general = observation.general
    rest = np.column_stack([general[:, :3], general[:, 12]])
    np.testing.assert_array_equal(critic[:, policy.shape[1] :], rest)


def test_a_symmetric_policy_needs_no_assistance():
    hexapod = Robot.load("hexapod")
    robot = replace(hexapod, expert=replace(hexapod.expert, symmetric=True))
    assert not robot.expert.assisted
    observation = Environment(robot, num_envs=2, initial_state="random", threads=1).observation
    critic, mirror = critic_input(observation), mirror_maps(robot).critic_observations
    assert mirror(mirror(critic)).tolist() == critic.tolist()
