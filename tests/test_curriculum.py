"""What a course asks for at each stage, and what it pays, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from bodyplan.envs.environment import Environment
from bodyplan.experts.assistance import AssistanceProgress
from bodyplan.experts.curriculum import (
    HIGHEST_PAY,
    IDLE,
    LOWEST_PAY,
    AssistedCurriculum,
    first_spread,
)
from bodyplan.robots.robot import Robot

ROBOT = Robot.load("unitree_h1")
WEANING = AssistedCurriculum(ROBOT.reward, first_spread(ROBOT), 10_000_000)
HARD, FINE = WEANING.hardening, WEANING.refining


def after(steps):
    """The moment so many steps after the help has ended."""
    return WEANING.moment(int(5000 + steps), AssistanceProgress(level=0.0, ended=5000))


def test_under_help_pay_is_easy_and_loudness_goes_with_the_help():
    full, half = (WEANING.moment(9000, AssistanceProgress(level=level)) for level in (1.0, 0.5))
    assert (full.penalties, full.guide, full.discount, full.exact) == (0.2, 0.5, 0.97, 0.3)
    np.testing.assert_allclose(full.bounds.largest_std, WEANING.spread, rtol=1e-6)
    np.testing.assert_allclose(half.bounds.largest_std, 0.675 * WEANING.spread, rtol=1e-6)


def test_then_penalties_rise_and_then_the_task_itself_is_paid():
    first, hard, end = after(0), after(HARD), after(HARD + FINE)
    assert (first.penalties, hard.penalties, end.penalties) == (0.3, 1.0, 1.0)
    assert (first.guide, hard.guide, end.guide) == (0.25, 0.25, 0.0)
    assert (first.discount, hard.discount, end.discount) == (0.98, 0.98, 0.99)
    assert (first.exact, end.exact) == (0.3, 1.0)
    assert float(end.bounds.learning_rate) == pytest.approx(3e-4)
    np.testing.assert_allclose(end.bounds.largest_std, 0.2 * WEANING.spread, rtol=1e-6)
    assert end.physics is None


def test_at_last_episodes_are_short_and_then_quiet_and_in_the_physics_of_the_task():
    def moment(steps):
        return WEANING.moment(steps, AssistanceProgress(level=0.0, ended=1))

    assert (moment(7_999_999).horizon, moment(8_000_000).horizon) == (None, 60)
    loud, quiet = moment(9_199_999), moment(9_200_000)
    assert (loud.physics, quiet.physics) == (None, "reference")
    least = np.maximum(0.04, 0.075 * WEANING.spread)
    np.testing.assert_allclose(quiet.bounds.largest_std, least, rtol=1e-6)
    assert loud._replace(bounds=None, physics="reference") == quiet._replace(bounds=None)
    helped = WEANING.moment(9_500_000, AssistanceProgress(level=0.1))
    assert (helped.physics, helped.horizon) == (
        None,
        None,
    )  # who is still held has other things to learn


def test_joints_that_should_stay_nominal_are_quieter():
    spread = dict(zip(ROBOT.joints, first_spread(ROBOT), strict=True))
    assert spread["knee_angle_l"] == ROBOT.expert.initial_std
    assert spread["back_bkz"] == pytest.approx(IDLE * ROBOT.expert.initial_std)


def one_step():
    environment = Environment(ROBOT, "forward", 16, initial_state="random", seed=2, threads=1)
    action = np.random.default_rng(0).normal(0.0, 0.3, (16, ROBOT.num_joints))
    return environment.step(action), environment.command


def test_the_terms_of_a_step_are_its_reward_before_it_is_clipped():
    step, _ = one_step()
    np.testing.assert_allclose(
        step.reward, np.maximum(step.reward_terms.sum(axis=1), 0.0), atol=1e-6
    )
    assert (step.reward_terms.sum(axis=1) < 0.0).any()


def test_pay_by_hand():
    step, command = one_step()
    moment = WEANING.moment(0, AssistanceProgress(level=0.5))
    paid = WEANING.pay(moment, step, command)
    for n in range(len(paid)):
        (vx, vy, wz), (cx, cy, cz) = step.velocity[n], command[n]
        near, turn = (vx - cx) ** 2 + (vy - cy) ** 2, (wz - cz) ** 2
        sharp = 2.0 * np.exp(-near / 0.25) + 1.0 * np.exp(-turn / 0.25)
        wide = 2.0 * np.exp(-near) + 1.0 * np.exp(-turn)
        penalties = step.reward_terms[n, 2:].sum() / 0.02
        expected = 0.02 * (0.5 * sharp + 0.5 * wide + 1.0 + 0.2 * penalties)
        assert paid[n] == pytest.approx(np.clip(expected, LOWEST_PAY, HIGHEST_PAY), rel=1e-5)


def test_pay_does_not_depend_on_the_coefficients_unit():
    step, command = one_step()
    moment = WEANING.moment(0, AssistanceProgress(level=0.5))
    names = ("tracking_xy", "tracking_yaw")
    twice = {name: 2.0 * getattr(ROBOT.reward, name) for name in names}
    doubled = AssistedCurriculum(
        replace(ROBOT.reward, **twice), WEANING.spread, 10_000_000, alive=2.0
    )
    step2 = step._replace(reward_terms=2.0 * step.reward_terms)
    inside = np.abs(WEANING.pay(moment, step, command)) < -LOWEST_PAY
    np.testing.assert_allclose(
        doubled.pay(moment, step2, command)[inside], WEANING.pay(moment, step, command)[inside]
    )
