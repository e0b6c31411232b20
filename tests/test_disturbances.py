"""Disturbances: each does what it says, nothing else, and nothing at all where it is off."""

from dataclasses import replace

import numpy as np
import pytest

from bodyplan.envs.disturbances import (
    NO_DISTURBANCES,
    TRAINING_DISTURBANCES,
    Disturbances,
    apply_push,
)
from bodyplan.envs.environment import Environment
from bodyplan.errors import BodyplanError

ALL_ON = replace(TRAINING_DISTURBANCES, redraw=0.05, pushes=0.1, commands=0.1)


@pytest.fixture
def environment(load):
    def build(disturbances=NO_DISTURBANCES, name="unitree_go1", **others):
        robot = load(name)
        ranges = others.pop("ranges", {})
        robot = replace(robot, randomisation=replace(robot.randomisation, **ranges))
        settings = {"num_envs": 8, "threads": 1, "initial_state": "random"} | others
        return Environment(robot, disturbances=disturbances, **settings)

    return build


def live(environment, steps=20, seed=0):
    rng = np.random.default_rng(seed)
    shape = (environment.num_envs, environment.robot.num_joints)
    return [environment.step(0.3 * rng.normal(size=shape)) for _ in range(steps)]


def everything(step):
    return [*step.observation, *step[1:]]


def test_the_clean_task_is_the_same_for_every_robot_of_a_nominal_start(environment):
    env = environment(initial_state="nominal")
    for _ in range(20):
        step = env.step(np.full((8, 12), 0.2))
        for part in everything(step):
            np.testing.assert_array_equal(part, np.broadcast_to(part[:1], part.shape))
    assert env.descriptor is env.robot.descriptor


def test_all_conditions_together_leave_finite_steps_and_rewards_above_zero(environment):
    for name in ("unitree_go1", "cassie", "talos", "bittle"):
        env = environment(ALL_ON, name, command="random")
        for step in live(env, 60):
            assert all(np.isfinite(part).all() for part in everything(step))
            assert (step.reward >= 0.0).all()
            env.reset(step.terminated | step.truncated)


def test_bodies_are_drawn_anew_at_each_reset_and_only_then(environment):
    env = environment(Disturbances(randomise=True))
    first = env.descriptor.joints.copy()
    assert len(np.unique(first[:, 0, 8])) == 8  # torque limits, all different
    live(env, 10)
    np.testing.assert_array_equal(env.descriptor.joints, first)
    mask = np.arange(8) < 3
    env.reset(mask)
    changed = (env.descriptor.joints != first).any(axis=(1, 2))
    np.testing.assert_array_equal(changed, mask)
    redrawn = environment(Disturbances(randomise=True, redraw=1.0))
    before = redrawn.descriptor.joints.copy()
    live(redrawn, 1)
    assert (redrawn.descriptor.joints != before).any(axis=(1, 2)).all()


def test_observation_and_reward_speak_of_each_body_as_it_is(environment):
    env = environment(Disturbances(randomise=True), initial_state="nominal")
    parameters, nominal = env.simulator.parameters, env.robot.nominal
    told = env.observation.joints[..., 0] * 4.6
    np.testing.assert_allclose(told, nominal - parameters.nominal, atol=1e-6)
    assert np.abs(told).max() > 1e-3


def test_random_commands_are_drawn_at_each_reset(environment):
    env = environment(command="random", num_envs=200)
    first = env.command.copy()
    assert (np.abs(first) <= 1.0).all()
    assert np.abs(first).max(axis=0).min() > 0.95
    np.testing.assert_allclose(env.observation.general[:, 6:9], first, atol=1e-7)
    live(env, 3)
    np.testing.assert_array_equal(env.command, first)
    env.reset(np.arange(200) < 100)
    np.testing.assert_array_equal((env.command != first).any(axis=1), np.arange(200) < 100)


def test_a_reset_may_bring_a_command_for_one_episode(environment):
    env = environment()
    wanted = np.tile([0.5, 0.0, 0.2], (8, 1))
    env.reset(np.arange(8) < 3, wanted)
    np.testing.assert_array_equal(env.command[:3], wanted[:3])
    np.testing.assert_array_equal(env.command[3:], np.tile([1.0, 0.0, 0.0], (5, 1)))
    np.testing.assert_allclose(env.observation.general[:, 6:9], env.command, atol=1e-7)
    env.reset()
    assert (env.command == [1.0, 0.0, 0.0]).all()


def test_commands_may_change_within_an_episode_and_the_reward_follows(environment):
    env, fixed = (
        environment(Disturbances(commands=share), num_envs=400, initial_state="nominal")
        for share in (0.25, 0.0)
    )
    assert (env.command == [1.0, 0.0, 0.0]).all()
    step, other = live(env, 1)[0], live(fixed, 1)[0]
    changed = (env.command != [1.0, 0.0, 0.0]).any(axis=1)
    assert changed.mean() == pytest.approx(0.25, abs=0.06)
    np.testing.assert_allclose(step.observation.general[:, 6:9], env.command, atol=1e-7)
    np.testing.assert_array_equal(step.reward[~changed], other.reward[~changed])
    gain = tracking(step.velocity, env.command) - tracking(step.velocity, fixed.command)
    paid = (step.reward > 0.0) & (other.reward > 0.0)  # so that no clip at zero plays a part
    assert (changed & paid).sum() > 10
    np.testing.assert_allclose((step.reward - other.reward)[paid], gain[paid], atol=1e-6)


def tracking(velocity, command):
    """The tracking reward of go1, before penalties."""
    squares = np.square(velocity - command)
    return 0.02 * (2 * np.exp(-squares[:, :2].sum(axis=1) / 0.25) + np.exp(-squares[:, 2] / 0.25))


def test_a_push_changes_the_trunks_velocity_and_nothing_else(environment):
    pushed, calm = (environment(Disturbances(pushes=share), seed=1) for share in (1.0, 0.0))
    live(pushed, 1)
    live(calm, 1)
    np.testing.assert_array_equal(pushed.qpos, calm.qpos)
    difference = pushed.simulator.qvel - calm.simulator.qvel
    assert (difference[:, :3] != 0.0).all()
    assert (difference[:, 3:] == 0.0).all()


def test_half_of_the_pushes_set_the_velocity_and_half_add_to_it(load):
    ranges, rng = load("unitree_go1").randomisation, np.random.default_rng(0)
    after = apply_push(ranges, rng, np.full((4000, 3), 10.0))
    replaced = (after < 5.0).all(axis=1)
    assert replaced.mean() == pytest.approx(0.5, abs=0.03)
    assert np.abs(after[replaced]).max() <= ranges.push
    added = after[~replaced] - 10.0
    assert ranges.push < np.abs(added).max() <= ranges.push_growth * ranges.push


def test_noise_is_sensed_and_changes_no_future(environment):
    noisy, clean = (environment(Disturbances(noise=flag)) for flag in (True, False))
    limits = noisy.robot.randomisation
    for step, told in zip(live(noisy), live(clean), strict=True):
        for one, two in zip(step[1:], told[1:], strict=True):
            np.testing.assert_array_equal(one, two)
        joints, feet, general = (
            a - b for a, b in zip(step.observation, told.observation, strict=True)
        )
        assert 0.0 < np.abs(joints[..., 0]).max() <= limits.joint_position_noise / 4.6 + 1e-6
        assert 0.0 < np.abs(joints[..., 1]).max() <= limits.joint_velocity_noise / 35.0 + 1e-6
        assert 0.0 < np.abs(general[:, 9:12]).max() <= limits.gravity_noise + 1e-6
        assert 0.0 < np.abs(general[:, 3:6]).max() <= limits.angular_velocity_noise / 50.0 + 1e-6
        untouched = [joints[..., 2], feet, general[:, :3], general[:, 6:9], general[:, 12]]
        assert all((part == 0.0).all() for part in untouched)
    np.testing.assert_array_equal(noisy.simulator.states, clean.simulator.states)


def test_what_drops_out_is_sensed_as_missing(environment):
    share = 0.3
    env = environment(Disturbances(dropout=True), ranges={"dropout": share}, num_envs=200)
    clean = environment(num_envs=200)
    seen, told = live(env, 1)[0].observation, live(clean, 1)[0].observation
    joints = (seen.joints == 0.0).all(axis=2)
    feet = (seen.feet == -1.0).all(axis=2) & ~(told.feet == -1.0).all(axis=2)
    assert joints.mean() == pytest.approx(share, abs=0.05)
    assert feet.any()
    np.testing.assert_array_equal(seen.joints[~joints], told.joints[~joints])
    np.testing.assert_array_equal(seen.general, told.general)


def test_late_actions_are_those_of_the_step_before(environment):
    on = {"mixed_delay": 1.0}
    env = environment(Disturbances(randomise=True), ranges=on, num_envs=64, initial_state="nominal")
    rng, before = np.random.default_rng(0), np.zeros((64, 12))
    shares = []
    for _ in range(20):
        given = rng.normal(size=(64, 12))
        sensed = 10.0 * env.step(given).observation.joints[..., 2]
        late = np.isclose(sensed, before, atol=1e-5).all(axis=1)
        assert (late | np.isclose(sensed, given, atol=1e-5).all(axis=1)).all()
        shares.append(late.mean())
        before = given
    assert np.mean(shares) == pytest.approx(0.5, abs=0.05)


def test_a_snapshot_under_all_conditions_goes_on_to_the_same_bits(environment):
    original, later = (environment(ALL_ON, command="random", seed=seed) for seed in (0, 7))
    live(original, 20)
    saved, state = original.state_dict(), original.rng.bit_generator.state
    told = live(original, 20, seed=1)
    later.load_state_dict(saved)
    later.rng.bit_generator.state = state
    for one, two in zip(told, live(later, 20, seed=1), strict=True):
        for first, second in zip(everything(one), everything(two), strict=True):
            np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(original.descriptor.joints, later.descriptor.joints)


def test_a_copy_under_all_disturbances_goes_on_to_the_same_bits(environment, copied):
    original = environment(ALL_ON, command="random", num_envs=4)
    live(original, 5)
    other = copied(original)
    for env in (original, other):
        env.reset(np.arange(4) < 2)
    for one, two in zip(live(original, 10), live(other, 10), strict=True):
        for first, second in zip(everything(one), everything(two), strict=True):
            np.testing.assert_array_equal(first, second)


def test_randomised_results_do_not_depend_on_the_number_of_threads(environment):
    one, two = (environment(ALL_ON, threads=threads) for threads in (1, 2))
    live(one, 30)
    live(two, 30)
    np.testing.assert_array_equal(one.simulator.states, two.simulator.states)


@pytest.mark.parametrize("name", ["redraw", "pushes", "commands"])
def test_what_is_no_probability_is_refused_by_name(name):
    with pytest.raises(BodyplanError, match=f"{name} = 2 is no probability"):
        Disturbances(**{name: 2})


@pytest.mark.parametrize("physics", ["reference", "fast"])
def test_huge_actions_saturate_instead_of_overflowing(environment, physics):
    env = environment(physics=physics)
    for size in (1e6, 1e300, -1e300):
        step = env.step(np.full((8, 12), size))
        assert all(np.isfinite(part).all() for part in everything(step))


def test_actions_that_cannot_be_meant_are_refused_by_name(environment):
    env = environment()
    broken = np.zeros((8, 12))
    broken[2, 1] = np.nan
    with pytest.raises(BodyplanError, match="FR_thigh_joint.*unitree_go1 is nan"):
        env.step(broken)
    with pytest.raises(BodyplanError, match=r"shape \(8, 11\); give \(8, 12\)"):
        env.step(np.zeros((8, 11)))
