"""What is wrong with a compiled body, whatever its walk: root, motors, joints, masses, floor."""

from collections import Counter
from collections.abc import Iterator, Sequence

import mujoco
import numpy as np

from bodyplan.robots.contact_sensors import FLOOR
from bodyplan.robots.kinematic_tree import actuated_hinges, driven_joint, free_bodies
from bodyplan.robots.validation.problem import Finding, Problem, name_list

ADAPT = "or let `bodyplan robots adapt` do it"
LIGHT, HEAVY = 0.02, 500.0
"""kg: robots beyond are probably in other units."""
FEW = 10
"""Iterations of the solver; MuJoCo's default is 100."""
MIN_UPRIGHT = 0.98
"""Vertical part of the trunk's z axis."""


def model_problems(
    where: str, model: mujoco.MjModel, joints: Sequence[str] | None = None
) -> list[Problem]:
    """Everything that is wrong with a body.

    Args:
        where: its file.
        model: the compiled body.
        joints: names of the joints that the policy drives; all hinges with a motor if not given.
    """
    if joints is None:
        chosen = actuated_hinges(model)
    else:
        ids = (mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, name) for name in joints)
        chosen = [joint for joint in ids if joint >= 0]
    checks = (_root(model), _motors(model, chosen), _joints(model, chosen), _world(model))
    return [Problem(severity, where, *rest) for check in checks for severity, *rest in check]


def _root(model: mujoco.MjModel) -> Iterator[Finding]:
    free = free_bodies(model)
    if not free:
        yield "error", *_held(model)
        return
    names = [_body(model, body) for body in free]
    if len(free) > 1:
        yield (
            "error",
            f"bodies {name_list(names)} fly free",
            f"leave only the robot's own; if that is '{names[0]}', remove the others",
        )
    elif model.jnt_qposadr[model.body_jntadr[free[0]]] != 0:
        yield "error", f"'{names[0]}' is not the first body with a joint", "put it first"
    if not model.body(free[0]).name:
        yield "error", "the root body has no name", 'add name="trunk" to it'
    turned = model.body_quat[free[0]]
    upright = 1.0 - 2.0 * float(np.square(turned[1:3]).sum())
    if upright < MIN_UPRIGHT:
        yield (
            "warning",
            f"body '{names[0]}' is tilted where it stands, and the task holds its frame upright",
            "turn what is in it instead of itself, so that its z axis points up and x forward",
        )


def _held(model: mujoco.MjModel) -> tuple[str, str]:
    placed = (model.body_parentid == 0) & (model.body_mocapid < 0)
    roots = [int(body) for body in np.flatnonzero(placed) if body]
    heavy = max(roots, key=lambda body: model.body_subtreemass[body], default=None)
    if heavy is None:
        return "there is no body", "put the robot's bodies into <worldbody>"
    name, joints = _body(model, heavy), range(model.body_jntnum[heavy])
    held = [_joint(model, int(model.body_jntadr[heavy]) + joint) for joint in joints]
    if held:
        return (
            f"body '{name}' hangs on the world by {name_list(held)}, not by a free joint",
            f"put <freejoint/> in their place, {ADAPT}",
        )
    return (
        f"body '{name}' is fixed to the world",
        f'add <freejoint name="root"/> as the first element of <body name="{name}">, {ADAPT}',
    )


def _motors(model: mujoco.MjModel, joints: Sequence[int]) -> Iterator[Finding]:
    if not model.nu:
        yield (
            "error",
            "there is no actuator",
            f'add <motor joint="..." ctrlrange="-20 20"/> (N m) for each driven joint, {ADAPT}',
        )
        return
    if not joints:
        yield "error", "no hinge joint has a motor", "add <motor joint=...> for each driven joint"
    on_joint = Counter(driven_joint(model, i) for i in range(model.nu))
    for joint in joints:
        if on_joint[joint] > 1:
            name = _joint(model, joint)
            yield "error", f"joint '{name}' has {on_joint[joint]} motors", "leave one"
    for actuator in range(model.nu):
        joint = driven_joint(model, actuator)
        if joint in joints:
            yield from _motor(model, actuator, joint)
        else:
            yield from _stray(model, actuator, joint)


def _motor(model: mujoco.MjModel, actuator: int, joint: int) -> Iterator[Finding]:
    name = _actuator(model, actuator)
    if kind := servo(model, actuator):
        yield (
            "error",
            f"actuator '{name}' is {kind}, and the task has a PD law of its own",
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
            f"write {_plain_motor(model, actuator, joint)}: what the motor can do",
        )
    elif abs(low + high) > 1e-6 * high:
        yield (
            "warning",
            f"motor '{name}' has ctrlrange=\"{low:g} {high:g}\", and the task uses -{high:g} too",
            "make it symmetric",
        )
    yield from _lower_limits(model, actuator, joint, name)


def _plain_motor(model: mujoco.MjModel, actuator: int, joint: int) -> str:
    limit = model.actuator_forcerange[actuator, 1] * model.actuator_gear[actuator, 0]
    told = f"-{limit:g} {limit:g}" if model.actuator_forcelimited[actuator] else "..."
    return f'<motor joint="{_joint(model, joint)}" ctrlrange="{told}"/> (N m)'


def _lower_limits(model: mujoco.MjModel, actuator: int, joint: int, name: str) -> Iterator[Finding]:
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
                f'write ctrlrange="-{limit:g} {limit:g}", so that the policy is told the truth',
            )


def servo(model: mujoco.MjModel, actuator: int) -> str:
    """What an actuator is instead of a plain motor; nothing for a motor of any gear."""
    if model.actuator_dyntype[actuator] != mujoco.mjtDyn.mjDYN_NONE.value:
        return "an actuator with inner state"
    if model.actuator_biastype[actuator] != mujoco.mjtBias.mjBIAS_NONE.value:
        return "a position servo" if model.actuator_biasprm[actuator, 1] else "a velocity servo"
    fixed = model.actuator_gaintype[actuator] == mujoco.mjtGain.mjGAIN_FIXED.value
    return "" if fixed else "an actuator of changing gain"


def _stray(model: mujoco.MjModel, actuator: int, joint: int) -> Iterator[Finding]:
    name = _actuator(model, actuator)
    if joint < 0:
        yield (
            "error" if not actuated_hinges(model) else "warning",
            f"actuator '{name}' drives no joint of its own but a tendon, site or body",
            "drive the joints instead; the task knows one motor for each joint",
        )
    elif model.jnt_type[joint] != mujoco.mjtJoint.mjJNT_HINGE.value:
        kind = ("free", "ball", "slide")[model.jnt_type[joint]]
        yield (
            "warning",
            f"actuator '{name}' drives the {kind} joint '{_joint(model, joint)}', which stays idle",
            "make it a hinge or remove the actuator: only hinges are driven",
        )
    else:
        yield (
            "warning",
            f"joint '{_joint(model, joint)}' has a motor but is not in joints.names: it gets 0 N m",
            "add it to joints.names of the TOML, or remove the motor",
        )


def _joints(model: mujoco.MjModel, joints: Sequence[int]) -> Iterator[Finding]:
    for joint in joints:
        name = _joint(model, joint)
        if not model.joint(joint).name:
            yield "error", f"a driven joint of {name} has no name", f'add name="{name}_joint"'
        if not model.jnt_limited[joint]:
            yield (
                "error",
                f"joint '{name}' has no range",
                'add range="-3.14 3.14" or what it can turn (rad, or as <compiler angle> says)',
            )
    hinge = mujoco.mjtJoint.mjJNT_HINGE.value
    driven = {driven_joint(model, i) for i in range(model.nu)}
    idle = [j for j in range(model.njnt) if j not in driven and model.jnt_type[j] == hinge]
    if idle and model.nu:
        names = name_list(_joint(model, joint) for joint in idle)
        yield "note", f"without a motor: {names}", "fine if they are springs or play no part"


def _world(model: mujoco.MjModel) -> Iterator[Finding]:
    mass = float(model.body_mass.sum())
    if not LIGHT < mass < HEAVY:
        yield "warning", f"the robot weighs {mass:.3g} kg", "check the units: kg, m, s"
    planes = np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE.value)
    names = [model.geom(int(geom)).name for geom in planes]
    if FLOOR in names:
        yield from _floor(model, int(planes[names.index(FLOOR)]))
    elif names:
        yield (
            "warning",
            f"the plane '{names[0]}' is not called {FLOOR}, so a second one is added",
            f'call it name="{FLOOR}" or remove it',
        )
    elif mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, FLOOR) < 0:
        yield "note", "there is no floor", f"a plane called {FLOOR} is added"
    damped = mujoco.mjtDisableBit.mjDSBL_EULERDAMP.value
    if model.opt.iterations < FEW or model.opt.disableflags & damped:
        yield (
            "warning",
            "the solver's settings in <option> trade accuracy for speed",
            f"leave out iterations, ls_iterations and <flag eulerdamp>, {ADAPT}",
        )
    step = model.opt.timestep
    if step not in (0.005, 0.002):  # the task's own, and what a file has that says nothing
        yield "note", f"its timestep of {step:g} s is not used", "the task steps by 0.005 s"


def _floor(model: mujoco.MjModel, geom: int) -> Iterator[Finding]:
    tilt = float(np.square(model.geom_quat[geom, 1:3]).sum())
    if abs(model.geom_pos[geom, 2]) > 1e-6 or tilt > 1e-9:
        yield "warning", f"{FLOOR} is not level at height zero", 'give it pos="0 0 0" and no quat'


def _body(model: mujoco.MjModel, body: int) -> str:
    return model.body(body).name or f"body {body}"


def _joint(model: mujoco.MjModel, joint: int) -> str:
    return model.joint(joint).name or _body(model, int(model.jnt_bodyid[joint]))


def _actuator(model: mujoco.MjModel, actuator: int) -> str:
    return model.actuator(actuator).name or f"number {actuator + 1}"
