"""Actuators: plain motors in place of the servos, geared motors and tendons of a model."""

from typing import NamedTuple

import mujoco
import numpy as np

from bodyplan.robots.kinematic_tree import (
    driven_joint,
    driven_joints,
    following_joints,
    geom_bounds,
    robot_geoms,
)
from bodyplan.robots.notes import Note, changed, dropped, guessed
from bodyplan.robots.validation.motor_checks import servo_kind
from bodyplan.robots.validation.problem import name_list

MAX_TORQUE_RATIO = 3.0
"""Torque limit over mass, gravity and height; the packaged robots have 0.02 to 1.6."""
USUAL_TORQUE_RATIO = 0.5
"""A guess of the same ratio."""
SERVO_ANGLE = 0.25
"""rad: position error at which a servo without a force limit is assumed to reach its limit."""


class TorqueLimit(NamedTuple):
    """The torque limit of a joint's motor."""

    limit: float
    """N m."""
    guess: str
    """What the limit was guessed from; empty where the model contains it."""


def replace_actuators(spec: mujoco.MjSpec, model: mujoco.MjModel) -> list[Note]:
    """Give each driven hinge one motor of gear 1 with the torque limit it had.

    A hinge that a fixed tendon drives gets a motor of its own. A hinge that follows another by an
    equality gets none. A model without any actuator gets a motor on every hinge without a spring.

    Args:
        spec: the model, which is changed.
        model: the same model, compiled.
    """
    if model.nu and all(_is_plain(model, actuator) for actuator in range(model.nu)):
        return []
    reference = _reference_torque(model)
    followers = dict(following_joints(model).values())
    joints = [joint for joint in _driven_hinges(model) if joint not in followers]
    actuators = {joint: _actuators_of(model, joint) for joint in joints}
    names = [model.joint(joint).name for joint in joints]
    torques = [_torque_limit(model, joint, actuators[joint], reference) for joint in joints]
    for actuator in list(spec.actuators):
        spec.delete(actuator)
    for name, torque in zip(names, torques, strict=True):
        _add(spec, name, torque.limit)
    used = {actuator for own in actuators.values() for actuator in own}
    before = _kinds(model, used) if used else "nothing"
    notes = [changed(f"plain motors on {len(joints)} joints, which had {before}")]
    notes += [_following(model, followers)] if followers else []
    through = [name for name, joint in zip(names, joints, strict=True) if _by_tendon(model, joint)]
    if through:
        notes.append(changed(f"motors in place of tendons: {name_list(through)}"))
    lost = [model.actuator(i).name or f"number {i + 1}" for i in range(model.nu) if i not in used]
    notes += [dropped(f"actuators that drive no hinge: {name_list(lost)}")] if lost else []
    return [*notes, *_guesses(names, torques)]


def _driven_hinges(model: mujoco.MjModel) -> list[int]:
    """Ids of the hinges that get a motor."""
    hinge = model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE.value
    driven = {joint for i in range(model.nu) for joint in driven_joints(model, i)}
    chosen = hinge & (model.jnt_stiffness == 0.0)
    if model.nu:
        chosen = hinge & np.isin(np.arange(model.njnt), list(driven))
    return [int(joint) for joint in np.flatnonzero(chosen)]


def _actuators_of(model: mujoco.MjModel, joint: int) -> list[int]:
    """The actuators that drive a joint: its own, else those that drive it through a tendon."""
    own = [i for i in range(model.nu) if driven_joint(model, i) == joint]
    return own or [i for i in range(model.nu) if joint in driven_joints(model, i)]


def _by_tendon(model: mujoco.MjModel, joint: int) -> bool:
    """Whether a joint is driven through tendons only."""
    return bool(model.nu) and all(driven_joint(model, i) != joint for i in range(model.nu))


def _following(model: mujoco.MjModel, followers: dict[int, int]) -> Note:
    pairs = ", ".join(
        f"'{model.joint(own).name}' follows '{model.joint(other).name}'"
        for own, other in followers.items()
    )
    return changed(f"no motor on joints that follow others (mimic): {pairs}")


def _is_plain(model: mujoco.MjModel, actuator: int) -> bool:
    joint = driven_joint(model, actuator)
    gear = model.actuator_gear[actuator, 0] * model.actuator_gainprm[actuator, 0]
    hinge = joint >= 0 and model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_HINGE.value
    limit = model.actuator_ctrlrange[actuator, 1] > 0.0
    plain = hinge and limit and gear == 1.0 and not servo_kind(model, actuator)
    return bool(plain and joint not in dict(following_joints(model).values()))


def _reference_torque(model: mujoco.MjModel) -> float:
    """Weight times the height of the root over the lowest geom, N m."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    low = geom_bounds(model, data, robot_geoms(model))[0][:, 2].min()
    height = max(float(data.xpos[1, 2] - low), 0.1 * model.stat.extent)
    return float(model.body_mass.sum()) * 9.81 * height


def _torque_limit(
    model: mujoco.MjModel, joint: int, actuators: list[int], reference: float
) -> TorqueLimit:
    """The torque limit of a joint: that of its actuator, else of the joint itself, else a guess."""
    given = [_actuator_limit(model, actuator, joint) for actuator in actuators]
    if model.jnt_actfrclimited[joint]:
        given.append(float(np.abs(model.jnt_actfrcrange[joint]).min()))
    limits = [limit for limit in given if 0.0 < limit < MAX_TORQUE_RATIO * reference]
    if limits:
        return TorqueLimit(min(limits), "")
    for actuator in actuators:
        if servo_kind(model, actuator) == "a position servo":
            gear = _gear(model, actuator, joint)
            stiffness = -float(model.actuator_biasprm[actuator, 1]) * gear**2
            if 0.0 < SERVO_ANGLE * stiffness < MAX_TORQUE_RATIO * reference:
                limit = float(f"{SERVO_ANGLE * stiffness:.3g}")
                return TorqueLimit(limit, f"its kp times {SERVO_ANGLE:g} rad")
    return TorqueLimit(
        float(f"{USUAL_TORQUE_RATIO * reference:.2g}"),
        f"{USUAL_TORQUE_RATIO:g} of the robot's weight times its height",
    )


def _actuator_limit(model: mujoco.MjModel, actuator: int, joint: int) -> float:
    """The joint torque that an actuator's own limits allow, N m; infinite without limits."""
    gear, limits = abs(_gear(model, actuator, joint)), [np.inf]
    if model.actuator_forcelimited[actuator]:
        limits.append(float(np.abs(model.actuator_forcerange[actuator]).max()) * gear)
    if model.actuator_ctrllimited[actuator] and not servo_kind(model, actuator):
        gain = abs(float(model.actuator_gainprm[actuator, 0]))
        limits.append(float(np.abs(model.actuator_ctrlrange[actuator]).max()) * gain * gear)
    return min(limits)


def _gear(model: mujoco.MjModel, actuator: int, joint: int) -> float:
    """Joint torque over actuator force: the gear, times the joint's coefficient in a tendon."""
    gear = float(model.actuator_gear[actuator, 0])
    if driven_joint(model, actuator) == joint or joint not in driven_joints(model, actuator):
        return gear
    tendon = int(model.actuator_trnid[actuator, 0])
    if model.actuator_trntype[actuator] != mujoco.mjtTrn.mjTRN_TENDON.value:
        return gear
    first, count = int(model.tendon_adr[tendon]), int(model.tendon_num[tendon])
    steps = slice(first, first + count)
    return gear * float(model.wrap_prm[steps][model.wrap_objid[steps] == joint][0])


def _add(spec: mujoco.MjSpec, joint: str, limit: float) -> None:
    motor = spec.add_actuator(name=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT, target=joint)
    motor.set_to_motor()
    # The model's defaults for actuators may differ, so every attribute that matters is set here.
    motor.gear = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    motor.ctrllimited, motor.ctrlrange = True, [-limit, limit]
    motor.forcelimited, motor.forcerange = False, [0.0, 0.0]
    motor.actlimited, motor.inheritrange = False, 0.0


def _kinds(model: mujoco.MjModel, actuators: set[int]) -> str:
    kinds = {
        servo_kind(model, i) or "a motor of another gear or without a ctrlrange" for i in actuators
    }
    return " and ".join(sorted(kinds))


def _guesses(names: list[str], torques: list[TorqueLimit]) -> list[Note]:
    """One line for each source of a guess."""
    notes = []
    for source in dict.fromkeys(torque.guess for torque in torques if torque.guess):
        own = [name for name, torque in zip(names, torques, strict=True) if torque.guess == source]
        sizes = sorted({torque.limit for torque in torques if torque.guess == source})
        size = f"{sizes[0]:g}" if len(sizes) == 1 else f"{sizes[0]:g} to {sizes[-1]:g}"
        notes.append(guessed(f"torque limits of {name_list(own)}: {size} N m, {source}"))
    return notes
