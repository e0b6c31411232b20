"""The trunk's rotations against SciPy's."""

import numpy as np
from scipy.spatial.transform import Rotation

from bodyplan.envs import rotations

rng = np.random.default_rng(0)
QUATERNIONS = rng.normal(size=(500, 4))
QUATERNIONS /= np.linalg.norm(QUATERNIONS, axis=1, keepdims=True)


def test_world_to_trunk_is_scipys_inverse_rotation():
    vectors = np.random.default_rng(1).normal(size=(len(QUATERNIONS), 3))
    expected = Rotation.from_quat(QUATERNIONS, scalar_first=True).inv().apply(vectors)
    np.testing.assert_allclose(rotations.world_to_trunk(vectors, QUATERNIONS), expected, atol=1e-12)


def test_trunk_to_world_is_the_inverse():
    vectors = np.random.default_rng(2).normal(size=(len(QUATERNIONS), 3))
    inside = rotations.world_to_trunk(vectors, QUATERNIONS)
    np.testing.assert_allclose(rotations.trunk_to_world(inside, QUATERNIONS), vectors)


def test_roll_pitch_and_gravity_are_scipys():
    angles = Rotation.from_quat(QUATERNIONS, scalar_first=True).as_euler("xyz")
    down = rotations.projected_gravity(QUATERNIONS)
    roll, pitch = rotations.roll_pitch_from_gravity(down.T)
    np.testing.assert_allclose(np.stack([roll, pitch], axis=1), angles[:, :2], atol=1e-9)
    expected = rotations.world_to_trunk(np.tile([0.0, 0.0, -1.0], (len(down), 1)), QUATERNIONS)
    np.testing.assert_allclose(down, expected, atol=1e-12)
