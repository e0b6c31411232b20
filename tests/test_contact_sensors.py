"""Contact sensors against a plain loop over MuJoCo's contact list."""

import mujoco
import numpy as np
import pytest

from bodyplan.robots.contact_sensors import FLOOR, add_contact_sensors
from bodyplan.robots.registry import packaged_robots


def listed(model, data, geom, other=None):
    """Number of entries of the contact list between two geoms, or a geom and any."""
    wanted = {model.geom(name).id for name in (geom, other) if name}
    return sum(wanted <= set(pair) for pair in data.contact.geom.tolist())


def random_states(robot, count):
    """Poses near the floor, some upside down, with joints anywhere in and out of their range."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        qpos = robot.nominal_qpos.copy()
        qpos[2] = robot.drop_height * rng.uniform(0.3, 1.3)
        rotation = rng.normal(size=4) * rng.choice([0.1, 1.0]) + [1.0, 0.0, 0.0, 0.0]
        qpos[3:7] = rotation / np.linalg.norm(rotation)
        qpos[robot.qpos_index] += rng.normal(0.0, rng.choice([0.1, 1.0]), robot.num_joints)
        yield qpos


@pytest.mark.parametrize("name", packaged_robots())
def test_sensors_count_the_entries_of_the_contact_list(load, name):
    robot = load(name)
    model, data = robot.model, mujoco.MjData(robot.model)
    floor_geoms = [geom for foot in robot.feet for geom in foot.geoms]
    seen = []
    for qpos in random_states(robot, 100):
        data.qpos[:] = qpos
        mujoco.mj_forward(model, data)
        expected = [listed(model, data, geom, FLOOR) for geom in floor_geoms]
        expected += [listed(model, data, geom) for geom in robot.contact_geoms]
        assert data.sensordata.tolist() == expected
        seen.append(expected)
    # Every sensor must have been on in some states and off in others.
    assert (np.array(seen) > 0).any(axis=0).all()
    assert (np.array(seen) == 0).any(axis=0).all()


def test_a_pair_within_the_margin_is_a_contact_though_it_does_not_touch(load):
    robot = load("unitree_go1")
    model, data = robot.model, mujoco.MjData(robot.model)
    foot = robot.feet[0].geoms[0]
    margin = model.geom(foot).margin[0]
    assert margin == 0.001
    for gap, found in ((1.5 * margin, 0), (0.5 * margin, 1), (-0.5 * margin, 1)):
        data.qpos[:] = robot.nominal_qpos
        mujoco.mj_kinematics(model, data)
        lowest = data.geom(foot).xpos[2] - model.geom(foot).size[0]
        data.qpos[2] += gap - lowest
        mujoco.mj_forward(model, data)
        assert data.sensor(f"floor {foot}").data[0] == found
        assert listed(model, data, foot, FLOOR) == found


def test_a_model_without_a_floor_gets_one():
    spec = mujoco.MjSpec.from_string(
        "<mujoco><worldbody><body pos='0 0 0.4'><freejoint/><geom name='ball' size='0.5'/>"
        "</body></worldbody></mujoco>"
    )
    add_contact_sensors(spec, ["ball"], ["ball"])
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    assert model.geom(FLOOR).type == mujoco.mjtGeom.mjGEOM_PLANE
    assert data.sensordata.tolist() == [1.0, 1.0]
