"""Model checks: the root, motors, joints, masses and floor of a compiled model."""

from collections import Counter
from collections.abc import Iterator, Sequence

import mujoco
import numpy as np

from bodyplan.robots.contact_sensors import FLOOR
from bodyplan.robots.kinematic_tree import actuated_hinges, driven_joint, free_bodies
from bodyplan.robots.validation.problem import Finding, Problem, name_list

ADAPT = "or let `bodyplan robots adapt` do it"
MIN_MASS, MAX_MASS = 0.02, 500.0
"""kg: outside of this range the units are probably wrong."""
MIN_ITERATIONS = 10
"""Of the solver; MuJoCo's default is 100."""
MIN_UPRIGHT = 0.98
"""Vertical component of the trunk's z axis."""


def model_problems(
    where: str, model: mujoco.MjModel, joints: Sequence[str] | None = None
) -> list[Problem]:
    """Everything that is wrong with a model, whatever its TOML says.

    Args:
        where: path of the MJCF, which the problems name.
        model: the compiled model.
        joints: names of the joints that the policy drives; all actuated hinges if not given.
    """
    if joints is None:
        chosen = actuated_hinges(model)
    else:
        ids = (mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, name) for name in joints)
        chosen = [joint for joint in ids if joint >= 0]
    checks = (
        _check_root(model),
        _check_motors(model, chosen),
        _check_joints(model, chosen),
        _check_world(model),
    )
    return [Problem(severity, where, *rest) for check in checks for severity, *rest in check]


def _check_root(model: mujoco.MjModel) -> Iterator[Finding]:
    free = free_bodies(model)
    if not free:
        yield "error", *_fixed_root(model)
        return
    names = [_body_name(model, body) for body in free]
    if len(free) > 1:
        yield (
            "error",
            f"bodies {name_list(names)} have free joints",
            f"leave only the robot's own; if that is '{names[0]}', remove the others",
        )
    elif model.jnt_qposadr[model.body_jntadr[free[0]]] != 0:
        yield "error", f"'{names[0]}' is not the first body with a joint", "put it first"
    if not model.body(free[0]).name:
        yield "error", "the root body has no name", 'add name="trunk" to it'
    rotation = model.body_quat[free[0]]
    upright = 1.0 - 2.0 * float(np.square(rotation[1:3]).sum())
    if upright < MIN_UPRIGHT:
        yield (
            "warning",
            f"body '{names[0]}' is tilted, and the task resets it with an upright frame",
            "rotate what is in it instead, so that its z axis points up and x forward",
        )


def _fixed_root(model: mujoco.MjModel) -> tuple[str, str]:
    placed = (model.body_parentid == 0) & (model.body_mocapid < 0)
    roots = [int(body) for body in np.flatnonzero(placed) if body]
    heavy = max(roots, key=lambda body: model.body_subtreemass[body], default=None)
    if heavy is None:
        return "the model has no body", "put the robot's bodies into <worldbody>"
    name, joints = _body_name(model, heavy), range(model.body_jntnum[heavy])
    joint_names = [_joint_name(model, int(model.body_jntadr[heavy]) + joint) for joint in joints]
    if joint_names:
        return (
            f"body '{name}' is attached to the world by {name_list(joint_names)}, not by a free "
            "joint",
            f"put <freejoint/> in their place, {ADAPT}",
        )
    return (
        f"body '{name}' is fixed to the world",
        f'add <freejoint name="root"/> as the first element of <body name="{name}">, {ADAPT}',
    )


def _check_motors(model: mujoco.MjModel, joints: Sequence[int]) -> Iterator[Finding]:
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
            name = _joint_name(model, joint)
            yield "error", f"joint '{name}' has {on_joint[joint]} motors", "leave one"
    for actuator in range(model.nu):
        joint = driven_joint(model, actuator)
        if joint in joints:
            yield from _check_motor(model, actuator, joint)
        else:
            yield from _other_actuator(model, actuator, joint)


def _check_motor(model: mujoco.MjModel, actuator: int, joint: int) -> Iterator[Finding]:
    name = _actuator_name(model, actuator)
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
    yield from _check_limits(model, actuator, joint, name)


def _plain_motor(model: mujoco.MjModel, actuator: int, joint: int) -> str:
    limit = model.actuator_forcerange[actuator, 1] * model.actuator_gear[actuator, 0]
    range_ = f"-{limit:g} {limit:g}" if model.actuator_forcelimited[actuator] else "..."
    return f'<motor joint="{_joint_name(model, joint)}" ctrlrange="{range_}"/> (N m)'


def _check_limits(model: mujoco.MjModel, actuator: int, joint: int, name: str) -> Iterator[Finding]:
    high = model.actuator_ctrlrange[actuator, 1]
    limits = []
    if model.actuator_forcelimited[actuator]:
        limits.append(("forcerange", model.actuator_forcerange[actuator, 1]))
    if model.jnt_actfrclimited[joint]:
        limits.append(("actuatorfrcrange of its joint", model.jnt_actfrcrange[joint, 1]))
    for word, limit in limits:
        if limit < high:
            yield (
                "warning",
                f"motor '{name}' has a ctrlrange up to {high:g}, but {word} allows only {limit:g}",
                f'write ctrlrange="-{limit:g} {limit:g}", so that the descriptors are right',
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
    name = _actuator_name(model, actuator)
    if joint < 0:
        yield (
            "error" if not actuated_hinges(model) else "warning",
            f"actuator '{name}' drives a tendon, site or body, not a joint",
            "drive the joints instead: the task has one motor for each joint",
        )
    elif model.jnt_type[joint] != mujoco.mjtJoint.mjJNT_HINGE.value:
        kind = ("free", "ball", "slide")[model.jnt_type[joint]]
        yield (
            "warning",
            f"actuator '{name}' drives the {kind} joint '{_joint_name(model, joint)}'",
            "make it a hinge or remove the actuator: the policy drives hinges only",
        )
    else:
        yield (
            "warning",
            f"joint '{_joint_name(model, joint)}' has a motor but is not in joints.names, so its "
            "torque is 0 N m",
            "add it to joints.names in the TOML, or remove the motor",
        )


def _check_joints(model: mujoco.MjModel, joints: Sequence[int]) -> Iterator[Finding]:
    for joint in joints:
        name = _joint_name(model, joint)
        if not model.joint(joint).name:
            yield "error", f"a driven joint of {name} has no name", f'add name="{name}_joint"'
        if not model.jnt_limited[joint]:
            yield (
                "error",
                f"joint '{name}' has no range",
                'add range="-3.14 3.14" or its real range (rad, or the unit of <compiler angle>)',
            )
    hinge = mujoco.mjtJoint.mjJNT_HINGE.value
    driven = {driven_joint(model, i) for i in range(model.nu)}
    passive = [j for j in range(model.njnt) if j not in driven and model.jnt_type[j] == hinge]
    if passive and model.nu:
        names = name_list(_joint_name(model, joint) for joint in passive)
        yield "note", f"joints without a motor: {names}", "that is right for passive joints"


def _check_world(model: mujoco.MjModel) -> Iterator[Finding]:
    mass = float(model.body_mass.sum())
    if not MIN_MASS < mass < MAX_MASS:
        yield "warning", f"the robot weighs {mass:.3g} kg", "check the units: kg, m, s"
    planes = np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE.value)
    names = [model.geom(int(geom)).name for geom in planes]
    if FLOOR in names:
        yield from _check_floor(model, int(planes[names.index(FLOOR)]))
    elif names:
        yield (
            "warning",
            f"the plane '{names[0]}' is not named {FLOOR}, so a second one is added",
            f'give it name="{FLOOR}" or remove it',
        )
    elif mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, FLOOR) < 0:
        yield "note", "the model has no floor", f"a plane named {FLOOR} is added"
    damped = mujoco.mjtDisableBit.mjDSBL_EULERDAMP.value
    if model.opt.iterations < MIN_ITERATIONS or model.opt.disableflags & damped:
        yield (
            "warning",
            "the solver's settings in <option> trade accuracy for speed",
            f"remove iterations, ls_iterations and <flag eulerdamp>, {ADAPT}",
        )
    step = model.opt.timestep
    if step not in (0.005, 0.002):  # the task's, and MuJoCo's default
        yield "note", f"its timestep of {step:g} s is not used", "the task's is 0.005 s"


def _check_floor(model: mujoco.MjModel, geom: int) -> Iterator[Finding]:
    tilt = float(np.square(model.geom_quat[geom, 1:3]).sum())
    if abs(model.geom_pos[geom, 2]) > 1e-6 or tilt > 1e-9:
        yield "warning", f"{FLOOR} is not level at height zero", 'give it pos="0 0 0" and no quat'


def _body_name(model: mujoco.MjModel, body: int) -> str:
    return model.body(body).name or f"body {body}"


def _joint_name(model: mujoco.MjModel, joint: int) -> str:
    return model.joint(joint).name or _body_name(model, int(model.jnt_bodyid[joint]))


def _actuator_name(model: mujoco.MjModel, actuator: int) -> str:
    return model.actuator(actuator).name or f"number {actuator + 1}"
