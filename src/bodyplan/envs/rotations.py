"""Rotations of the trunk: world and trunk frame, projected gravity, roll and pitch, quaternions.

Quaternions are (w, x, y, z) and of unit length, as in MuJoCo.
"""

import numpy as np
from jaxtyping import Float


def world_to_trunk(
    vectors: Float[np.ndarray, "N 3"], orientation: Float[np.ndarray, "N 4"]
) -> Float[np.ndarray, "N 3"]:
    """Vectors of the world frame in the trunk frame; `orientation` is the trunk's quaternion."""
    w, axis = orientation[:, :1], -orientation[:, 1:]
    twice = 2.0 * _cross(axis, vectors)
    return vectors + w * twice + _cross(axis, twice)


def trunk_to_world(
    vectors: Float[np.ndarray, "N 3"], orientation: Float[np.ndarray, "N 4"]
) -> Float[np.ndarray, "N 3"]:
    """Vectors of the trunk frame in the world frame; `orientation` is the trunk's quaternion."""
    return world_to_trunk(vectors, orientation * [1.0, -1.0, -1.0, -1.0])


def projected_gravity(orientation: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, "N 3"]:
    """The direction of gravity, a unit vector, in the frame of a trunk of this quaternion."""
    w, x, y, z = orientation.T
    down = [2.0 * (w * y - x * z), -2.0 * (w * x + y * z), 2.0 * (x * x + y * y) - 1.0]
    return np.stack(down, axis=1)


def roll_pitch_from_gravity(gravity: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 2"]:
    """Roll and pitch (rad) of the extrinsic x-y-z Euler angles, from projected gravity."""
    x, y, z = gravity.T
    return np.stack([np.arctan2(-y, -z), np.arcsin(np.clip(x, -1.0, 1.0))], axis=1)


def euler_to_quaternion(angles: Float[np.ndarray, "M 3"]) -> Float[np.ndarray, "M 4"]:
    """Quaternions of extrinsic x-y-z Euler angles (rad)."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles / 2.0).T, np.sin(angles / 2.0).T
    return np.stack(
        [
            cx * cy * cz + sx * sy * sz,
            sx * cy * cz - cx * sy * sz,
            cx * sy * cz + sx * cy * sz,
            cx * cy * sz - sx * sy * cz,
        ],
        axis=1,
    )


def _cross(a: Float[np.ndarray, "N 3"], b: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
    """The cross product; NumPy's own takes three times as long for small N."""
    (ax, ay, az), (bx, by, bz) = a.T, b.T
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=1)
