"""The settings at each stage of a curriculum, and its rewards, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from bodyplan.envs.environment import Environment
from bodyplan.experts.assistance import AssistanceProgress
from bodyplan.experts.curriculum import (
    MAX_STEP_REWARD,
    MIN_STEP_REWARD,
    NOMINAL_JOINT_NOISE,
    AssistedCurriculum,
    RampCurriculum,
    initial_action_std,
    make_curriculum,
)
from bodyplan.experts.expert_config import ExpertConfig
from bodyplan.robots.robot import Robot

ROBOT = Robot.load("unitree_h1")
CURRICULUM = AssistedCurriculum(ROBOT.reward, initial_action_std(ROBOT), 10_000_000)
RAMP, REFINEMENT = CURRICULUM.penalty_ramp_steps, CURRICULUM.refinement_steps


def after(steps):
    """The stage so many steps after the assistance has ended."""
    return CURRICULUM.stage(int(5000 + steps), AssistanceProgress(level=0.0, ended=5000))


def test_under_assistance_rewards_are_easy_and_noise_falls_with_the_level():
    full, half = (CURRICULUM.stage(9000, AssistanceProgress(level=level)) for level in (1.0, 0.5))
    assert (full.penalty_scale, full.wide_share, full.discount) == (0.2, 0.5, 0.97)
    assert full.full_speed_share == 0.3
    std = CURRICULUM.initial_std
    np.testing.assert_allclose(full.limits.max_std, std, rtol=1e-6)
    np.testing.assert_allclose(half.limits.max_std, 0.675 * std, rtol=1e-6)


def test_then_penalties_rise_and_then_the_reward_becomes_that_of_the_task():
    first, ramped, end = after(0), after(RAMP), after(RAMP + REFINEMENT)
    assert (first.penalty_scale, ramped.penalty_scale, end.penalty_scale) == (0.3, 1.0, 1.0)
    assert (first.wide_share, ramped.wide_share, end.wide_share) == (0.25, 0.25, 0.0)
    assert (first.discount, ramped.discount, end.discount) == (0.98, 0.98, 0.99)
    assert (first.full_speed_share, end.full_speed_share) == (0.3, 1.0)
    assert float(end.limits.max_learning_rate) == pytest.approx(3e-4)
    np.testing.assert_allclose(end.limits.max_std, 0.2 * CURRICULUM.initial_std, rtol=1e-6)
    assert end.physics is None


def test_at_last_episodes_are_short_and_then_noise_is_small_in_reference_physics():
    def stage(steps):
        return CURRICULUM.stage(steps, AssistanceProgress(level=0.0, ended=1))

    assert (stage(7_999_999).episode_steps, stage(8_000_000).episode_steps) == (None, 60)
    noisy, quiet = stage(9_199_999), stage(9_200_000)
    assert (noisy.physics, quiet.physics) == (None, "reference")
    least = np.maximum(0.04, 0.075 * CURRICULUM.initial_std)
    np.testing.assert_allclose(quiet.limits.max_std, least, rtol=1e-6)
    assert noisy._replace(limits=None, physics="reference") == quiet._replace(limits=None)
    # A robot that still has assistance has other things to learn.
    assisted = CURRICULUM.stage(9_500_000, AssistanceProgress(level=0.1))
    assert (assisted.physics, assisted.episode_steps) == (None, None)


def test_joints_that_should_stay_nominal_have_less_noise():
    std = dict(zip(ROBOT.joints, initial_action_std(ROBOT), strict=True))
    assert std["knee_angle_l"] == ROBOT.expert.initial_std
    assert std["back_bkz"] == pytest.approx(NOMINAL_JOINT_NOISE * ROBOT.expert.initial_std)


@pytest.fixture(scope="module")
def stepped():
    """One control step of some robots under random actions, and their commands."""
    environment = Environment(ROBOT, "forward", 16, initial_state="random", seed=2, threads=1)
    action = np.random.default_rng(0).normal(0.0, 0.3, (16, ROBOT.num_joints))
    return environment.step(action), environment.command


def test_the_terms_of_a_step_are_its_reward_before_it_is_clipped(stepped):
    step, _ = stepped
    np.testing.assert_allclose(
        step.reward, np.maximum(step.reward_terms.sum(axis=1), 0.0), atol=1e-6
    )
    assert (step.reward_terms.sum(axis=1) < 0.0).any()


def test_the_assisted_reward_by_hand(stepped):
    step, command = stepped
    stage = CURRICULUM.stage(0, AssistanceProgress(level=0.5))
    rewards = CURRICULUM.shaped_reward(stage, step, command)
    for n in range(len(rewards)):
        (vx, vy, wz), (cx, cy, cz) = step.velocity[n], command[n]
        planar, yaw = (vx - cx) ** 2 + (vy - cy) ** 2, (wz - cz) ** 2
        sharp = 2.0 * np.exp(-planar / 0.25) + 1.0 * np.exp(-yaw / 0.25)
        wide = 2.0 * np.exp(-planar) + 1.0 * np.exp(-yaw)
        penalties = step.reward_terms[n, 2:].sum() / 0.02
        expected = 0.02 * (0.5 * sharp + 0.5 * wide + 1.0 + 0.2 * penalties)
        expected = np.clip(expected, MIN_STEP_REWARD, MAX_STEP_REWARD)
        assert rewards[n] == pytest.approx(expected, rel=1e-5)


def test_the_assisted_reward_does_not_depend_on_the_coefficients_unit(stepped):
    step, command = stepped
    stage = CURRICULUM.stage(0, AssistanceProgress(level=0.5))
    names = ("tracking_xy", "tracking_yaw")
    twice = {name: 2.0 * getattr(ROBOT.reward, name) for name in names}
    doubled = AssistedCurriculum(
        replace(ROBOT.reward, **twice), CURRICULUM.initial_std, 10_000_000, alive_reward=2.0
    )
    rewards = CURRICULUM.shaped_reward(stage, step, command)
    doubled_rewards = doubled.shaped_reward(
        stage, step._replace(reward_terms=2.0 * step.reward_terms), command
    )
    inside = np.abs(rewards) < -MIN_STEP_REWARD
    np.testing.assert_allclose(doubled_rewards[inside], rewards[inside])


@pytest.fixture(scope="module")
def ramp():
    """The curriculum of a robot that stands without help, as a run makes it."""
    robot = Robot.load("unitree_go1")
    curriculum = make_curriculum(robot, ExpertConfig("unitree_go1"), 6_000_000, 0.99)
    assert isinstance(curriculum, RampCurriculum)
    return curriculum


def test_penalties_rise_and_wide_tracking_fades_over_the_ramp(ramp):
    stages = [ramp.stage(steps, None) for steps in (0, 1_000_000, 2_000_000, 6_000_000)]
    scales = [(stage.penalty_scale, stage.wide_share) for stage in stages]
    assert scales == [(0.1, 0.5), (pytest.approx(0.55), 0.25), (1.0, 0.0), (1.0, 0.0)]
    assert {stage.discount for stage in stages} == {0.99}


def test_noise_is_held_up_during_the_ramp_and_falls_to_its_last_share_after_it(ramp):
    initial, quiet_from = ramp.settings.initial_std, ramp.settings.quiet_from
    first, ramped, last = (ramp.stage(n, None) for n in (0, 2_000_000, int(6e6 * quiet_from) + 1))
    assert (float(first.limits.min_std), float(ramped.limits.min_std)) == (
        pytest.approx(initial),
        pytest.approx(0.05),
    )
    assert float(ramped.limits.max_std) == pytest.approx(initial)
    assert float(last.limits.max_std) == pytest.approx(0.2 * initial)
    rate = ramp.settings.final_learning_rate
    assert float(last.limits.max_learning_rate) == pytest.approx(rate)


def test_the_ramp_reward_mixes_the_tasks_with_wide_tracking_by_hand(stepped, ramp):
    step, command = stepped
    ramp = replace(ramp, coefficients=ROBOT.reward)
    rewards = ramp.shaped_reward(ramp.stage(1_000_000, None), step, command)
    error = np.square(step.velocity - command)
    wide = 2.0 * np.exp(-error[:, 0] - error[:, 1]) + 1.0 * np.exp(-error[:, 2])
    # A quarter is wide; the best step of H1 is worth 0.02 * 3, which is the unit.
    np.testing.assert_allclose(rewards, 0.75 * step.reward + 0.25 * 0.02 * wide, rtol=1e-5)
