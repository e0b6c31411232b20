"""Model checks: all that is wrong with a compiled model, whatever its TOML says."""

from collections.abc import Iterator, Sequence

import mujoco

from bodyplan.robots.body_frame import standing_rotation
from bodyplan.robots.kinematic_tree import actuated_hinges, free_bodies, robot_root
from bodyplan.robots.validation.motor_checks import check_joints, check_motors
from bodyplan.robots.validation.part_words import body_name, joint_words
from bodyplan.robots.validation.problem import ADAPT, Finding, Problem, name_list
from bodyplan.robots.validation.unit_checks import check_units
from bodyplan.robots.validation.world_checks import check_options, check_world


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
        check_motors(model, chosen),
        check_joints(model, chosen),
        check_units(model, chosen),
        check_world(model),
        check_options(model),
    )
    return [Problem(severity, where, *rest) for check in checks for severity, *rest in check]


def _check_root(model: mujoco.MjModel) -> Iterator[Finding]:
    free = free_bodies(model)
    if not free:
        yield "error", *_fixed_root(model)
        return
    names = [body_name(model, body) for body in free]
    if len(free) > 1:
        yield (
            "error",
            f"bodies {name_list(names)} have free joints",
            f"leave only '{body_name(model, robot_root(model))}' and remove the others, {ADAPT}",
        )
    elif model.jnt_qposadr[model.body_jntadr[free[0]]] != 0:
        yield "error", f"'{names[0]}' is not the first body with a joint", "put it first"
    if not model.body(free[0]).name:
        yield "error", "the root body has no name", 'add name="trunk" to it'
    turn = standing_rotation(model) if len(free) == 1 else None
    if turn is not None:
        yield (
            "warning",
            f"the frame of '{names[0]}' is not upright and forward in the task: {turn.reason}",
            f"turn what is in it, so that z points up and x forward, {ADAPT}",
        )


def _fixed_root(model: mujoco.MjModel) -> tuple[str, str]:
    if model.nbody == 1:
        return "the model has no body", "put the robot's bodies into <worldbody>"
    heavy = robot_root(model)
    name, joints = body_name(model, heavy), range(model.body_jntnum[heavy])
    joint_names = [model.joint(int(model.body_jntadr[heavy]) + joint).name for joint in joints]
    if joint_names:
        return (
            f"body '{name}' is attached to the world by {joint_words(joint_names)}, not by a free "
            "joint",
            f"put <freejoint/> in their place, {ADAPT}",
        )
    return (
        f"body '{name}' is fixed to the world",
        f'add <freejoint name="root"/> as the first element of <body name="{name}">, {ADAPT}',
    )
