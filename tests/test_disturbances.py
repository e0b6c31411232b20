"""Disturbances: each changes what it names and nothing else; none changes anything when off."""

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


def roll_out(environment, steps=20, seed=0):
    rng = np.random.default_rng(seed)
    shape = (environment.num_envs, environment.robot.num_joints)
    return [environment.step(0.3 * rng.normal(size=shape)) for _ in range(steps)]


def all_arrays(step):
    return [*step.observation, *step[1:]]


def test_without_disturbances_all_robots_stay_alike_from_a_nominal_start(environment):
    env = environment(initial_state="nominal")
    for _ in range(20):
        step = env.step(np.full((8, 12), 0.2))
        for part in all_arrays(step):
            np.testing.assert_array_equal(part, np.broadcast_to(part[:1], part.shape))
    assert env.descriptor is env.robot.descriptor


def test_all_disturbances_together_leave_finite_steps_and_no_negative_rewards(environment):
    for name in ("unitree_go1", "cassie", "talos", "bittle"):
        env = environment(ALL_ON, name, command="random", num_envs=4)
        for step in roll_out(env, 25):
            assert all(np.isfinite(part).all() for part in all_arrays(step))
            assert (step.reward >= 0.0).all()
            env.reset(step.terminated | step.truncated)


def test_bodies_are_randomised_at_each_reset_and_only_then(environment):
    env = environment(Disturbances(randomise=True))
    first = env.descriptor.joints.copy()
    assert len(np.unique(first[:, 0, 8])) == 8  # torque limits, all different
    roll_out(env, 10)
    np.testing.assert_array_equal(env.descriptor.joints, first)
    mask = np.arange(8) < 3
    env.reset(mask)
    changed = (env.descriptor.joints != first).any(axis=(1, 2))
    np.testing.assert_array_equal(changed, mask)
    redrawn = environment(Disturbances(randomise=True, redraw=1.0))
    before = redrawn.descriptor.joints.copy()
    roll_out(redrawn, 1)
    assert (redrawn.descriptor.joints != before).any(axis=(1, 2)).all()


def test_observations_are_relative_to_each_bodys_own_nominal_pose(environment):
    env = environment(Disturbances(randomise=True), initial_state="nominal")
    parameters, nominal = env.simulator.parameters, env.robot.nominal
    position = env.observation.joints[..., 0] * 4.6
    np.testing.assert_allclose(position, nominal - parameters.nominal, atol=1e-6)
    assert np.abs(position).max() > 1e-3


def test_random_commands_are_drawn_at_each_reset(environment):
    env = environment(command="random", num_envs=200)
    first = env.command.copy()
    assert (np.abs(first) <= 1.0).all()
    assert np.abs(first).max(axis=0).min() > 0.95
    np.testing.assert_allclose(env.observation.general[:, 6:9], first, atol=1e-7)
    roll_out(env, 3)
    np.testing.assert_array_equal(env.command, first)
    env.reset(np.arange(200) < 100)
    np.testing.assert_array_equal((env.command != first).any(axis=1), np.arange(200) < 100)


def test_a_reset_may_set_the_command_of_one_episode(environment):
    env = environment()
    command = np.tile([0.5, 0.0, 0.2], (8, 1))
    env.reset(np.arange(8) < 3, command)
    np.testing.assert_array_equal(env.command[:3], command[:3])
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
    step, other = roll_out(env, 1)[0], roll_out(fixed, 1)[0]
    changed = (env.command != [1.0, 0.0, 0.0]).any(axis=1)
    assert changed.mean() == pytest.approx(0.25, abs=0.06)
    np.testing.assert_allclose(step.observation.general[:, 6:9], env.command, atol=1e-7)
    np.testing.assert_array_equal(step.reward[~changed], other.reward[~changed])
    gain = tracking(step.velocity, env.command) - tracking(step.velocity, fixed.command)
    unclipped = (step.reward > 0.0) & (other.reward > 0.0)
    assert (changed & unclipped).sum() > 10
    np.testing.assert_allclose((step.reward - other.reward)[unclipped], gain[unclipped], atol=1e-6)


def tracking(velocity, command):
    """The tracking reward of go1, before penalties."""
    squares = np.square(velocity - command)
    return 0.02 * (2 * np.exp(-squares[:, :2].sum(axis=1) / 0.25) + np.exp(-squares[:, 2] / 0.25))


def test_a_push_changes_the_trunks_velocity_and_nothing_else(environment):
    pushed, calm = (environment(Disturbances(pushes=share), seed=1) for share in (1.0, 0.0))
    roll_out(pushed, 1)
    roll_out(calm, 1)
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


def test_noise_changes_observations_and_not_the_simulation(environment):
    noisy, clean = (environment(Disturbances(noise=flag)) for flag in (True, False))
    limits = noisy.robot.randomisation
    for step, true in zip(roll_out(noisy), roll_out(clean), strict=True):
        for one, two in zip(step[1:], true[1:], strict=True):
            np.testing.assert_array_equal(one, two)
        joints, feet, general = (
            a - b for a, b in zip(step.observation, true.observation, strict=True)
        )
        assert 0.0 < np.abs(joints[..., 0]).max() <= limits.joint_position_noise / 4.6 + 1e-6
        assert 0.0 < np.abs(joints[..., 1]).max() <= limits.joint_velocity_noise / 35.0 + 1e-6
        assert 0.0 < np.abs(general[:, 9:12]).max() <= limits.gravity_noise + 1e-6
        assert 0.0 < np.abs(general[:, 3:6]).max() <= limits.angular_velocity_noise / 50.0 + 1e-6
        untouched = [joints[..., 2], feet, general[:, :3], general[:, 6:9], general[:, 12]]
        assert all((part == 0.0).all() for part in untouched)
    np.testing.assert_array_equal(noisy.simulator.states, clean.simulator.states)


def test_dropout_hides_joints_and_feet(environment):
    share = 0.3
    env = environment(Disturbances(dropout=True), ranges={"dropout": share}, num_envs=200)
    clean = environment(num_envs=200)
    seen, true = roll_out(env, 1)[0].observation, roll_out(clean, 1)[0].observation
    joints = (seen.joints == 0.0).all(axis=2)
    feet = (seen.feet == -1.0).all(axis=2) & ~(true.feet == -1.0).all(axis=2)
    assert joints.mean() == pytest.approx(share, abs=0.05)
    assert feet.any()
    np.testing.assert_array_equal(seen.joints[~joints], true.joints[~joints])
    np.testing.assert_array_equal(seen.general, true.general)


def test_delayed_actions_are_those_of_the_previous_step(environment):
    env = environment(
        Disturbances(randomise=True),
        ranges={"mixed_delay": 1.0},
        num_envs=32,
        initial_state="nominal",
    )
    rng, before = np.random.default_rng(0), np.zeros((32, 12))
    shares = []
    for _ in range(30):
        given = rng.normal(size=(32, 12))
        sensed = 10.0 * env.step(given).observation.joints[..., 2]
        late = np.isclose(sensed, before, atol=1e-5).all(axis=1)
        assert (late | np.isclose(sensed, given, atol=1e-5).all(axis=1)).all()
        shares.append(late.mean())
        before = given
    assert np.mean(shares) == pytest.approx(0.5, abs=0.05)


def test_a_state_dict_under_all_disturbances_continues_to_the_same_bits(environment):
    original, later = (environment(ALL_ON, command="random", seed=seed) for seed in (0, 7))
    roll_out(original, 10)
    saved, state = original.state_dict(), original.rng.bit_generator.state
    expected = roll_out(original, 10, seed=1)
    later.load_state_dict(saved)
    later.rng.bit_generator.state = state
    for one, two in zip(expected, roll_out(later, 10, seed=1), strict=True):
        for first, second in zip(all_arrays(one), all_arrays(two), strict=True):
            np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(original.descriptor.joints, later.descriptor.joints)


def test_a_copy_under_all_disturbances_continues_to_the_same_bits(environment, copied):
    original = environment(ALL_ON, command="random", num_envs=4)
    roll_out(original, 5)
    other = copied(original)
    for env in (original, other):
        env.reset(np.arange(4) < 2)
    for one, two in zip(roll_out(original, 10), roll_out(other, 10), strict=True):
        for first, second in zip(all_arrays(one), all_arrays(two), strict=True):
            np.testing.assert_array_equal(first, second)


def test_randomised_results_do_not_depend_on_the_number_of_threads(environment):
    one, two = (environment(ALL_ON, threads=threads) for threads in (1, 2))
    roll_out(one, 15)
    roll_out(two, 15)
    np.testing.assert_array_equal(one.simulator.states, two.simulator.states)


def test_a_card_names_the_disturbances_that_are_on():
    assert NO_DISTURBANCES.card() == {}
    card = Disturbances(randomise=True, pushes=0.002).card()
    assert card == {"conditions": {"randomise": True, "pushes": 0.002}}


@pytest.mark.parametrize("name", ["redraw", "pushes", "commands"])
def test_what_is_no_probability_is_refused_by_name(name):
    with pytest.raises(BodyplanError, match=name):
        Disturbances(**{name: 2})


@pytest.mark.parametrize("physics", ["reference", "fast"])
def test_huge_actions_saturate_instead_of_overflowing(environment, physics):
    env = environment(physics=physics)
    for size in (1e6, 1e300, -1e300):
        step = env.step(np.full((8, 12), size))
        assert all(np.isfinite(part).all() for part in all_arrays(step))


def test_impossible_actions_are_refused_by_name(environment):
    env = environment()
    broken = np.zeros((8, 12))
    broken[2, 1] = np.nan
    with pytest.raises(BodyplanError, match="FR_thigh_joint.*nan"):
        env.step(broken)
    with pytest.raises(BodyplanError, match=r"\(8, 11\)"):
        env.step(np.zeros((8, 11)))
