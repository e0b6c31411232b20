"""Left and right: the same body seen in a mirror through its trunk's x-z plane.

A walk that is good is as good mirrored. What the mirror does to joints and feet follows from the
model: a joint's mirror image is the joint whose anchor and axis are the reflected ones, and its
angle changes sign where the two axes turn the same way, because rotations are axial vectors.
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
"""What the mirror does to a position, a velocity or a force in the trunk frame."""
AXIAL = (-1.0, 1.0, -1.0)
"""What it does to a rotation axis, a turn rate or a torque."""
TOLERANCE = 0.1
"""Distance between a reflected joint and its counterpart, as a share of the robot's size."""


@dataclass(frozen=True)
class MirrorMap:
    """A signed permutation that is its own inverse: entry k of the image is signs[k] times entry
    order[k] of the original.
    """

    order: tuple[int, ...]
    signs: tuple[float, ...]

    def __call__(self, values: Any) -> Any:
        """The mirror image of an array `[..., K]` of NumPy or JAX."""
        return values[..., np.array(self.order)] * np.array(self.signs, np.float32)

    @classmethod
    def kept(cls, signs: Sequence[float]) -> "MirrorMap":
        """Entries stay in place and change sign at most."""
        return cls(tuple(range(len(signs))), tuple(signs))

    def repeated(self, signs: Sequence[float]) -> "MirrorMap":
        """Of entries that each have several parts, each part with a sign of its own."""
        parts = len(signs)
        return MirrorMap(
            tuple(parts * index + part for index in self.order for part in range(parts)),
            tuple(own * sign for own in self.signs for sign in signs),
        )

    def unsigned(self) -> "MirrorMap":
        """The permutation alone."""
        return MirrorMap(self.order, (1.0,) * len(self.order))

    def __add__(self, other: "MirrorMap") -> "MirrorMap":
        """Of two vectors end to end."""
        shift = len(self.order)
        order = (*self.order, *(shift + index for index in other.order))
        return MirrorMap(order, self.signs + other.signs)


def mirror_joints(robot: "Robot") -> MirrorMap:
    """What the mirror does to the joints, in task order.

    Raises:
        BodyplanError: a joint has no counterpart, so the robot is not symmetric.
    """
    data = _nominal(robot)
    anchors = data.xanchor[robot.joint_ids] - data.qpos[:3]
    axes = data.xaxis[robot.joint_ids]
    size = float(np.linalg.norm(robot.box_size))
    reflected, turned = anchors * POLAR, axes * AXIAL
    away = np.linalg.norm(reflected[:, None] - anchors[None], axis=-1) / size
    alike = turned @ axes.T
    order = np.argmin(away + 1.0 - np.abs(alike), axis=1)
    each = np.arange(len(order))
    signs = np.sign(alike[each, order])
    badness = away[each, order] + 1.0 - np.abs(alike[each, order])
    if (order[order] != each).any() or badness.max() > TOLERANCE:
        odd = robot.joints[int(badness.argmax())]
        raise BodyplanError(
            f"{robot.name} has no mirror image: joint '{odd}' has no counterpart on the other "
            "side; set symmetric = false in the [expert] table of its TOML"
        )
    return MirrorMap(tuple(order.tolist()), tuple(signs.tolist()))


def mirror_feet(robot: "Robot") -> MirrorMap:
    """What the mirror does to the feet, in task order; their numbers keep their signs."""
    data = _nominal(robot)
    places = data.xpos[list(robot.foot_bodies)] - data.qpos[:3]
    away = np.linalg.norm((places * POLAR)[:, None] - places[None], axis=-1)
    return MirrorMap(tuple(np.argmin(away, axis=1).tolist()), (1.0,) * robot.num_feet)


def _nominal(robot: "Robot") -> mujoco.MjData:
    data = mujoco.MjData(robot.model)
    data.qpos[:] = robot.nominal_qpos
    mujoco.mj_kinematics(robot.model, data)
    return data


def symmetrise(reflection: MirrorMap, values: Float[np.ndarray, "K"]) -> Float[np.ndarray, "K"]:
    """The mean of values and their mirror image."""
    mean: Float[np.ndarray, K] = 0.5 * (values + reflection(values))
    return mean
