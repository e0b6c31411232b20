"""Motor checks: every driven joint has one plain motor, a range and a name."""

from collections import Counter
from collections.abc import Iterator, Sequence

import mujoco

from bodyplan.robots.kinematic_tree import (
    actuated_hinges,
    driven_joint,
    driven_joints,
    following_joints,
    torque_limit,
)
from bodyplan.robots.validation.part_words import actuator_name, joint_name
from bodyplan.robots.validation.problem import ADAPT, Finding, name_list


def check_motors(model: mujoco.MjModel, joints: Sequence[int]) -> Iterator[Finding]:
    """Faults of the motors of the joints that the policy drives, and of other actuators."""
    if not model.nu:
        yield (
            "error",
            "the model has no actuator",
            f'add <motor joint="..." ctrlrange="-20 20"/> (N m) for each driven joint, {ADAPT}',
        )
        return
    if not joints:
        yield "error", "no hinge joint has a motor", "add <motor joint=...> for each driven joint"
    on_joint = Counter(driven_joint(model, i) for i in range(model.nu))
    for joint in joints:
        if on_joint[joint] > 1:
            name = joint_name(model, joint)
            yield "error", f"joint '{name}' has {on_joint[joint]} motors", "leave one"
    for actuator in range(model.nu):
        joint = driven_joint(model, actuator)
        if joint in joints:
            yield from _check_motor(model, actuator, joint)
        else:
            yield from _other_actuator(model, actuator, joint)
    yield from _check_limits(model, joints)


def _check_motor(model: mujoco.MjModel, actuator: int, joint: int) -> Iterator[Finding]:
    name = actuator_name(model, actuator)
    if kind := servo_kind(model, actuator):
        yield (
            "error",
            f"actuator '{name}' is {kind}, and the task has its own PD law",
            f"write {_plain_motor(model, actuator, joint)}, {ADAPT}",
        )
        return
    gear = float(model.actuator_gear[actuator, 0] * model.actuator_gainprm[actuator, 0])
    low, high = model.actuator_ctrlrange[actuator]
    if abs(gear - 1.0) > 1e-9:
        yield (
            "error",
            f"motor '{name}' has gear {gear:g}",
            f'write gear="1" and ctrlrange="{low * gear:g} {high * gear:g}" (N m), {ADAPT}',
        )
    elif high <= 0.0:
        yield (
            "error",
            f"motor '{name}' has no ctrlrange",
            f"write {_plain_motor(model, actuator, joint)} with the motor's torque limit",
        )
    elif abs(low + high) > 1e-6 * high:
        yield (
            "warning",
            f"motor '{name}' has ctrlrange=\"{low:g} {high:g}\", and the task uses ±{high:g}",
            "make it symmetric",
        )


def _plain_motor(model: mujoco.MjModel, actuator: int, joint: int) -> str:
    limit = model.actuator_forcerange[actuator, 1] * model.actuator_gear[actuator, 0]
    range_ = f"-{limit:g} {limit:g}" if model.actuator_forcelimited[actuator] else "..."
    return f'<motor joint="{joint_name(model, joint)}" ctrlrange="{range_}"/> (N m)'


def _check_limits(model: mujoco.MjModel, joints: Sequence[int]) -> Iterator[Finding]:
    """One line for all motors that may not give what their ctrlrange allows."""
    smaller = {
        joint_name(model, joint): torque_limit(model, actuator)
        for actuator in range(model.nu)
        if (joint := driven_joint(model, actuator)) in joints
        and not servo_kind(model, actuator)
        and torque_limit(model, actuator) < model.actuator_ctrlrange[actuator, 1]
    }
    if smaller:
        sizes = ", ".join(dict.fromkeys(f"{limit:g}" for limit in smaller.values()))
        yield (
            "note",
            f"motors of {name_list(smaller)} have a ctrlrange above their forcerange, or their "
            "joint's actuatorfrcrange",
            f"the smaller figure is their torque limit: {sizes} N m",
        )


def servo_kind(model: mujoco.MjModel, actuator: int) -> str:
    """What an actuator is if it is not a motor; empty for a motor of any gear."""
    if model.actuator_dyntype[actuator] != mujoco.mjtDyn.mjDYN_NONE.value:
        return "an actuator with an internal state"
    if model.actuator_biastype[actuator] != mujoco.mjtBias.mjBIAS_NONE.value:
        return "a position servo" if model.actuator_biasprm[actuator, 1] else "a velocity servo"
    fixed = model.actuator_gaintype[actuator] == mujoco.mjtGain.mjGAIN_FIXED.value
    return "" if fixed else "an actuator with a variable gain"


def _other_actuator(model: mujoco.MjModel, actuator: int, joint: int) -> Iterator[Finding]:
    name = actuator_name(model, actuator)
    if joint < 0:
        moved = [joint_name(model, own) for own in driven_joints(model, actuator)]
        through = f"a tendon that moves {name_list(moved)}" if moved else "a tendon, site or body"
        yield (
            "warning" if actuated_hinges(model) else "error",
            f"actuator '{name}' drives {through}, and the task has one motor for each joint",
            f"drive the joints instead, {ADAPT}",
        )
    elif model.jnt_type[joint] != mujoco.mjtJoint.mjJNT_HINGE.value:
        kind = ("free", "ball", "slide")[model.jnt_type[joint]]
        yield (
            "warning",
            f"actuator '{name}' drives the {kind} joint '{joint_name(model, joint)}'",
            "make it a hinge or remove the actuator: the policy drives hinges only",
        )
    else:
        yield (
            "warning",
            f"joint '{joint_name(model, joint)}' has a motor but is not in joints.names, so its "
            "torque is 0 N m",
            "add it to joints.names in the TOML, or remove the motor",
        )


def check_joints(model: mujoco.MjModel, joints: Sequence[int]) -> Iterator[Finding]:
    """Faults of the joints that the policy drives, and which joints it does not."""
    for joint in joints:
        name = joint_name(model, joint)
        if not model.joint(joint).name:
            yield "error", f"a driven joint of {name} has no name", f'add name="{name}_joint"'
        if not model.jnt_limited[joint]:
            yield (
                "error",
                f"joint '{name}' has no range",
                'add range="-3.14 3.14" or its real range (rad, or the unit of <compiler angle>)',
            )
    free = mujoco.mjtJoint.mjJNT_FREE.value
    driven = {driven_joint(model, i) for i in range(model.nu)}
    passive = [j for j in range(model.njnt) if j not in driven and model.jnt_type[j] != free]
    followers = dict(following_joints(model).values())
    pulled = {joint for i in range(model.nu) for joint in driven_joints(model, i)}
    limp = [joint for joint in passive if joint not in {*followers, *pulled}]
    if limp and model.nu:
        names = name_list(joint_name(model, joint) for joint in limp)
        yield "note", f"joints without a motor: {names}", "that is right for passive joints"
    for joint in [own for own in passive if own in followers]:
        leader = joint_name(model, followers[joint])
        yield (
            "note",
            f"joint '{joint_name(model, joint)}' has no motor and follows '{leader}'",
            "its <equality> holds it",
        )
