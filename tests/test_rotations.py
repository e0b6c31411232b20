"""The trunk's attitude against SciPy's rotations."""

import numpy as np
from scipy.spatial.transform import Rotation

from bodyplan.envs import rotations

rng = np.random.default_rng(0)
QUATERNIONS = rng.normal(size=(500, 4))
QUATERNIONS /= np.linalg.norm(QUATERNIONS, axis=1, keepdims=True)


def test_vectors_turn_into_the_trunk_frame_as_scipy_turns_them():
    vectors = np.random.default_rng(1).normal(size=(len(QUATERNIONS), 3))
    turned = Rotation.from_quat(QUATERNIONS, scalar_first=True).inv().apply(vectors)
    np.testing.assert_allclose(rotations.world_to_trunk(vectors, QUATERNIONS), turned, atol=1e-12)


def test_what_is_turned_into_the_trunk_frame_and_out_of_it_is_as_it_was():
    vectors = np.random.default_rng(2).normal(size=(len(QUATERNIONS), 3))
    inside = rotations.world_to_trunk(vectors, QUATERNIONS)
    np.testing.assert_allclose(rotations.trunk_to_world(inside, QUATERNIONS), vectors)


def test_roll_and_pitch_are_scipys():
    angles = Rotation.from_quat(QUATERNIONS, scalar_first=True).as_euler("xyz")
    down = rotations.projected_gravity(QUATERNIONS)
    np.testing.assert_allclose(rotations.roll_pitch_from_gravity(down), angles[:, :2], atol=1e-9)
    told = rotations.world_to_trunk(np.tile([0.0, 0.0, -1.0], (len(down), 1)), QUATERNIONS)
    np.testing.assert_allclose(down, told, atol=1e-12)
