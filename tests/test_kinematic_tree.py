"""Bounds of geoms against points on their surfaces, and the limbs of a small tree."""

import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from bodyplan.robots.kinematic_tree import actuated_hinges, find_limbs, geom_bounds, joint_chain

TREE = """
<mujoco>
  <worldbody>
    <body name="trunk"><freejoint/><geom size="0.1"/>
      <body name="waist"><joint name="waist"/><geom size="0.1" contype="0" conaffinity="0"/>
        <body name="arm"><joint name="arm"/><geom name="hand" size="0.1"/></body>
        <body name="head"><joint name="head"/>
          <geom size="0.1" contype="0" conaffinity="0"/></body>
      </body>
      <body name="leg"><joint name="hip"/><geom size="0.1"/>
        <body name="shin"><joint name="knee"/><geom name="shin" size="0.1"/>
          <body name="toe"><joint name="spring"/><geom name="toe" size="0.1"/></body>
        </body>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor joint="waist"/><motor joint="arm"/><motor joint="head"/><motor joint="hip"/>
    <motor joint="knee"/>
  </actuator>
</mujoco>
"""


@pytest.fixture
def surfaces():
    """Points on the surface of a geom of each kind, in its own frame, and its MJCF."""
    ball = np.random.default_rng(0).normal(size=(20_000, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    ends = np.sign(ball) * [0.0, 0.0, 1.0]
    rim = ball * [1.0, 1.0, 0.0] / np.linalg.norm(ball[:, :2], axis=1, keepdims=True)
    return {
        'type="sphere" size=".3"': 0.3 * ball,
        'type="capsule" size=".1 .4"': 0.1 * ball + 0.4 * ends,
        'type="ellipsoid" size=".1 .2 .3"': ball * [0.1, 0.2, 0.3],
        'type="cylinder" size=".2 .3"': 0.2 * rim + 0.3 * ends,
        'type="box" size=".1 .2 .3"': np.sign(ball) * [0.1, 0.2, 0.3],
    }


def test_bounds_are_those_of_points_on_the_surface(surfaces):
    rotations = Rotation.random(len(surfaces), rng=np.random.default_rng(1))
    geoms = "".join(
        f'<geom {geom} pos="{i} 0 2" quat="{" ".join(map(str, own.as_quat(scalar_first=True)))}"/>'
        for i, (geom, own) in enumerate(zip(surfaces, rotations, strict=True))
    )
    model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{geoms}</worldbody></mujoco>")
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    low, high = geom_bounds(model, data, range(model.ngeom))
    for i, (points, own) in enumerate(zip(surfaces.values(), rotations, strict=True)):
        placed = own.apply(points) + np.array([i, 0.0, 2.0])
        np.testing.assert_allclose(low[i], placed.min(axis=0), atol=1e-3)
        np.testing.assert_allclose(high[i], placed.max(axis=0), atol=1e-3)


def test_bounds_of_a_mesh_are_those_of_its_vertices(tmp_path):
    corners = [(0, 0, 0), (0.5, 0, 0), (0, 0.4, 0), (0, 0, 0.3)]
    lines = [f"v {' '.join(map(str, own))}" for own in corners]
    lines += ["f 1 3 2", "f 1 2 4", "f 2 3 4", "f 1 4 3"]
    (tmp_path / "m.obj").write_text("\n".join(lines))
    (tmp_path / "m.xml").write_text(
        '<mujoco><asset><mesh name="m" file="m.obj"/></asset><worldbody>'
        '<geom type="mesh" mesh="m" euler="30 40 50"/></worldbody></mujoco>'
    )
    model = mujoco.MjModel.from_xml_path(str(tmp_path / "m.xml"))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    (low,), (high,) = geom_bounds(model, data, [0])
    rotation = Rotation.from_euler("XYZ", [30, 40, 50], degrees=True)  # MuJoCo's default order
    placed = rotation.apply(corners)
    np.testing.assert_allclose(low, placed.min(axis=0), atol=1e-6)
    np.testing.assert_allclose(high, placed.max(axis=0), atol=1e-6)


def test_limbs_end_in_geoms_that_touch_the_floor():
    model = mujoco.MjModel.from_xml_string(TREE)

    def names(kind, ids):
        return [mujoco.mj_id2name(model, kind, i) for i in ids]

    joint, geom = mujoco.mjtObj.mjOBJ_JOINT, mujoco.mjtObj.mjOBJ_GEOM
    driven = actuated_hinges(model)
    assert names(joint, driven) == ["waist", "arm", "head", "hip", "knee"]
    limbs = find_limbs(model, driven)  # the head touches nothing, so it is no limb
    assert [names(joint, own.joints) for own in limbs] == [["waist", "arm"], ["hip", "knee"]]
    assert [names(geom, own.geoms) for own in limbs] == [["hand"], ["shin", "toe"]]
    toe = model.body("toe").id
    assert names(joint, joint_chain(model, toe))[1:] == ["hip", "knee", "spring"]
