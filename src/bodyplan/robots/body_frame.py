"""The body frame: does the root's z axis point up and its x axis forward, and if not, which do?

The task resets a robot with its root's frame upright. Models whose up axis is y, or that face y,
would lie on their side or walk sideways. What the author meant is read from the keyframe in which
the robot stands, else from the rotation of its root body, else from where legs point and how their
hinges turn.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float

from bodyplan.robots.kinematic_tree import Limb, find_limbs, free_bodies, geom_bounds

MIN_UPRIGHT = 0.98
"""Vertical component of the trunk's z axis."""
LEG_SHARE = 0.5
"""Share of the limbs' lengths that must point along an axis for it to be down."""
UPRIGHT_SHARE = 0.7
"""The same for the axis of the hinges to say which way is forward: sprawled legs do not tell."""
FEW = 0.1
"""Share of the hinges that may turn about an axis about which none should."""
HINGE_RATIO = 1.5
"""How many times more hinges must turn about one axis than about the others."""
FRONT = re.compile(r"(^|[^a-z])(f[lr]|[lr]f|front|fore)([^a-z]|$)", re.IGNORECASE)
REAR = re.compile(r"(^|[^a-z])([rh][lr]|[lr]h|rear|hind|back)([^a-z]|$)", re.IGNORECASE)
"""Usual names of front and rear legs."""
AXIS_NAMES = "xyz"


class Turn(NamedTuple):
    """A rotation of the root's content that makes its frame upright."""

    quat: Float[np.ndarray, "4"]
    reason: str
    """Why, in words."""


def standing_rotation(model: mujoco.MjModel) -> Turn | None:
    """The rotation after which z points up and x forward; None where they do, or nothing tells.

    Args:
        model: the compiled model, its first joint free.
    """
    root = free_bodies(model)[0]
    for key in range(model.nkey):
        own = model.key_qpos[key, 3:7]
        if _upright(own) < MIN_UPRIGHT and np.linalg.norm(own) > 0.5:
            return Turn(own.copy(), f"its keyframe {model.key(key).name or key} says so")
    own = model.body_quat[root]
    if _upright(own) < MIN_UPRIGHT:
        return Turn(own.copy(), "its root body is tilted")
    if not np.allclose(np.abs(own), (1.0, 0.0, 0.0, 0.0), atol=1e-6):
        return None  # the author has turned it about the vertical
    return _from_legs(model)


def _upright(quat: Float[np.ndarray, "4"]) -> float:
    """Vertical component of the z axis."""
    return float(1.0 - 2.0 * np.square(quat[1:3]).sum() / max(np.square(quat).sum(), 1e-9))


def _from_legs(model: mujoco.MjModel) -> Turn | None:
    hinges = np.flatnonzero(model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE.value).tolist()
    limbs = find_limbs(model, hinges)
    if not limbs:
        return None
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    reach = []
    for limb in limbs:
        low, high = geom_bounds(model, data, limb.geoms)
        tip = 0.5 * (low.min(axis=0) + high.max(axis=0))
        reach.append(tip - data.xanchor[limb.joints[0]])
    vectors = np.array(reach)
    length = np.linalg.norm(vectors, axis=1).sum()
    shares = vectors.sum(axis=0) / max(length, 1e-9)
    joints = sorted({joint for limb in limbs for joint in limb.joints})
    turning = np.abs(data.xaxis[joints]).sum(axis=0) / len(joints)
    lateral = _lateral(turning)
    down = int(np.abs(shares).argmax())
    up = -np.sign(shares[down]) * np.eye(3)[down]
    # Limbs of an upright robot may be stretched forwards where angles are zero; its hips then turn
    # about x. They may be stretched upwards where nothing limits them.
    doubtful = (
        turning[0] > FEW or turning[2] < FEW or abs(shares[0]) < UPRIGHT_SHARE,
        lateral in (None, 1),
        up[2] < 0.0 and not model.jnt_limited[joints].all(),
    )
    if abs(shares[down]) < LEG_SHARE or doubtful[down]:
        down, up = 2, np.eye(3)[2]
    sideways = 1 if down != 1 else 2
    if abs(shares[down]) > UPRIGHT_SHARE and lateral not in (None, down):
        sideways = int(lateral or 0)
    forward = np.eye(3)[3 - down - sideways]
    if _faces_back(model, limbs, data.xpos @ forward):
        forward = -forward
    if up[2] == 1.0 and forward[0] == 1.0:
        return None
    turn = np.array([forward, np.cross(up, forward), up])
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, turn.ravel())
    return Turn(quat, f"its legs point away from {_axis(up)}, and it faces {_axis(forward)}")


def _axis(direction: Float[np.ndarray, "3"]) -> str:
    """The name of an axis, with its sign."""
    axis = int(np.abs(direction).argmax())
    return ("-" if direction[axis] < 0.0 else "") + AXIS_NAMES[axis]


def _faces_back(
    model: mujoco.MjModel, limbs: Sequence[Limb], places: Float[np.ndarray, "B"]
) -> bool:
    """Whether limbs that are called front ones are all behind those that are called rear ones.

    Args:
        model: the compiled model.
        limbs: its limbs.
        places: of all bodies along the forward axis, m.
    """
    bodies = [int(model.jnt_bodyid[limb.joints[0]]) for limb in limbs]
    front = [places[body] for body in bodies if FRONT.search(model.body(body).name)]
    rear = [places[body] for body in bodies if REAR.search(model.body(body).name)]
    return bool(front and rear and max(front) < min(rear))


def _lateral(turning: Float[np.ndarray, "3"]) -> int | None:
    """The axis about which most hinges turn, as hips and knees do; None where it is not clear."""
    order = turning.argsort()
    return int(order[2]) if turning[order[2]] > HINGE_RATIO * turning[order[1]] else None
