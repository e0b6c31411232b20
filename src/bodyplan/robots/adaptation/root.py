"""The root: a free joint in place of whatever holds the trunk, and the trunk's frame upright."""

import mujoco
import numpy as np

from bodyplan.robots.adaptation.removal import remove_joints
from bodyplan.robots.body_frame import standing_rotation
from bodyplan.robots.kinematic_tree import free_bodies
from bodyplan.robots.notes import Note, changed
from bodyplan.robots.validation.part_words import joint_words

UNTURNED = (1.0, 0.0, 0.0, 0.0)


def free_root(spec: mujoco.MjSpec, model: mujoco.MjModel) -> list[Note]:
    """Give the robot's root a free joint.

    Args:
        spec: the model with one tree of bodies, which is changed.
        model: the same model, compiled.
    """
    if free_bodies(model):
        return []
    root = int(np.flatnonzero(model.body_parentid == 0)[1])
    body = list(spec.bodies)[root]
    first, count = int(model.body_jntadr[root]), int(model.body_jntnum[root])
    joints = list(range(first, first + count))
    words = joint_words([model.joint(joint).name for joint in joints])
    lost = remove_joints(spec, model, joints)
    body.add_freejoint(name="root")
    for key in spec.keys:
        key.qpos = [0.0, 0.0, 1.0, *UNTURNED, *key.qpos]
        key.qvel = []
    instead = f" instead of {words}" if words else ""
    return [changed(f"body '{body.name or root}' has a free joint{instead}"), *lost]


def turn_upright(spec: mujoco.MjSpec, model: mujoco.MjModel) -> list[Note]:
    """Turn what is in the root's frame, so that z points up and x forward.

    Args:
        spec: the model, its root free, which is changed.
        model: the same model, compiled.
    """
    turn = standing_rotation(model)
    if turn is None:
        return []
    body = list(spec.bodies)[free_bodies(model)[0]]
    frame = body.add_frame(quat=turn.quat)
    for part in (*body.geoms, *body.sites, *body.cameras, *body.lights, *body.bodies):
        part.set_frame(frame)
    if body.explicitinertial:
        root = free_bodies(model)[0]
        body.fullinertia = np.full(6, np.nan)
        body.ialt.type = mujoco.mjtOrientation.mjORIENTATION_QUAT
        body.ipos, body.inertia = (
            _turned(turn.quat, model.body_ipos[root]),
            model.body_inertia[root],
        )
        body.iquat = _product(turn.quat, model.body_iquat[root])
    body.alt.type = mujoco.mjtOrientation.mjORIENTATION_QUAT
    body.quat = UNTURNED
    return [changed(f"the robot is turned, so that z points up and x forward: {turn.reason}")]


def _turned(quat: np.ndarray, vector: np.ndarray) -> np.ndarray:
    result = np.zeros(3)
    mujoco.mju_rotVecQuat(result, vector, quat)
    return result


def _product(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    result = np.zeros(4)
    mujoco.mju_mulQuat(result, first, second)
    return result
