"""Environment: episodes, resets, seeds, copies; nothing else decides what happens next."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import bodyplan
from bodyplan.envs.disturbances import Disturbances
from bodyplan.envs.environment import Environment
from bodyplan.envs.walking_task import REWARD_TERMS
from bodyplan.errors import BodyplanError

MANY = 1500


@pytest.fixture
def environment(load):
    """Creates an environment; the robot is read once for all tests."""

    def build(name="unitree_go1", command="forward", num_envs=3, **others):
        return Environment(load(name), command, num_envs, **({"threads": 1} | others))

    return build


def random_actions(environment, seed=0, scale=0.5):
    rng = np.random.default_rng(seed)
    shape = (environment.num_envs, environment.robot.num_joints)
    while True:
        yield scale * rng.normal(size=shape)


def roll_out(environment, steps, seed=0, scale=0.5):
    """All steps under random actions, without resets."""
    actions = random_actions(environment, seed, scale)
    return [environment.step(next(actions)) for _ in range(steps)]


def assert_same(first, second, rows=slice(None), others=None):
    """Two lists of steps have the same bits, for some of the robots."""
    others = rows if others is None else others
    for one, two in zip(first, second, strict=True):
        for a, b in zip([*one.observation, *one[1:]], [*two.observation, *two[1:]], strict=True):
            assert a[rows].tobytes() == b[others].tobytes()


@pytest.mark.parametrize("name", ["unitree_go1", "hexapod"])
def test_the_first_observation_is_the_recorded_one(environment, recorded, name):
    golden = recorded(name)
    joints, feet = golden["joint_description"].shape[0], golden["foot_description"].shape[0]
    for episode, command in ((0, "forward"), (1, "backward"), (4, "forward")):  # nominal resets
        observation = environment(name, command).observation
        flat = golden["reset_observation"][episode]
        own = flat[: 26 * joints].reshape(joints, 26)[:, 23:]
        np.testing.assert_allclose(observation.joints[0], own, atol=1e-5)
        own = flat[26 * joints :][: 12 * feet].reshape(feet, 12)[:, 10:]
        np.testing.assert_allclose(observation.feet[0], own, atol=1e-5)
        np.testing.assert_allclose(observation.general[0], flat[-20:-7], atol=1e-5)


def test_a_recorded_episode_is_reproduced(environment, recorded):
    golden = recorded("unitree_go1")
    rows = np.flatnonzero(golden["episode"] == 0)  # the calm one, from a nominal reset
    env = environment(num_envs=1, horizon=len(rows))
    rewards = []
    for row in rows:
        assert env.elapsed_steps[0] == row
        step = env.step(golden["action"][row][None])
        rewards.append(step.reward[0])
        assert step.terminated[0] == golden["terminated"][row]
        assert step.truncated[0] == golden["truncated"][row]
    np.testing.assert_allclose(rewards, golden["reward"][rows], atol=1e-4)
    assert sum(rewards) > 0.1


def test_episodes_end_at_the_horizon_as_truncated_and_are_not_reset(environment):
    env = environment(num_envs=2, horizon=4)
    steps = roll_out(env, 6, scale=0.1)
    assert [step.truncated.tolist() for step in steps] == [[False] * 2] * 3 + [[True] * 2] * 3
    assert not any(step.terminated.any() for step in steps)
    assert env.elapsed_steps.tolist() == [6, 6]
    env.reset(np.array([True, False]))
    assert env.elapsed_steps.tolist() == [0, 6]
    assert env.step(np.zeros((2, 12))).truncated.tolist() == [False, True]


def test_the_horizon_is_twenty_seconds(environment):
    env = environment(num_envs=1)
    env.elapsed_steps[:] = 998
    assert [step.truncated[0] for step in roll_out(env, 2, scale=0.1)] == [False, True]
    assert env.qpos.shape == (1, 19)


def test_a_fall_terminates_and_is_not_reset(environment):
    env = environment(num_envs=2)
    env.simulator.qpos[1, 2] = 0.03  # the trunk of the second robot reaches into the floor
    step = env.step(np.zeros((2, 12)))
    assert step.terminated.tolist() == [False, True]
    assert not step.truncated.any()
    assert env.elapsed_steps.tolist() == [1, 1]
    assert env.qpos[1, 2] < 0.2


def test_velocity_is_that_of_the_trunk_in_its_own_frame(environment):
    env = environment(num_envs=4, initial_state="random")
    step = roll_out(env, 5)[-1]
    rotation = Rotation.from_quat(env.qpos[:, 3:7], scalar_first=True)
    planar = rotation.inv().apply(env.simulator.qvel[:, :3])[:, :2]
    np.testing.assert_allclose(step.velocity[:, :2], planar, atol=1e-9)
    np.testing.assert_array_equal(step.velocity[:, 2], env.simulator.qvel[:, 5])


def test_commands_are_observed_and_rewarded(environment):
    ahead, back, yawing = (
        environment(command=command, num_envs=1) for command in ("forward", "backward", "0,0,0.5")
    )
    assert back.observation.general[0, 6:9].tolist() == [-1.0, 0.0, 0.0]
    assert yawing.observation.general[0, 6:9].tolist() == [0.0, 0.0, 0.5]
    for env in (ahead, back):
        env.simulator.qvel[:, 0] = -1.0
    rewards = [env.step(np.zeros((1, 12))).reward[0] for env in (ahead, back)]
    assert rewards[1] > rewards[0] + 0.01


def test_a_nominal_reset_is_upright_at_rest_at_the_drop_height(environment):
    env = environment("badger", num_envs=2)
    roll_out(env, 3)
    env.reset()
    expected = [0.0, 0.0, 0.316, 1.0, 0.0, 0.0, 0.0, *env.robot.nominal]
    np.testing.assert_array_equal(env.qpos, [expected] * 2)
    assert not env.simulator.qvel.any()
    assert not env.observation.joints.any()


@pytest.mark.parametrize("name", ["unitree_go1", "hexapod"])
def test_a_random_reset_keeps_to_its_ranges_and_fills_them(environment, name):
    env = environment(name, num_envs=MANY, initial_state="random", threads=2)
    robot, ranges = env.robot, env.robot.initial_state
    qpos, qvel = env.qpos, env.simulator.qvel

    def spans(values, low, high):
        assert (values >= low - 1e-9).all()
        assert (values <= high + 1e-9).all()
        edge = 0.02 * (high - low)
        assert (values.min(axis=0) < low + edge).all()
        assert (values.max(axis=0) > high - edge).all()

    np.testing.assert_array_equal(qpos[:, :3], np.tile([0.0, 0.0, robot.drop_height], (MANY, 1)))
    angles = Rotation.from_quat(qpos[:, 3:7], scalar_first=True).as_euler("xyz") / np.pi
    spans(angles[:, :2], -ranges.roll_pitch, ranges.roll_pitch)
    spans(angles[:, 2], -1.0, 1.0)
    moving = robot.nominal != 0.0
    joints = qpos[:, robot.qpos_index]
    factor = joints[:, moving] / robot.nominal[moving]
    spans(factor, ranges.joint_position, 1.0 + ranges.joint_position)
    assert np.unique(factor[0]).size == moving.sum()
    assert not joints[:, ~moving].any()
    share = qvel[:, robot.qvel_index] / robot.max_velocity
    np.testing.assert_allclose(share, share[:, :1].repeat(robot.num_joints, axis=1))
    spans(share[:, 0], -ranges.joint_velocity, ranges.joint_velocity)
    spans(qvel[:, :3], -ranges.linear_velocity, ranges.linear_velocity)
    spans(qvel[:, 3:6], -ranges.angular_velocity, ranges.angular_velocity)


def test_half_of_the_varied_initial_states_are_near_nominal_with_joints_at_rest(environment):
    env = environment(num_envs=400, initial_state="varied")
    robot = env.robot
    distance = np.abs(env.qpos[:, robot.qpos_index] - robot.nominal).max(axis=1)
    resting = (env.simulator.qvel[:, robot.qvel_index] == 0.0).all(axis=1)
    assert resting.mean() == pytest.approx(0.5, abs=0.1)
    assert distance[resting].max() <= 0.1
    assert np.median(distance[~resting]) > 0.2


def test_seeds_alone_determine_random_resets(environment):
    random = {"num_envs": 2, "initial_state": "random"}
    first, again, other = (environment(seed=seed, **random) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.qpos, again.qpos)
    assert not np.array_equal(first.qpos, other.qpos)
    start = first.qpos.copy()
    for env in (first, again):
        env.reset()
    np.testing.assert_array_equal(first.qpos, again.qpos)
    assert not np.array_equal(first.qpos, start)
    assert_same(roll_out(first, 5), roll_out(again, 5))


def test_the_penalty_scale_weighs_penalties_and_not_tracking(environment):
    envs = [environment(num_envs=1, penalty_scale=scale) for scale in (0.0, 0.05, 0.1)]
    none, half, full = (np.array([s.reward[0] for s in roll_out(env, 10)]) for env in envs)
    assert (none > half).all()
    assert (half > full).all()
    assert (full > 0.0).all()  # so nothing was clipped at zero
    np.testing.assert_allclose(none - half, half - full, rtol=1e-3)
    state, command = envs[0].simulator.robot_state(), np.array([1.0, 0.0])
    yaw = np.exp(-(state.angular_velocity[0, 2] ** 2) / 0.25)
    rotation = Rotation.from_quat(envs[0].qpos[0, 3:7], scalar_first=True)
    velocity = rotation.inv().apply(envs[0].simulator.qvel[0, :3])[:2]
    tracking = 0.02 * (2.0 * np.exp(-np.square(velocity - command).sum() / 0.25) + 1.0 * yaw)
    assert none[-1] == pytest.approx(tracking, rel=1e-5)


def test_badger_senses_no_feet(environment):
    env = environment("badger", initial_state="random")
    assert (env.observation.feet == -1.0).all()
    for step in roll_out(env, 30):
        assert (step.observation.feet == -1.0).all()
    assert env.simulator.robot_state().foot_contact.any()


@pytest.mark.parametrize("randomise", [False, True])
@pytest.mark.parametrize("name", ["unitree_h1", "cassie", "badger"])
def test_a_robot_alone_has_the_bits_of_one_among_many(load, name, randomise):
    robot = load(name)
    ranges = replace(robot.randomisation, mixed_delay=0.0)  # late actions are drawn at each step
    settings = {
        "robot": replace(robot, randomisation=ranges),
        "command": "random",
        "initial_state": "random",
        "disturbances": Disturbances(randomise=randomise),
        "threads": 1,
    }
    many = Environment(num_envs=3, **settings)
    alone = [Environment(**settings) for _ in range(3)]
    ends, excess = np.zeros(3, bool), 0.0
    for step, action in zip(range(40), random_actions(many), strict=False):
        if step == 20:
            many.simulator.qpos[1, 2] = 0.03  # the trunk of the second robot is in the floor
        if step % 10 == 0:
            for row, env in enumerate(alone):
                env.load_state_dict({k: v[row : row + 1] for k, v in many.state_dict().items()})
        given = (1.0 if step < 20 else 20.0) * action
        together = many.step(given)
        ends |= together.terminated
        excess = min(excess, together.reward_terms[:, REWARD_TERMS.index("joint_limit")].min())
        for row, env in enumerate(alone):
            assert_same([together], [env.step(given[row : row + 1])], [row], [0])
            np.testing.assert_array_equal(many.simulator.states[row], env.simulator.states[0])
        if step % 10 == 9:
            many.reset(together.terminated)
    assert ends.any()
    assert excess < 0.0


def test_a_loaded_state_dict_continues_to_the_same_bits(environment):
    original = environment(initial_state="random")
    roll_out(original, 20)
    saved = original.state_dict()
    rng = original.rng.bit_generator.state
    first = roll_out(original, 20, seed=1)
    other = environment(initial_state="random", seed=9)
    for env in (original, other):
        env.load_state_dict(saved)
        env.rng.bit_generator.state = rng
        assert_same(first, roll_out(env, 20, seed=1))


def test_a_copy_continues_to_the_same_bits_and_shares_nothing(environment, copied):
    original = environment("cassie", initial_state="random", num_envs=2)
    roll_out(original, 5)
    other = copied(original)
    assert other.robot.name == "cassie"
    first = roll_out(original, 10, seed=1)
    some = np.array([True, False])
    fresh = original.reset(some)
    first += roll_out(original, 5, seed=2)
    assert_same(first[:10], roll_out(other, 10, seed=1))
    for part, expected in zip(other.reset(some), fresh, strict=True):
        np.testing.assert_array_equal(part, expected)
    assert_same(first[10:], roll_out(other, 5, seed=2))


def test_a_copy_of_a_robot_is_the_same_body(load, copied):
    robot = load("hexapod")
    other = copied(robot)
    assert other.model is not robot.model
    for part, own in zip(other.descriptor, robot.descriptor, strict=True):
        np.testing.assert_array_equal(part, own)
    assert repr(other) == repr(robot)
    assert_same(*(roll_out(Environment(each, threads=1), 5) for each in (robot, other)))


def test_reprs_are_short_and_show_arrays_as_shapes(environment):
    env = environment(num_envs=2, command="0.5,0,0")
    step = env.step(np.zeros((2, 12)))
    for thing in (env, env.simulator, env.observation, env.simulator.robot_state(), step):
        assert repr(thing).startswith(type(thing).__name__)
        assert repr(thing).count("\n") < 14
        assert len(repr(thing)) < 800
    assert "unitree_go1" in repr(env)
    assert "0.5,0,0" in repr(env)
    assert "[2,12,3]" in repr(step)


def test_a_reset_after_loading_keeps_the_observations_of_other_robots(environment):
    original, other = environment(), environment()
    seen = roll_out(original, 20)[-1].observation
    other.load_state_dict(original.state_dict())
    for part, kept in zip(other.reset(np.array([False, True, False])), seen, strict=True):
        np.testing.assert_array_equal(part[[0, 2]], kept[[0, 2]])


def test_resetting_some_robots_does_not_change_the_others(environment):
    one, two = environment(), environment()
    for env in (one, two):
        seen = roll_out(env, 30)[-1].observation  # long enough for feet to leave the floor
    before = [part.copy() for part in seen]
    after = two.reset(np.array([False, True, False]))
    for part, kept in zip(after, before, strict=True):
        np.testing.assert_array_equal(part[[0, 2]], kept[[0, 2]])
    assert not after.joints[1].any()
    for part, kept in zip(seen, before, strict=True):  # returned arrays stay as they were
        np.testing.assert_array_equal(part, kept)
    assert_same(roll_out(one, 20, 1), roll_out(two, 20, 1), rows=[0, 2])


def test_a_reset_robot_is_as_new(environment):
    old, new = environment(), environment()
    roll_out(old, 30)
    old.reset()
    for a, b in zip(old.observation, new.observation, strict=True):
        np.testing.assert_array_equal(a, b)
    assert_same(roll_out(old, 10), roll_out(new, 10))


def test_the_callers_actions_are_copied(environment):
    careful, careless = environment(), environment()
    action = np.full((3, 12), 0.3, np.float32)
    own = action.copy()
    careless.step(own)
    careless.reset(np.array([True, False, False]))
    np.testing.assert_array_equal(own, action)
    own[:] = 7.0
    careful.step(action)
    careful.reset(np.array([True, False, False]))
    assert_same(roll_out(careful, 2), roll_out(careless, 2))


def test_actions_of_single_precision_are_computed_with_in_double(environment):
    single, double = environment(), environment()
    actions = [
        move.astype(np.float32) for move, _ in zip(random_actions(single), range(5), strict=False)
    ]
    assert_same(
        [single.step(action) for action in actions],
        [double.step(action.astype(np.float64)) for action in actions],
    )


def test_make_takes_seed_initial_state_and_disturbances(load):
    robot, noise = load("unitree_go1"), Disturbances(noise=True)
    envs = [bodyplan.make(robot, seed=seed, initial_state="random") for seed in (1, 1, 2)]
    first, again, other = (env.qpos for env in envs)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert bodyplan.make(robot, disturbances=noise).disturbances == noise
    assert isinstance(envs[0], bodyplan.Environment)


def test_make_is_the_clean_task():
    env = bodyplan.make("unitree_go1", "backward", 2)
    assert (env.num_envs, env.horizon, env.penalty_scale) == (2, 1000, 1.0)
    assert (env.initial_state, env.robot.name) == ("nominal", "unitree_go1")
    assert env.command.tolist() == [[-1.0, 0.0, 0.0]] * 2
    env.step(np.zeros((2, 12)))
    assert env.simulator.states[0, 0] == pytest.approx(0.02)


def test_unknown_and_impossible_arguments_are_refused(environment):
    with pytest.raises(BodyplanError, match="upside_down"):
        environment(initial_state="upside_down")
    with pytest.raises(BodyplanError, match="sideways"):
        environment(command="sideways")
    with pytest.raises(BodyplanError, match="seed"):
        environment(seed=-1)
    with pytest.raises(BodyplanError, match="num_envs"):
        environment(num_envs=0)
    with pytest.raises(BodyplanError, match="cat"):
        Environment("cat")
    with pytest.raises(BodyplanError, match="one boolean for each of the 2"):
        environment(num_envs=2).reset(np.ones(3, bool))
