"""Joints: ranges and armature for those that a policy drives, and a lock for those that slide."""

from collections.abc import Sequence
from pathlib import Path

import mujoco
import numpy as np

from bodyplan.errors import BodyplanError
from bodyplan.robots.adaptation.removal import remove_joints
from bodyplan.robots.inference.gains import usual_kp
from bodyplan.robots.kinematic_tree import (
    Limb,
    actuated_hinges,
    driven_joints,
    find_limbs,
    following_joints,
    geom_bounds,
)
from bodyplan.robots.model_parameters import MIN_INERTIA_PER_KP
from bodyplan.robots.notes import Note, changed, guessed
from bodyplan.robots.validation.problem import name_list

HALF_TURN = 3.1416
"""rad."""
WHEEL_OFFSET = 0.2
"""Distance of a wheel's middle from its axis, as a share of its size, up to which it is one."""


def lock_sliding_joints(spec: mujoco.MjSpec, model: mujoco.MjModel, is_urdf: bool) -> list[Note]:
    """Fix sliding joints that would have had a motor, because the task drives hinges only.

    Args:
        spec: the model, which is changed.
        model: the same model, compiled.
        is_urdf: a URDF has no motors; each of its joints is meant to have one.
    """
    slide = np.flatnonzero(model.jnt_type == mujoco.mjtJoint.mjJNT_SLIDE.value)
    driven = {joint for i in range(model.nu) for joint in driven_joints(model, i)}
    followers = dict(following_joints(model).values())
    sliding = [int(joint) for joint in slide if joint in driven or is_urdf or joint in followers]
    if not sliding:
        return []
    names = name_list(model.joint(joint).name for joint in sliding)
    lost = remove_joints(spec, model, sliding)
    text = f"sliding joints are fixed at zero, because a policy drives hinges only: {names}"
    return [changed(text), *lost]


def lock_wheels(
    source: Path, spec: mujoco.MjSpec, model: mujoco.MjModel, wanted: bool
) -> list[Note]:
    """Fix wheels where that is wanted: the task drives joints to angles, and wheels would stop.

    Args:
        source: path of the model, which messages name.
        spec: the model, which is changed.
        model: the same model, compiled.
        wanted: whether wheels may be fixed.

    Raises:
        BodyplanError: there are wheels, joints without limits that spin what touches the floor
            about its own middle, and they may not be fixed.
    """
    wheels = [
        joint
        for joint, geoms in ((limb.joints[-1], limb.geoms) for limb in _limbs(model))
        if not model.jnt_limited[joint] and _spins_in_place(model, joint, geoms)
    ]
    if not wheels:
        return []
    names = name_list((model.joint(joint).name for joint in wheels), most=len(wheels))
    if not wanted:
        raise BodyplanError(
            f"{source} stands on wheels ({names}), and the task drives joints to angles; to walk "
            "on locked wheels, give --lock-wheels"
        )
    lost = remove_joints(spec, model, wheels)
    return [changed(f"wheels are fixed at zero: {names}"), *lost]


def _limbs(model: mujoco.MjModel) -> list[Limb]:
    return find_limbs(model, actuated_hinges(model))


def add_ranges(spec: mujoco.MjSpec, model: mujoco.MjModel) -> list[Note]:
    """Give every actuated joint a range."""
    driven = [joint for joint in actuated_hinges(model) if not model.jnt_limited[joint]]
    names = [model.joint(joint).name for joint in driven]
    angle = 180.0 if spec.compiler.degree else HALF_TURN  # a spec keeps the unit of its file
    for joint in spec.joints:
        if joint.name in names:
            joint.limited, joint.range = True, [-angle, angle]
    return [guessed(f"ranges of {name_list(names)}: a full turn, none is given")] if names else []


def add_armature(spec: mujoco.MjSpec, model: mujoco.MjModel) -> list[Note]:
    """Give all motors an armature, where none has one."""
    driven = actuated_hinges(model)
    if (model.dof_armature[model.jnt_dofadr[driven]] > 0.0).any():
        return []
    armature = float(f"{MIN_INERTIA_PER_KP * usual_kp(float(model.body_mass.sum())):.1g}")
    names = {model.joint(joint).name for joint in driven}
    for joint in spec.joints:
        if joint.name in names:
            joint.armature = armature
    text = f"armature of all motors: {armature:g} kg m^2, so that joints do not shake"
    return [guessed(text)]


def _spins_in_place(model: mujoco.MjModel, joint: int, geoms: Sequence[int]) -> bool:
    """Whether a joint's axis goes through the middle of geoms, as a wheel's does."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    low, high = geom_bounds(model, data, geoms)
    corner, other = low.min(axis=0), high.max(axis=0)
    arm = 0.5 * (corner + other) - data.xanchor[joint]
    distance = np.linalg.norm(np.cross(arm, data.xaxis[joint]))
    return bool(distance < WHEEL_OFFSET * (other - corner).max())
