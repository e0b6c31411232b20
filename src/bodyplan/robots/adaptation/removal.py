"""Removal of joints and bodies from a model, with all that refers to them."""

from collections.abc import Sequence

import mujoco
import numpy as np

from bodyplan.robots.notes import Note, dropped
from bodyplan.robots.validation.problem import name_list

KINDS = {"actuators": "actuator", "equalities": "equality", "tendons": "tendon", "pairs": "pair"}
KINDS |= {"cameras": "camera", "lights": "light"}
"""Elements that may refer to joints and bodies, and what one of them is called."""
COORDINATES = {
    mujoco.mjtJoint.mjJNT_FREE.value: 7,
    mujoco.mjtJoint.mjJNT_BALL.value: 4,
    mujoco.mjtJoint.mjJNT_SLIDE.value: 1,
    mujoco.mjtJoint.mjJNT_HINGE.value: 1,
}
"""Numbers in qpos, by the type of joint."""


def remove_joints(spec: mujoco.MjSpec, model: mujoco.MjModel, joints: Sequence[int]) -> list[Note]:
    """Remove joints; what referred to them is dropped, and keyframes lose their coordinates.

    Args:
        spec: the model, which is changed.
        model: the same model, compiled.
        joints: ids of the joints.
    """
    before = _elements(spec)
    elements = list(spec.joints)
    for joint in joints:
        if not elements[joint].name:  # the empty name would match every unnamed element
            elements[joint].name = f"removed {joint}"
    names = {elements[joint].name for joint in joints}
    tendons = [own for own in spec.tendons if names & _joints_of(own)]
    gone = (names | {own.name for own in tendons}) - {""}
    for actuator in list(spec.actuators):
        if actuator.target in gone:
            spec.delete(actuator)
    for equality in list(spec.equalities):
        if {equality.name1, equality.name2} & gone and equality.type in _JOINT_EQUALITIES:
            spec.delete(equality)
    for tendon in tendons:
        spec.delete(tendon)
    for joint in joints:
        spec.delete(elements[joint])
    remove_coordinates(spec, model, joints)
    return lost_elements(spec, before)


def remove_bodies(spec: mujoco.MjSpec, model: mujoco.MjModel, bodies: Sequence[int]) -> list[Note]:
    """Remove bodies and all below them; what referred to them is dropped.

    Args:
        spec: the model, which is changed.
        model: the same model, compiled.
        bodies: ids of the bodies.
    """
    before, elements = _elements(spec), list(spec.bodies)
    inside = [body for body in range(model.nbody) if set(_ancestors(model, body)) & set(bodies)]
    names = {elements[body].name for body in inside}
    for watcher in (*spec.cameras, *spec.lights):
        if watcher.targetbody in names - {""} and watcher.parent.name not in names:
            spec.delete(watcher)
    for body in bodies:
        spec.delete(elements[body])
    remove_coordinates(spec, model, np.flatnonzero(np.isin(model.jnt_bodyid, inside)).tolist())
    return lost_elements(spec, before)


def remove_coordinates(spec: mujoco.MjSpec, model: mujoco.MjModel, joints: Sequence[int]) -> None:
    """Take joints' coordinates out of all keyframes, which then say positions only."""
    lost: list[int] = []
    for joint in joints:
        first = int(model.jnt_qposadr[joint])
        lost += range(first, first + COORDINATES[int(model.jnt_type[joint])])
    for key in spec.keys:
        if len(key.qpos) == model.nq:
            key.qpos = np.delete(np.array(key.qpos), lost)
        key.qvel, key.act, key.ctrl, key.mpos, key.mquat = [], [], [], [], []


def lost_elements(spec: mujoco.MjSpec, before: dict[str, list[str]]) -> list[Note]:
    """A note for each kind of element of which some are gone."""
    notes = []
    for kind, word in KINDS.items():
        left = _elements(spec)[kind]
        gone = list(before[kind])
        for name in left:
            gone.remove(name)
        if gone:
            names = [name for name in gone if name]
            named = f": {name_list(names)}" if names else ""
            notes.append(dropped(f"{len(gone)} {word if len(gone) == 1 else kind}{named}"))
    return notes


def _elements(spec: mujoco.MjSpec) -> dict[str, list[str]]:
    return {kind: [own.name for own in getattr(spec, kind)] for kind in KINDS}


def _joints_of(tendon: mujoco.MjsTendon) -> set[str]:
    """Names of the joints that a tendon moves."""
    steps = [step for step in tendon.path if step.type == mujoco.mjtWrap.mjWRAP_JOINT]
    return {step.target.name for step in steps}


def _ancestors(model: mujoco.MjModel, body: int) -> list[int]:
    """A body and all above it."""
    chain = [body]
    while chain[-1]:
        chain.append(int(model.body_parentid[chain[-1]]))
    return chain


_JOINT_EQUALITIES = (mujoco.mjtEq.mjEQ_JOINT, mujoco.mjtEq.mjEQ_TENDON)
