"""The environment an expert trains in: stages of the curriculum, prior, assistance, commands."""

import numpy as np
import pytest

from bodyplan.envs.environment import Environment
from bodyplan.experts.assistance import AssistanceProgress
from bodyplan.experts.curriculum import make_curriculum
from bodyplan.experts.expert_config import ExpertConfig
from bodyplan.experts.training_environment import TrainingEnvironment
from bodyplan.robots.robot import Robot

COUNT = 16


@pytest.fixture(scope="module")
def stage():
    """The first stage with assistance; tests change single settings of it."""
    robot = Robot.load("unitree_h1")
    curriculum = make_curriculum(robot, ExpertConfig("unitree_h1"), 10_000_000, 0.99)
    return curriculum.stage(0, AssistanceProgress())


def make(robot, stage, command="forward"):
    config = ExpertConfig(robot, command, threads=1)
    return TrainingEnvironment(Robot.load(robot), config, COUNT, 250, stage)


def test_time_limits_do_not_coincide_also_when_they_become_short(stage):
    environment = make("unitree_h1", stage)
    assert len(np.unique(environment.task.elapsed_steps)) > COUNT // 2
    environment.task.elapsed_steps[:] = 200
    environment.enter_stage(stage._replace(episode_steps=60))
    assert environment.task.horizon == 60
    assert len(np.unique(environment.task.elapsed_steps)) > COUNT // 2
    assert environment.task.elapsed_steps.max() < 60


def test_episodes_go_on_in_other_physics(stage):
    environment = make("unitree_h1", stage, "both")
    environment.step(np.zeros((COUNT, 19)), environment.policy_input())
    before = environment.task
    environment.enter_stage(stage._replace(physics="reference", penalty_scale=0.7))
    after = environment.task
    assert (before.physics, after.physics) == ("fast", "reference")
    assert (after.horizon, after.penalty_scale) == (250, 0.7)
    assert after.rng is before.rng
    for name, array in before.state_dict().items():
        np.testing.assert_array_equal(after.state_dict()[name], array, err_msg=name)


def test_without_help_it_is_the_plain_task(stage):
    environment = make("unitree_go1", stage._replace(penalty_scale=1.0))
    environment.enter_stage(environment.stage)
    plain = Environment("unitree_go1", "forward", COUNT, "fast", threads=1)
    plain.load_state_dict(environment.task.state_dict())
    plain.horizon = environment.task.horizon
    actions = np.random.default_rng(0).normal(0.0, 0.3, (COUNT, 12))
    step, expected = environment.step(actions, environment.policy_input()), plain.step(actions)
    for array, other in zip(step[1:], expected[1:], strict=True):
        np.testing.assert_array_equal(array, other)


def test_a_step_acts_by_policy_and_prior_and_ends_where_trunks_sink(stage):
    environment = make("unitree_h1", stage)
    observations = environment.policy_input()
    actions = np.random.default_rng(0).normal(0.0, 0.3, (COUNT, 19)).astype(np.float32)
    environment.assistance.shares[:] = 0.0
    environment.task.simulator.qpos[:4, 2] *= 0.7
    step = environment.step(actions, observations)
    together = environment.action_prior.add_to(actions, observations)
    np.testing.assert_allclose(step.observation.joints[:, :, 2], together / 10.0, atol=1e-6)
    assert step.terminated[:4].all()
    assert not step.terminated.all()


def test_only_the_critic_observes_the_assistance(stage):
    environment = make("unitree_h1", stage)
    scale = environment.assistance.scale
    np.testing.assert_allclose(environment.critic_input()[:, -1], scale, rtol=1e-6)
    assert np.abs(environment.policy_input() - scale[:, None]).min() > 0.0
    all_robots = np.ones(COUNT, bool)
    environment.reset(all_robots)
    assert (environment.assistance.scale != scale).all()


def test_episodes_that_start_draw_a_command_each(stage):
    environment = make("unitree_h1", stage._replace(full_speed_share=0.0), "both")
    before = environment.task.command.copy()
    assert len(np.unique(before[:, 0])) == COUNT
    done = np.arange(COUNT) < 5
    environment.reset(done)
    changed = (environment.task.command != before).any(axis=1)
    np.testing.assert_array_equal(changed, done)
