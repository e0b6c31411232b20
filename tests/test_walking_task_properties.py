"""Properties of the walking task that hold for every robot, action and naming of parts.

Rewards and observations are finite. Names and orders of joints, feet and geoms change nothing but
the order. A mirrored robot walks as the mirror image.
"""

import xml.etree.ElementTree as ET
from functools import cache

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bodyplan.envs.environment import Environment
from bodyplan.robots import loader, registry
from bodyplan.robots.procedural.body_plans import BodyPlan
from bodyplan.robots.procedural.build_robot import build_design
from bodyplan.robots.robot import Robot

PACKAGED = pytest.mark.parametrize("name", registry.packaged_robots())
WAYS = [(p, s) for p in ("reference", "fast") for s in ("nominal", "random")]
KEPT = {"floor", "nominal"}
"""The ground and the keyframe: the only names that the task uses."""
EXTREME = [0.0, 5e-324, 1e-12, 1.0, 30.0, 1e6, 1e300]
STEPS, COPIES = 8, 3

few = settings(max_examples=3, derandomize=True, deadline=None)


@cache
def environment(name, physics, start):
    return Environment(name, "forward", COPIES, physics, start, threads=1)


def build(name, config, body=None):
    """A packaged robot with another config, and the text of another body where given."""
    path = registry.find_model(name)
    spec = mujoco.MjSpec.from_string(body) if body else mujoco.MjSpec.from_file(str(path))
    return Robot.build(path, spec, config)


def together(robots, orders, steps=10, seed=0):
    """Step robots from one random state with the same actions, in each one's order of joints."""
    envs = [Environment(robot, num_envs=2, threads=1) for robot in robots]
    random = Environment(robots[0], num_envs=2, threads=1, initial_state="random", seed=seed)
    everyone, rng = np.ones(2, bool), np.random.default_rng(seed)
    for env in envs:
        env.reset()
        env.simulator.reset(everyone, random.qpos, random.simulator.qvel)
    for _ in range(steps):
        action = rng.normal(size=(2, robots[0].num_joints))
        yield envs, [env.step(action[:, order]) for env, order in zip(envs, orders, strict=True)]


def assert_alike(first, second):
    """The same bits, but for sums over joints, feet or geoms in another order."""
    np.testing.assert_array_equal(second.observation.general, first.observation.general)
    np.testing.assert_array_equal(second.terminated, first.terminated)
    np.testing.assert_array_equal(second.velocity, first.velocity)
    np.testing.assert_allclose(second.reward, first.reward, rtol=1e-6, atol=1e-8)


@PACKAGED
@pytest.mark.parametrize(("physics", "start"), WAYS)
@given(data=st.data())
@few
def test_rewards_are_never_negative_and_nothing_is_nan(name, physics, start, data):
    env = environment(name, physics, start)
    env.rng = np.random.default_rng(data.draw(st.integers(0, 2**32), label="seed"))
    sizes = data.draw(st.lists(st.sampled_from(EXTREME), min_size=1, max_size=STEPS))
    kind = data.draw(st.sampled_from(["same", "alternating", "random"]))
    env.reset()
    for index, size in enumerate(sizes):
        signs = np.ones((COPIES, env.robot.num_joints))
        if kind == "alternating":
            signs *= (-1.0) ** (index + np.arange(env.robot.num_joints))
        elif kind == "random":
            signs = env.rng.choice([-1.0, 0.0, 1.0], signs.shape)
        before = env.simulator.states[:, 0].copy()
        step = env.step(size * signs)
        assert np.isfinite(step.reward).all()
        assert (step.reward >= 0.0).all()
        for part in (*step.observation, step.velocity, env.simulator.states):
            assert np.isfinite(part).all()
        # MuJoCo starts a simulation that went wrong anew; the robot must not go on as if walking.
        assert step.terminated[env.simulator.states[:, 0] < before + 0.019].all()


@pytest.mark.parametrize("physics", ["reference", "fast"])
@PACKAGED
def test_no_simulation_goes_wrong_while_a_robot_stands(name, physics):
    """MuJoCo starts one that does anew, at time zero: the robot would jump."""
    env = Environment(name, num_envs=4, threads=1, physics=physics, initial_state="random")
    rng, standing = np.random.default_rng(0), np.ones(4, bool)
    for index in range(1, 26):
        step = env.step(rng.normal(size=(4, env.robot.num_joints)))
        np.testing.assert_allclose(env.simulator.states[standing, 0], 0.02 * index)
        standing &= ~step.terminated


def test_a_simulation_that_has_gone_wrong_ends_the_episode():
    env = Environment("unitree_go1", num_envs=3, threads=1)
    env.simulator.qvel[1, 6] = 2e4  # rad/s: a hip that nothing in the task could turn so fast
    env.simulator.qvel[2, 0] = np.nan  # MuJoCo starts this one anew
    step = env.step(np.zeros((3, 12)))
    assert step.terminated.tolist() == [False, True, True]
    assert np.isfinite(step.reward).all()
    env.reset(step.terminated)
    assert not env.step(np.zeros((3, 12))).terminated.any()


@PACKAGED
def test_joints_may_come_in_any_order(name):
    config = loader.read_task_config(registry.find_model(name))
    joints = config["joints"]
    order = np.random.default_rng(0).permutation(len(joints["names"]))

    def permuted(value):
        return [value[i] for i in order] if isinstance(value, list) else value

    own = build(name, config)
    other = build(name, config | {"joints": {key: permuted(v) for key, v in joints.items()}})
    for envs, (first, second) in together([own, other], [slice(None), order]):
        np.testing.assert_array_equal(envs[1].simulator.states, envs[0].simulator.states)
        assert_alike(first, second)
        np.testing.assert_array_equal(second.observation.feet, first.observation.feet)
        np.testing.assert_array_equal(second.observation.joints, first.observation.joints[:, order])
    np.testing.assert_array_equal(other.descriptor.joints, own.descriptor.joints[order])
    np.testing.assert_array_equal(other.descriptor.feet, own.descriptor.feet)
    np.testing.assert_array_equal(other.descriptor.context, own.descriptor.context)


@PACKAGED
def test_feet_may_come_in_any_order(name):
    config = loader.read_task_config(registry.find_model(name))
    order = np.roll(np.arange(len(config["feet"])), 1)
    feet = list(config["feet"].items())
    own, other = build(name, config), build(name, config | {"feet": dict(feet[i] for i in order)})
    for envs, (first, second) in together([own, other], [slice(None)] * 2):
        np.testing.assert_array_equal(envs[1].simulator.states, envs[0].simulator.states)
        assert_alike(first, second)
        np.testing.assert_array_equal(second.observation.joints, first.observation.joints)
        np.testing.assert_array_equal(second.observation.feet, first.observation.feet[:, order])
    np.testing.assert_array_equal(other.descriptor.feet, own.descriptor.feet[order])
    np.testing.assert_array_equal(other.descriptor.joints, own.descriptor.joints)


@PACKAGED
def test_names_mean_nothing(name):
    path = registry.find_model(name)
    tree = ET.parse(path).getroot()
    for element in tree.iter():
        for key in ("name", "joint", "body1", "body2"):
            if key in element.attrib and element.attrib[key] not in KEPT:
                element.set(key, _renamed(element.attrib[key]))
    config = loader.read_task_config(path)
    new = config | {"trunk": _renamed(config["trunk"])}
    new |= {table: _renamed(config[table]) for table in ("joints", "termination", "reward")}
    new["feet"] = {_renamed(foot): _renamed(own) for foot, own in config["feet"].items()}
    own, other = build(name, config), build(name, new, ET.tostring(tree, encoding="unicode"))
    for envs, (first, second) in together([own, other], [slice(None)] * 2):
        np.testing.assert_array_equal(envs[1].simulator.states, envs[0].simulator.states)
        np.testing.assert_array_equal(second.reward, first.reward)
        assert_alike(first, second)
    for part, same in zip(other.descriptor, own.descriptor, strict=True):
        np.testing.assert_array_equal(part, same)


def _renamed(value):
    """Names spelt backwards, wherever they are; what is no name stays."""
    if isinstance(value, str):
        return value[::-1] + "'"
    if isinstance(value, list):
        return [_renamed(item) for item in value]
    if isinstance(value, dict):
        return {key: _renamed(item) for key, item in value.items()}
    return value


@given(seed=st.integers(0, 2**32))
@few
def test_a_body_in_a_mirror_moves_in_the_mirror(seed):
    robot = build_design(BodyPlan.draw(np.random.default_rng(seed))).robot()
    twins, signs = _mirror(robot)
    env = Environment(robot, num_envs=2, threads=1, initial_state="random", seed=seed)
    plane = np.array([1.0, -1.0, 1.0])
    pose, speed = env.qpos.copy(), env.simulator.qvel.copy()
    # Unlike left and right even where the nominal angles are zero.
    pose[0, 7:] += 0.05
    # Rotations are axial vectors, so the mirror gives them other signs.
    pose[1] = np.r_[pose[0, :3] * plane, pose[0, 3], -pose[0, 4:7] * plane, pose[1, 7:]]
    pose[1, robot.qpos_index] = signs * pose[0, robot.qpos_index][twins]
    speed[1, :6] = np.r_[speed[0, :3] * plane, -speed[0, 3:6] * plane]
    speed[1, robot.qvel_index] = signs * speed[0, robot.qvel_index][twins]
    env.simulator.reset(np.ones(2, bool), pose, speed)
    rng = np.random.default_rng(seed)
    for _ in range(5):
        action = rng.normal(size=robot.num_joints)
        step = env.step(np.stack([action, signs * action[twins]]))
        np.testing.assert_allclose(env.qpos[1, :3], env.qpos[0, :3] * plane, atol=1e-9)
        joints = env.qpos[:, robot.qpos_index]
        np.testing.assert_allclose(joints[1], signs * joints[0, twins], atol=1e-9)
        np.testing.assert_allclose(step.reward[1], step.reward[0], atol=1e-7)
        assert step.terminated[0] == step.terminated[1]


def _mirror(robot):
    """Each joint's counterpart on the other side, and the sign that mirroring gives its angle."""
    swapped = {"left": "right", "right": "left"}
    twins, signs = [], []
    for name in robot.joints:
        side, _, rest = name.partition("_")
        twins.append(robot.joints.index(f"{swapped.get(side, side)}_{rest}".strip("_")))
        alone = side not in swapped
        turns = abs(robot.model.jnt_axis[robot.model.joint(name).id][1]) < 0.5
        signs.append(-1.0 if alone and turns else 1.0)
    return twins, np.array(signs)
