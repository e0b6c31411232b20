"""Randomised models are within their ranges, and equal to what MuJoCo compiles of them."""

import pickle
from copy import copy
from dataclasses import replace

import mujoco
import numpy as np
import pytest

from bodyplan.envs.domain_randomisation import apply_randomised_model, sample_randomised_model
from bodyplan.envs.simulator import Simulator
from bodyplan.robots.contact_sensors import add_contact_sensors
from bodyplan.robots.descriptors import describe
from bodyplan.robots.randomisation_ranges import RandomisationRanges
from bodyplan.robots.registry import MODELS

MANY = 300
every_family = pytest.mark.parametrize("name", ["unitree_go1", "talos", "cassie", "unitree_h1"])


@pytest.fixture(scope="module")
def models(load):
    """Of Go1."""
    return [sample_randomised_model(load("unitree_go1"), seed) for seed in range(MANY)]


def spans(values, low, high):
    """All values are within the ends, and some are near each of them."""
    values, slack = np.asarray(values), 0.05 * (np.asarray(high) - low)
    assert (values >= low).all()
    assert (values <= high).all()
    assert (values.min(axis=0) < low + slack).all()
    assert (values.max(axis=0) > high - slack).all()


def test_observed_parameters_span_the_ranges_of_go1(load, models):
    robot, ranges = load("unitree_go1"), load("unitree_go1").randomisation
    observed = [randomised.parameters for randomised in models]
    spans([each.mass - robot.mass for each in observed], -0.8, 0.8)
    spans([each.nominal - robot.nominal for each in observed], -0.01, 0.01)
    spans([each.joint_range - robot.joint_range for each in observed], -0.05, 0.05)
    spans([each.torque_limit / robot.torque_limit for each in observed], 0.5, 1.5)
    spans([each.max_velocity / robot.max_velocity for each in observed], 0.85, 1.15)
    spans([each.kp for each in observed], 17.0, 23.0)
    spans([each.kd for each in observed], 0.4, 0.6)
    spans([each.action_scale for each in observed], 0.22, 0.28)
    for name in ("damping", "armature", "stiffness", "friction_loss"):
        values = np.array([getattr(each, name) for each in observed])
        kept = values == getattr(robot.parameters, name)
        assert kept.mean() == pytest.approx(0.3, abs=0.03)
        spans(values[~kept], *getattr(ranges, name).between)


def test_hidden_errors_span_their_ranges(load, models):
    robot = load("unitree_go1")
    for name in ("strength", "kp", "kd"):
        spans([getattr(each.motor_errors, name) for each in models], 0.75, 1.25)
    spans([each.motor_errors.offset for each in models], -0.05, 0.05)
    spans([each.armature / each.parameters.armature for each in models], 0.5, 1.5)
    trunk = robot.model.body("trunk").mass[0]
    observed_trunk = np.array([each.parameters.mass for each in models]) - robot.mass + trunk
    spans(np.array([each.trunk_mass for each in models]) / observed_trunk, 0.75, 1.25)
    assert np.abs([each.com_shift for each in models]).max() <= 0.0025 * 1.25
    factor = np.array([each.foot_size_factor for each in models])
    assert (np.abs(factor - 1.0) <= 1.03 * 0.0235 / 0.023 - 1.0 + 1e-12).all()
    world = {
        name: [getattr(each.world, name) for each in models] for name in models[0].world._fields
    }
    spans(world["friction"], 0.001, 2.0)
    spans(world["foot_torsion"], 1e-5, 0.04)
    spans(world["gravity"], 8.81, 10.81)
    spans(world["stiffness"], 500.0, 1500.0)
    assert np.mean([each.delayed_actions for each in models]) == pytest.approx(0.05, abs=0.04)


def test_a_seed_determines_the_model(load):
    one, same, other = (sample_randomised_model(load("talos"), seed) for seed in (3, 3, 4))
    assert pickle.dumps(one) == pickle.dumps(same) != pickle.dumps(other)
    assert repr(one).count("\n") < 40


def test_changes_may_be_relative_to_a_joints_own_parameters(load):
    robot, cassie = load("talos"), load("cassie")
    sampled = [sample_randomised_model(robot, seed).parameters for seed in range(MANY)]
    change = np.array([f.damping for f in sampled]) - robot.parameters.damping
    damped = robot.parameters.damping > 0.1
    spans(change[:, damped], -0.1, 0.1)
    assert (change[:, ~damped] >= -robot.parameters.damping[~damped]).all()  # never below zero
    share = np.array(
        [sample_randomised_model(cassie, seed).parameters.damping for seed in range(MANY)]
    )
    spans(share / cassie.parameters.damping, 0.9, 1.1)


def test_a_robot_without_ranges_keeps_what_depends_on_its_size(load):
    robot = replace(load("unitree_go1"), randomisation=RandomisationRanges())
    for seed in range(5):
        randomised = sample_randomised_model(robot, seed)
        assert randomised.parameters.mass == robot.mass
        assert randomised.parameters.kp == robot.kp
        assert randomised.foot_size_factor == pytest.approx(1.0, abs=0.03)
        np.testing.assert_array_equal(randomised.parameters.damping, robot.parameters.damping)


@every_family
def test_an_applied_model_is_what_mujoco_compiles_of_its_parameters(load, name):
    robot = load(name)
    randomised = sample_randomised_model(robot, seed=1)
    applied = copy(robot.model)
    apply_randomised_model(robot, randomised, applied)
    compiled = compile_randomised(robot, randomised)
    exact = ["body_mass", "body_inertia", "body_ipos", "body_subtreemass", "dof_damping"]
    exact += ["dof_armature", "dof_frictionloss", "jnt_stiffness", "jnt_range", "geom_size"]
    exact += ["actuator_ctrlrange", "geom_friction", "geom_solref", "dof_M0"]
    for field in (*exact, "dof_invweight0", "body_invweight0"):
        own, expected = getattr(applied, field), getattr(compiled, field)
        np.testing.assert_allclose(own, expected, rtol=1e-9, atol=1e-14, err_msg=field)
    np.testing.assert_array_equal(applied.opt.gravity, compiled.opt.gravity)
    assert (applied.geom_rbound >= compiled.geom_rbound - 1e-12).all()
    # Both step to the same place, so nothing else depends on the parameters.
    ends = [stepped(robot, model) for model in (applied, compiled)]
    np.testing.assert_allclose(*ends, rtol=1e-6, atol=1e-9)
    assert not np.allclose(ends[0], stepped(robot, robot.model), atol=1e-4)


def compile_randomised(robot, randomised):
    """The robot's MJCF with the randomised values, compiled by MuJoCo."""
    spec = mujoco.MjSpec.from_file(str(MODELS / f"{robot.name}.xml"))
    floor = [geom for foot in robot.feet for geom in foot.geoms]
    add_contact_sensors(spec, floor, robot.contact_geoms)
    trunk, world = spec.body(robot.trunk), randomised.world
    own = robot.model.body(robot.trunk)
    trunk.mass = randomised.trunk_mass
    trunk.inertia = own.inertia * randomised.trunk_mass / own.mass
    trunk.ipos = own.ipos + randomised.com_shift
    for index, joint in enumerate(map(spec.joint, robot.joints)):
        for name in ("damping", "stiffness"):
            rest = np.ravel(getattr(joint, name))[1:]
            setattr(joint, name, [getattr(randomised, name)[index], *rest])
        joint.armature = randomised.armature[index]
        joint.frictionloss = randomised.friction_loss[index]
        joint.range = randomised.parameters.joint_range[index]
    for motor, joint in zip(spec.actuators, robot.model.actuator_trnid[:, 0], strict=True):
        limit = randomised.parameters.torque_limit[list(robot.joint_ids).index(joint)]
        motor.ctrlrange = [-limit, limit]
    for geom in spec.geoms:
        geom.solref = [-world.stiffness, -world.damping]
    for name in floor:
        geom = spec.geom(name)
        geom.friction = [world.friction, world.foot_torsion, world.foot_rolling]
        geom.size[0] *= randomised.foot_size_factor
    spec.geom("floor").friction = [world.friction, world.floor_torsion, world.floor_rolling]
    spec.option.gravity = [0.0, 0.0, -world.gravity]
    return spec.compile()


def stepped(robot, model):
    data = mujoco.MjData(model)
    data.qpos[:] = robot.nominal_qpos
    data.ctrl[:] = 1.0
    mujoco.mj_step(model, data, nstep=60)
    return data.qpos.copy()


def test_a_randomised_robot_changes_no_other_and_can_be_reverted(load):
    robot = load("unitree_go1")
    plain, mixed = (Simulator(robot, 3, threads=threads) for threads in (1, 2))
    mixed.set_model(1, sample_randomised_model(robot, 0))
    rng = np.random.default_rng(0)
    moves = 0.5 * rng.normal(size=(20, 3, robot.num_joints))
    for move in moves:
        plain.step(move)
        mixed.step(move)
    np.testing.assert_array_equal(plain.states[[0, 2]], mixed.states[[0, 2]])
    assert not np.allclose(plain.states[1], mixed.states[1], atol=1e-4)
    mixed.set_model(1, None)
    everyone, still = np.ones(3, bool), np.zeros(robot.model.nv)
    for simulator in (plain, mixed):
        simulator.reset(everyone, robot.nominal_qpos, still)
        for move in moves:
            simulator.step(move)
    np.testing.assert_array_equal(plain.states, mixed.states)


@pytest.mark.parametrize("physics", ["reference", "fast"])
def test_motors_use_the_randomised_parameters(load, physics):
    robot = load("unitree_h1")
    simulator, randomised = Simulator(robot, 2, physics), sample_randomised_model(robot, 5)
    simulator.set_model(1, randomised)
    rng = np.random.default_rng(0)
    for _ in range(5):
        action = rng.normal(size=(2, robot.num_joints))
        q, qd = simulator.qpos[1, robot.qpos_index], simulator.qvel[1, robot.qvel_index].copy()
        simulator.step(action)
        parameters, errors = randomised.parameters, randomised.motor_errors
        target = parameters.nominal + parameters.action_scale * action[1]
        law = (
            errors.kp * parameters.kp * (target - q - errors.offset)
            - errors.kd * parameters.kd * qd
        )
        limit = parameters.torque_limit
        expected = np.clip(errors.strength * law, -limit, limit)
        np.testing.assert_allclose(simulator.torques[1], expected, rtol=1e-10)
        speed = np.abs(simulator.qvel[1, robot.qvel_index])
        assert (speed <= parameters.max_velocity).all()


def test_descriptors_contain_the_parameters_and_not_the_errors(load):
    robot = load("unitree_go1")
    parameters = sample_randomised_model(robot, 2).parameters
    alone = describe(robot, parameters)
    many = describe(
        robot,
        type(parameters)(
            *(np.stack([a, b]) for a, b in zip(robot.parameters, parameters, strict=True))
        ),
    )
    for one, batch, own in zip(alone, many, robot.descriptor, strict=True):
        np.testing.assert_array_equal(batch[1], one)
        np.testing.assert_array_equal(batch[0], own)
    changed = alone.joints != robot.descriptor.joints
    assert not changed[:, :7].any()  # places, axes and tree are not randomised
    np.testing.assert_allclose(alone.joints[:, 8] * 500 + 500, parameters.torque_limit, rtol=1e-5)
    np.testing.assert_allclose(alone.context[3] * 85 + 85, parameters.mass, rtol=1e-5)
    np.testing.assert_allclose(alone.context[0] * 50 + 50, parameters.kp, rtol=1e-5)
