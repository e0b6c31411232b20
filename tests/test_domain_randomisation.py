"""Specimens of robots: within their ranges, and as MuJoCo would compile the same parameters."""

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
def specimens(load):
    return {
        name: [sample_randomised_model(load(name), seed) for seed in range(MANY)]
        for name in ("unitree_go1",)
    }


def spans(values, low, high):
    """All within the ends, and near both of them."""
    values, slack = np.asarray(values), 0.05 * (np.asarray(high) - low)
    assert (values >= low).all()
    assert (values <= high).all()
    assert (values.min(axis=0) < low + slack).all()
    assert (values.max(axis=0) > high - slack).all()


def test_what_is_told_spans_the_ranges_of_go1(load, specimens):
    robot, ranges = load("unitree_go1"), load("unitree_go1").randomisation
    told = [specimen.parameters for specimen in specimens["unitree_go1"]]
    spans([f.mass - robot.mass for f in told], -0.8, 0.8)
    spans([f.nominal - robot.nominal for f in told], -0.01, 0.01)
    spans([f.joint_range - robot.joint_range for f in told], -0.05, 0.05)
    spans([f.torque_limit / robot.torque_limit for f in told], 0.5, 1.5)
    spans([f.max_velocity / robot.max_velocity for f in told], 0.85, 1.15)
    spans([f.kp for f in told], 17.0, 23.0)
    spans([f.kd for f in told], 0.4, 0.6)
    spans([f.action_scale for f in told], 0.22, 0.28)
    for figure in ("damping", "armature", "stiffness", "friction_loss"):
        values, own = (
            np.array([getattr(f, figure) for f in told]),
            getattr(robot.parameters, figure),
        )
        kept = values == own
        assert kept.mean() == pytest.approx(0.3, abs=0.03)
        spans(values[~kept], *getattr(ranges, figure).between)


def test_what_is_hidden_spans_its_ranges(load, specimens):
    robot, drawn = load("unitree_go1"), specimens["unitree_go1"]
    for figure in ("strength", "kp", "kd"):
        spans([getattr(s.motor_errors, figure) for s in drawn], 0.75, 1.25)
    spans([s.motor_errors.offset for s in drawn], -0.05, 0.05)
    spans([s.armature / s.parameters.armature for s in drawn], 0.5, 1.5)
    trunk = robot.model.body("trunk").mass[0]
    told = np.array([s.parameters.mass for s in drawn]) - robot.mass + trunk
    spans(np.array([s.trunk_mass for s in drawn]) / told, 0.75, 1.25)
    assert np.abs([s.com_shift for s in drawn]).max() <= 0.0025 * 1.25
    growth = np.array([s.foot_size_factor for s in drawn])
    assert (np.abs(growth - 1.0) <= 1.03 * 0.0235 / 0.023 - 1.0 + 1e-12).all()
    world = {name: [getattr(s.world, name) for s in drawn] for name in drawn[0].world._fields}
    spans(world["friction"], 0.001, 2.0)
    spans(world["foot_torsion"], 1e-5, 0.04)
    spans(world["gravity"], 8.81, 10.81)
    spans(world["stiffness"], 500.0, 1500.0)
    assert np.mean([s.delayed_actions for s in drawn]) == pytest.approx(0.05, abs=0.04)


def test_one_seed_is_one_specimen(load):
    one, same, other = (sample_randomised_model(load("talos"), seed) for seed in (3, 3, 4))
    assert repr(one) == repr(same) != repr(other)


def test_changes_may_be_relative_to_a_joints_own_parameters(load):
    robot, cassie = load("talos"), load("cassie")
    drawn = [sample_randomised_model(robot, seed).parameters for seed in range(MANY)]
    change = np.array([f.damping for f in drawn]) - robot.parameters.damping
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
        specimen = sample_randomised_model(robot, seed)
        assert specimen.parameters.mass == robot.mass
        assert specimen.parameters.kp == robot.kp
        assert specimen.foot_size_factor == pytest.approx(1.0, abs=0.03)
        np.testing.assert_array_equal(specimen.parameters.damping, robot.parameters.damping)


@every_family
def test_a_realised_specimen_is_what_mujoco_compiles_of_its_parameters(load, name):
    robot = load(name)
    specimen = sample_randomised_model(robot, seed=1)
    realised = copy(robot.model)
    apply_randomised_model(robot, specimen, realised)
    compiled = compile_specimen(robot, specimen)
    exact = ["body_mass", "body_inertia", "body_ipos", "body_subtreemass", "dof_damping"]
    exact += ["dof_armature", "dof_frictionloss", "jnt_stiffness", "jnt_range", "geom_size"]
    exact += ["actuator_ctrlrange", "geom_friction", "geom_solref", "dof_M0"]
    for field in (*exact, "dof_invweight0", "body_invweight0"):
        own, told = getattr(realised, field), getattr(compiled, field)
        np.testing.assert_allclose(own, told, rtol=1e-9, atol=1e-14, err_msg=field)
    np.testing.assert_array_equal(realised.opt.gravity, compiled.opt.gravity)
    assert (realised.geom_rbound >= compiled.geom_rbound - 1e-12).all()
    # Both step to the same place, so that nothing else depends on the parameters.
    ends = [_after_a_while(robot, model) for model in (realised, compiled)]
    np.testing.assert_allclose(*ends, rtol=1e-6, atol=1e-9)
    assert not np.allclose(ends[0], _after_a_while(robot, robot.model), atol=1e-4)


def compile_specimen(robot, specimen):
    """The specimen written into the robot's MJCF, and compiled."""
    spec = mujoco.MjSpec.from_file(str(MODELS / f"{robot.name}.xml"))
    floor = [geom for foot in robot.feet for geom in foot.geoms]
    add_contact_sensors(spec, floor, robot.contact_geoms)
    trunk, world = spec.body(robot.trunk), specimen.world
    own = robot.model.body(robot.trunk)
    trunk.mass = specimen.trunk_mass
    trunk.inertia = own.inertia * specimen.trunk_mass / own.mass
    trunk.ipos = own.ipos + specimen.com_shift
    for index, joint in enumerate(map(spec.joint, robot.joints)):
        for figure, told in (("damping", "damping"), ("stiffness", "stiffness")):
            array = getattr(joint, figure)
            setattr(joint, figure, [getattr(specimen, told)[index], *np.ravel(array)[1:]])
        joint.armature = specimen.armature[index]
        joint.frictionloss = specimen.friction_loss[index]
        joint.range = specimen.parameters.joint_range[index]
    for motor, joint in zip(spec.actuators, robot.model.actuator_trnid[:, 0], strict=True):
        limit = specimen.parameters.torque_limit[list(robot.joint_ids).index(joint)]
        motor.ctrlrange = [-limit, limit]
    for geom in spec.geoms:
        geom.solref = [-world.stiffness, -world.damping]
    for name in floor:
        geom = spec.geom(name)
        geom.friction = [world.friction, world.foot_torsion, world.foot_rolling]
        geom.size[0] *= specimen.foot_size_factor
    spec.geom("floor").friction = [world.friction, world.floor_torsion, world.floor_rolling]
    spec.option.gravity = [0.0, 0.0, -world.gravity]
    return spec.compile()


def _after_a_while(robot, model):
    data = mujoco.MjData(model)
    data.qpos[:] = robot.nominal_qpos
    data.ctrl[:] = 1.0
    mujoco.mj_step(model, data, nstep=60)
    return data.qpos.copy()


def test_a_specimen_among_others_changes_no_other_and_can_be_taken_back(load):
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
def test_the_motors_of_a_specimen_obey_its_parameters(load, physics):
    robot = load("unitree_h1")
    simulator, specimen = Simulator(robot, 2, physics), sample_randomised_model(robot, 5)
    simulator.set_model(1, specimen)
    rng = np.random.default_rng(0)
    for _ in range(5):
        action = rng.normal(size=(2, robot.num_joints))
        q, qd = simulator.qpos[1, robot.qpos_index], simulator.qvel[1, robot.qvel_index].copy()
        simulator.step(action)
        parameters, errors = specimen.parameters, specimen.motor_errors
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


def test_descriptors_tell_a_specimens_parameters_and_not_its_errors(load):
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
    assert not changed[:, :7].any()  # places, axes and the tree are the make's
    np.testing.assert_allclose(alone.joints[:, 8] * 500 + 500, parameters.torque_limit, rtol=1e-5)
    np.testing.assert_allclose(alone.context[3] * 85 + 85, parameters.mass, rtol=1e-5)
    np.testing.assert_allclose(alone.context[0] * 50 + 50, parameters.kp, rtol=1e-5)
