"""Left-right symmetry: what a mirror at the trunk's x-z plane does to joints and feet.

The mirror image of a joint is the joint with the reflected anchor and axis. Its angle changes sign
where the two axes point the same way, because rotations are axial vectors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np
from jaxtyping import Float

from bodyplan.errors import BodyplanError

if TYPE_CHECKING:
    from bodyplan.robots.robot import Robot

POLAR = (1.0, -1.0, 1.0)
"""Signs that the mirror gives to a position, a velocity or a force in the trunk frame."""
AXIAL = (-1.0, 1.0, -1.0)
"""Signs that it gives to a rotation axis, an angular velocity or a torque."""
TOLERANCE = 0.1
"""Largest distance of a reflected joint from its counterpart, as a share of the robot's size."""


@dataclass(frozen=True)
class MirrorMap:
    """A signed permutation that is its own inverse.

    Entry k of the mirror image is signs[k] times entry order[k] of the original.
    """

    order: tuple[int, ...]
    signs: tuple[float, ...]

    def __call__(self, values: Any) -> Any:
        """The mirror image of an array `[..., K]` of NumPy or JAX."""
        return values[..., np.array(self.order)] * np.array(self.signs, np.float32)

    @classmethod
    def in_place(cls, signs: Sequence[float]) -> "MirrorMap":
        """The map that leaves every entry in its place and changes signs only."""
        return cls(tuple(range(len(signs))), tuple(signs))

    def per_entry(self, signs: Sequence[float]) -> "MirrorMap":
        """The map of entries that have several numbers each, with a sign for each number."""
        parts = len(signs)
        return MirrorMap(
            tuple(parts * index + part for index in self.order for part in range(parts)),
            tuple(own * sign for own in self.signs for sign in signs),
        )

    def unsigned(self) -> "MirrorMap":
        """The same permutation without signs."""
        return MirrorMap(self.order, (1.0,) * len(self.order))

    def __add__(self, other: "MirrorMap") -> "MirrorMap":
        """The map of two vectors that are concatenated."""
        shift = len(self.order)
        order = (*self.order, *(shift + index for index in other.order))
        return MirrorMap(order, self.signs + other.signs)


def mirror_joints(robot: "Robot") -> MirrorMap:
    """The mirror map of the joints, in task order.

    Raises:
        BodyplanError: a joint has no counterpart, so the robot is not symmetric.
    """
    data = _nominal(robot)
    anchors = data.xanchor[robot.joint_ids] - data.qpos[:3]
    axes = data.xaxis[robot.joint_ids]
    size = float(np.linalg.norm(robot.box_size))
    reflected, reflected_axes = anchors * POLAR, axes * AXIAL
    distance = np.linalg.norm(reflected[:, None] - anchors[None], axis=-1) / size
    cosine = reflected_axes @ axes.T
    order = np.argmin(distance + 1.0 - np.abs(cosine), axis=1)
    each = np.arange(len(order))
    signs = np.sign(cosine[each, order])
    mismatch = distance[each, order] + 1.0 - np.abs(cosine[each, order])
    if (order[order] != each).any() or mismatch.max() > TOLERANCE:
        odd = robot.joints[int(mismatch.argmax())]
        raise BodyplanError(
            f"{robot.name} has no mirror image: joint '{odd}' has no counterpart on the other "
            "side; set symmetric = false in the [expert] table of its TOML"
        )
    return MirrorMap(tuple(order.tolist()), tuple(signs.tolist()))


def mirror_feet(robot: "Robot") -> MirrorMap:
    """The mirror map of the feet, in task order; what feet observe keeps its sign."""
    data = _nominal(robot)
    positions = data.xpos[list(robot.foot_bodies)] - data.qpos[:3]
    distance = np.linalg.norm((positions * POLAR)[:, None] - positions[None], axis=-1)
    return MirrorMap(tuple(np.argmin(distance, axis=1).tolist()), (1.0,) * robot.num_feet)


def _nominal(robot: "Robot") -> mujoco.MjData:
    data = mujoco.MjData(robot.model)
    data.qpos[:] = robot.nominal_qpos
    mujoco.mj_kinematics(robot.model, data)
    return data


def symmetrise(mirror: MirrorMap, values: Float[np.ndarray, "K"]) -> Float[np.ndarray, "K"]:
    """The mean of values and their mirror image."""
    mean: Float[np.ndarray, K] = 0.5 * (values + mirror(values))
    return mean
