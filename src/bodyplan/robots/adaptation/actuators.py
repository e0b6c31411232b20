"""Actuators: plain motors in place of the servos and geared motors of a model."""

from typing import NamedTuple

import mujoco
import numpy as np

from bodyplan.robots.kinematic_tree import actuated_hinges, driven_joint, geom_bounds, robot_geoms
from bodyplan.robots.validation.model_checks import servo_kind
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


class ActuatorChanges(NamedTuple):
    """What was changed of a model's actuators, and which torques are guesses; sentences."""

    changes: list[str]
    guesses: list[str]


def replace_actuators(spec: mujoco.MjSpec, model: mujoco.MjModel) -> ActuatorChanges:
    """Give each actuated hinge one motor of gear 1 with the torque limit it had.

    A model without any actuator gets a motor on every hinge without a spring.

    Args:
        spec: the model, which is changed.
        model: the same model, compiled.
    """
    if model.nu and all(_is_plain(model, actuator) for actuator in range(model.nu)):
        return ActuatorChanges([], [])
    reference = _reference_torque(model)
    joints = actuated_hinges(model) if model.nu else _unsprung(model)
    actuators = [
        [i for i in range(model.nu) if driven_joint(model, i) == joint] for joint in joints
    ]
    torques = [
        _torque_limit(model, joint, own, reference)
        for joint, own in zip(joints, actuators, strict=True)
    ]
    for actuator in list(spec.actuators):
        spec.delete(actuator)
    names = [model.joint(joint).name for joint in joints]
    for name, torque in zip(names, torques, strict=True):
        _add(spec, name, torque.limit)
    used = {actuator for own in actuators for actuator in own}
    before = _kinds(model, used) if used else "nothing"
    changes = [f"plain motors on {len(joints)} joints, which had {before}"]
    lost = [model.actuator(i).name or f"number {i + 1}" for i in range(model.nu) if i not in used]
    changes += [f"actuators that drive no hinge removed: {name_list(lost)}"] if lost else []
    return ActuatorChanges(changes, _guesses(names, torques))


def _is_plain(model: mujoco.MjModel, actuator: int) -> bool:
    joint = driven_joint(model, actuator)
    gear = model.actuator_gear[actuator, 0] * model.actuator_gainprm[actuator, 0]
    hinge = joint >= 0 and model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_HINGE.value
    limit = model.actuator_ctrlrange[actuator, 1] > 0.0
    return bool(hinge and limit and gear == 1.0 and not servo_kind(model, actuator))


def _reference_torque(model: mujoco.MjModel) -> float:
    """Weight times the height of the root over the lowest geom, N m."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    low = geom_bounds(model, data, robot_geoms(model))[0][:, 2].min()
    height = max(float(data.xpos[1, 2] - low), 0.1 * model.stat.extent)
    return float(model.body_mass.sum()) * 9.81 * height


def _unsprung(model: mujoco.MjModel) -> list[int]:
    hinges = model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE.value
    return [int(joint) for joint in np.flatnonzero(hinges & (model.jnt_stiffness == 0.0))]


def _torque_limit(
    model: mujoco.MjModel, joint: int, actuators: list[int], reference: float
) -> TorqueLimit:
    """The torque limit of a joint: that of its actuator, else of the joint itself, else a guess."""
    given = [_actuator_limit(model, actuator) for actuator in actuators]
    if model.jnt_actfrclimited[joint]:
        given.append(float(model.jnt_actfrcrange[joint, 1]))
    limits = [limit for limit in given if 0.0 < limit < MAX_TORQUE_RATIO * reference]
    if limits:
        return TorqueLimit(min(limits), "")
    for actuator in actuators:
        if servo_kind(model, actuator) == "a position servo":
            stiffness = -model.actuator_biasprm[actuator, 1] * _gear(model, actuator) ** 2
            if 0.0 < SERVO_ANGLE * stiffness < MAX_TORQUE_RATIO * reference:
                limit = float(f"{SERVO_ANGLE * stiffness:.3g}")
                return TorqueLimit(limit, f"its kp times {SERVO_ANGLE:g} rad")
    return TorqueLimit(
        float(f"{USUAL_TORQUE_RATIO * reference:.2g}"),
        f"{USUAL_TORQUE_RATIO:g} of the robot's weight times its height",
    )


def _actuator_limit(model: mujoco.MjModel, actuator: int) -> float:
    """The joint torque that an actuator's own limits allow, N m; infinite without limits."""
    gear, limits = abs(_gear(model, actuator)), [np.inf]
    if model.actuator_forcelimited[actuator]:
        limits.append(float(np.abs(model.actuator_forcerange[actuator]).max()) * gear)
    if model.actuator_ctrllimited[actuator] and not servo_kind(model, actuator):
        gain = abs(float(model.actuator_gainprm[actuator, 0]))
        limits.append(float(np.abs(model.actuator_ctrlrange[actuator]).max()) * gain * gear)
    return min(limits)


def _gear(model: mujoco.MjModel, actuator: int) -> float:
    return float(model.actuator_gear[actuator, 0])


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


def _guesses(names: list[str], torques: list[TorqueLimit]) -> list[str]:
    """One line for each source of a guess."""
    lines = []
    for source in dict.fromkeys(torque.guess for torque in torques if torque.guess):
        own = [name for name, torque in zip(names, torques, strict=True) if torque.guess == source]
        sizes = sorted({torque.limit for torque in torques if torque.guess == source})
        size = f"{sizes[0]:g}" if len(sizes) == 1 else f"{sizes[0]:g} to {sizes[-1]:g}"
        lines.append(f"torque limits of {name_list(own)}: {size} N m, {source}")
    return lines
