"""Descriptors against recorded ones of the original task, and against published parameters."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

# The original's own counts for these do not follow the tree of their joints.
COUNTED_OTHERWISE = {"nao_v5", "robotis_op3", "talos", "unitree_g1"}
PUBLISHED = json.loads((Path(__file__).parent / "data" / "published_parameters.json").read_text())


@pytest.mark.parametrize("name", ["unitree_go1", "unitree_h1", "cassie", "hexapod"])
def test_descriptors_are_the_recorded_ones(load, recorded, name):
    descriptor, golden = load(name).descriptor, recorded(name)
    np.testing.assert_allclose(descriptor.joints, golden["joint_description"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(descriptor.feet, golden["foot_description"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(
        descriptor.context, golden["joint_description"][0, 16:], rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_every_robot_counts_the_joints_below_each_joint(load, name):
    robot, published = load(name), PUBLISHED[name]["task"]["children"]
    assert robot.children.tolist() == published
    np.testing.assert_allclose(robot.descriptor.joints[:, 6], np.array(published) - 1.0)
    counted = replace(robot, children_override=None).children
    assert (counted.tolist() != published) == (name in COUNTED_OTHERWISE)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_joints_feet_and_context_share_the_robot_wide_numbers(load, name):
    robot = load(name)
    joints, feet, context = robot.descriptor
    assert joints.shape == (robot.num_joints, 23)
    assert feet.shape == (robot.num_feet, 10)
    assert {part.dtype for part in robot.descriptor} == {np.dtype(np.float32)}
    assert (joints[:, 16:] == context).all()
    assert (feet[:, 3:] == context).all()
    # Unscaled by hand: gains, action scale, mass and box, by the formulas of the reference task.
    expected = [robot.kp / 50, robot.kd, robot.action_scale / 0.4, robot.mass / 85]
    np.testing.assert_allclose(context + 1, [*expected, *robot.box_size], rtol=1e-5)


def test_a_descriptor_shows_its_shapes(load):
    text = repr(load("unitree_go1").descriptor)
    assert text == "RobotDescriptor(joints [12, 23], feet [4, 10], context [7])"
