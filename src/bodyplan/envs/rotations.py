"""Rotations of the trunk: world and trunk frame, projected gravity, roll and pitch, quaternions.

Quaternions are (w, x, y, z) and of unit length, as in MuJoCo.
"""

import numpy as np
from jaxtyping import Float

from bodyplan.envs.components import Components, join_components, split_components, within


def world_to_trunk(
    vectors: Float[np.ndarray, "N 3"], orientation: Float[np.ndarray, "N 4"]
) -> Float[np.ndarray, "N 3"]:
    """Vectors of the world frame in the trunk frame; `orientation` is the trunk's quaternion."""
    turned = turn_into_trunk(split_components(vectors), split_components(orientation))
    return join_components(turned, len(vectors))


def turn_into_trunk(vector: Components, orientation: Components) -> Components:
    """`world_to_trunk` by component."""
    (x, y, z), (w, i, j, k) = vector, orientation
    tx, ty, tz = 2.0 * (k * y - j * z), 2.0 * (i * z - k * x), 2.0 * (j * x - i * y)
    return [
        x + w * tx + (k * ty - j * tz),
        y + w * ty + (i * tz - k * tx),
        z + w * tz + (j * tx - i * ty),
    ]


def trunk_to_world(
    vectors: Float[np.ndarray, "N 3"], orientation: Float[np.ndarray, "N 4"]
) -> Float[np.ndarray, "N 3"]:
    """Vectors of the trunk frame in the world frame; `orientation` is the trunk's quaternion."""
    return world_to_trunk(vectors, orientation * [1.0, -1.0, -1.0, -1.0])


def projected_gravity(orientation: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, "N 3"]:
    """The direction of gravity, a unit vector, in the frame of a trunk of this quaternion."""
    return join_components(gravity_direction(split_components(orientation)), len(orientation))


def gravity_direction(orientation: Components) -> Components:
    """`projected_gravity` by component."""
    w, x, y, z = orientation
    return [2.0 * (w * y - x * z), -2.0 * (w * x + y * z), 2.0 * (x * x + y * y) - 1.0]


def roll_pitch_from_gravity(gravity: Components) -> Components:
    """Roll and pitch (rad) of the extrinsic x-y-z Euler angles, from projected gravity."""
    x, y, z = gravity
    return [np.arctan2(-y, -z), np.arcsin(within(1.0, x))]


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
