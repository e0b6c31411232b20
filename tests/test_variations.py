"""Variations of the packaged robots: larger, longer or heavier, and otherwise the same bodies."""

from copy import copy
from math import sqrt

import mujoco
import numpy as np
import pytest

from bodyplan.errors import BodyplanError
from bodyplan.grouping import body_graph
from bodyplan.robots import registry
from bodyplan.robots.procedural.robot_design import measure_pose
from bodyplan.robots.procedural.variations import Proportion, Variation, vary_robot

PACKAGED = pytest.mark.parametrize("origin", registry.packaged_robots())
SHAPE = [*range(8), 14, 15]
"""Columns of a joint's descriptor that say nothing of size: places, axes, angles, children."""
STRETCHED = Variation(
    size=1.2,
    trunk=Proportion(0.9, 1.1),
    upper_legs=Proportion(1.15, 0.9),
    lower_legs=Proportion(0.88, 1.2),
    upper_body=Proportion(1.1, 0.8),
)


@PACKAGED
def test_the_variation_that_changes_nothing_is_the_origin(load, origin):
    original, same = load(origin), vary_robot(origin, Variation()).robot()
    for name in ("body_mass", "body_inertia", "body_pos", "body_ipos", "geom_size", "geom_pos"):
        np.testing.assert_allclose(getattr(same.model, name), getattr(original.model, name))
    np.testing.assert_allclose(same.box_size, original.box_size, rtol=1e-4)
    assert same.drop_height == pytest.approx(original.drop_height, rel=1e-5)
    assert same.reward == original.reward
    for part, other in zip(same.descriptor, original.descriptor, strict=True):
        np.testing.assert_allclose(part, other, atol=2e-5)


@PACKAGED
@pytest.mark.parametrize("size", [0.7, 1.4])
def test_a_larger_robot_moves_as_the_small_one_in_slow_motion(load, origin, size):
    robots = load(origin), vary_robot(origin, Variation(size=size)).robot()
    assert robots[1].mass == pytest.approx(size**3 * robots[0].mass, rel=1e-6)
    poses, speeds = [], []
    for robot, unit in zip(robots, (1.0, sqrt(size)), strict=True):
        model, rng = copy(robot.model), np.random.default_rng(0)
        # In the air and without constraints: contacts and joint stops are the task's, and do not
        # grow with the body.
        model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONSTRAINT
        model.opt.timestep = 2e-3 * unit
        data = mujoco.MjData(model)
        data.qpos[:] = robot.nominal_qpos
        share = rng.uniform(-0.5, 0.5, robot.num_joints)
        data.ctrl[robot.actuator_ids] = share * robot.torque_limit
        mujoco.mj_step(model, data, 50)
        poses.append(np.r_[data.qpos[:3] - robot.nominal_qpos[:3], data.qpos[3:]])
        speeds.append(np.r_[data.qvel[:3], unit * data.qvel[3:]])
    poses[1][:3] /= size
    speeds[1][:3] /= sqrt(size)
    np.testing.assert_allclose(poses[1], poses[0], atol=1e-6)
    np.testing.assert_allclose(speeds[1], speeds[0], atol=1e-5)
    assert np.abs(speeds[0][6:]).max() > 0.5


@PACKAGED
def test_size_alone_changes_no_shape(load, origin):
    original, larger = load(origin), vary_robot(origin, Variation(size=1.3)).robot()
    first, second = body_graph(original), body_graph(larger)
    assert (first.nodes, first.edges) == (second.nodes, second.edges)
    np.testing.assert_allclose(second.joints[:, SHAPE], first.joints[:, SHAPE], atol=1e-4)
    np.testing.assert_allclose(second.feet[:, :3], first.feet[:, :3], atol=1e-4)
    np.testing.assert_allclose(larger.box_size, 1.3 * original.box_size, rtol=1e-4)


@PACKAGED
def test_all_legs_of_a_variation_change_alike(load, origin):
    """Left and right stay mirror images, and feet as level as they were."""
    original, varied = load(origin), vary_robot(origin, STRETCHED).robot()

    def bones(robot, body):
        lengths = []
        while robot.model.body_parentid[body]:
            lengths.append(np.linalg.norm(robot.model.body_pos[body]))
            body = robot.model.body_parentid[body]
        return np.array(lengths)

    ratios = []
    for first, second in zip(original.foot_bodies, varied.foot_bodies, strict=True):
        before, after = bones(original, first), bones(varied, second)
        ratios.append(after[before > 0.0] / before[before > 0.0])
    for pair in original.reward.symmetry_pairs:
        left, right = (next(i for i, f in enumerate(original.feet) if f.name == n) for n in pair)
        if len(ratios[left]) == len(ratios[right]):  # the badger's spine carries its hind legs
            np.testing.assert_allclose(ratios[left], ratios[right], rtol=1e-5)
    allowed = [1.2 * factor for factor in (0.9, 1.15, 0.88)]
    assert all(np.isclose(ratio, allowed, rtol=1e-5).any() for ratio in np.concatenate(ratios))
    clearance = original.drop_height + measure_pose(original).lowest_foot
    assert varied.drop_height + measure_pose(varied).lowest_foot == pytest.approx(
        1.2 * clearance, abs=1e-5
    )


def test_limbs_may_change_without_the_trunk(load):
    original = load("talos")
    varied = vary_robot("talos", Variation(upper_body=Proportion(1.1, 0.5))).robot()
    heavier = varied.model.body_mass / np.maximum(original.model.body_mass, 1e-9)
    bodies = [original.model.body(i).name for i in range(1, original.model.nbody)]
    changed = {name for name, ratio in zip(bodies, heavier[1:], strict=True) if ratio < 0.9}
    assert "arm_left_4_link" in changed
    assert "head_2_link" in changed
    assert not any(name.startswith(("leg", "trunk")) for name in changed)


def test_impossible_variations_are_refused_by_name():
    with pytest.raises(BodyplanError, match="not positive"):
        Variation(size=0.0)
    with pytest.raises(BodyplanError, match="'cat'.*anymal_b"):
        vary_robot("cat", Variation())
