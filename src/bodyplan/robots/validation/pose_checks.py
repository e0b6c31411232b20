"""Pose checks: is the nominal pose within its ranges, free of collisions, on the floor, stable?"""

from collections.abc import Iterator
from itertools import combinations

import mujoco
import numpy as np

from bodyplan.robots.contact_sensors import FLOOR
from bodyplan.robots.nominal_pose import MAX_STANDING_SPEED, check_nominal_pose, simulate_standing
from bodyplan.robots.robot import Robot
from bodyplan.robots.task_config import CONTROL_STEP
from bodyplan.robots.validation.problem import Finding, Problem, name_list, only_errors
from bodyplan.robots.validation.world_checks import switches_contact_off

MIN_FRICTION = 0.05
"""Coefficient of sliding friction."""
LOOP_DISTANCE = 0.1
"""Share of the drop height: feet nearer to each other than this may be one."""
RANGE_TOLERANCE = 0.01
"""rad."""
MAX_CLEARANCE, MAX_DEPTH = 0.05, 0.02
"""Shares of the drop height by which the lowest foot may be above the floor or in it."""


def pose_problems(toml: str, robot: Robot) -> list[Problem]:
    """Everything that is wrong with a robot in its nominal pose, at rest and in simulation.

    Args:
        toml: path of the TOML, which the problems name.
        robot: the robot.
    """
    checks = (_check_ranges, _check_contacts, _check_friction, _check_loops)
    findings = [finding for check in checks for finding in check(robot)]
    found = [Problem(severity, toml, *rest) for severity, *rest in findings]
    if not only_errors(found) and not switches_contact_off(robot.model):
        found += [Problem(severity, toml, *rest) for severity, *rest in _check_standing(robot)]
    return found


def _check_ranges(robot: Robot) -> Iterator[Finding]:
    low, high = robot.joint_range.T
    for name, angle, least, most in zip(robot.joints, robot.nominal, low, high, strict=True):
        if not least - RANGE_TOLERANCE <= angle <= most + RANGE_TOLERANCE:
            yield (
                "warning",
                f"the nominal angle {angle:.3g} of '{name}' is out of its range {least:.3g} to "
                f"{most:.3g} rad",
                "correct joints.nominal, or the range in the MJCF",
            )


def _check_contacts(robot: Robot) -> Iterator[Finding]:
    pose, height = check_nominal_pose(robot), robot.drop_height
    fix = f"write drop_height = {height - pose.clearance:.4g}"
    if pose.clearance > MAX_CLEARANCE * height:
        yield "warning", f"the feet are {pose.clearance:.3g} m above the floor at the start", fix
    elif pose.clearance < -MAX_DEPTH * height:
        yield "warning", f"the feet are {-pose.clearance:.3g} m in the floor at the start", fix
    if pose.below_feet:
        yield (
            "warning",
            f"{name_list(pose.below_feet)} reach lower than the feet in the nominal pose",
            "bend the legs less in joints.nominal, or name these geoms in [feet]",
        )
    for first, second in dict.fromkeys(pose.self_collisions):
        yield (
            "warning",
            f"'{first}' is inside '{second}' in the nominal pose",
            "correct joints.nominal or the geoms, or <exclude> the two bodies from contact",
        )
    if pose.terminating:
        yield (
            "error",
            f"every episode ends at its start: {name_list(pose.terminating)} touch something",
            "take them out of termination.contact_geoms, or correct the nominal pose",
        )
    least = robot.termination.min_height
    if least is not None and least >= height:
        yield (
            "error",
            f"every episode ends at its start: min_height {least:g} is not below drop_height",
            f"write min_height = {0.55 * height:.2g}",
        )


def _check_friction(robot: Robot) -> Iterator[Finding]:
    """Feet without friction: their own, and what the floor gives them.

    MuJoCo takes the larger condim and the larger friction of two geoms.
    """
    model = robot.model
    geoms = {name: model.geom(name).id for foot in robot.feet for name in foot.geoms}

    def slips(geom: int) -> bool:
        return bool(model.geom_condim[geom] == 1 or model.geom_friction[geom, 0] < MIN_FRICTION)

    slippery = [name for name, geom in geoms.items() if slips(geom)]
    if slippery:
        alone = slips(model.geom(FLOOR).id)
        yield (
            "warning" if alone else "note",
            f"feet {name_list(slippery)} have no friction of their own (condim or friction), "
            + ("and nor has the floor" if alone else "so that only the floor's holds them"),
            'write condim="3" friction="1" for them, or leave both out',
        )


def _check_loops(robot: Robot) -> Iterator[Finding]:
    """Feet of different limbs at one place: a closed loop, which a URDF cannot express."""
    model, data = robot.model, mujoco.MjData(robot.model)
    if (model.eq_type == mujoco.mjtEq.mjEQ_CONNECT.value).any():
        return
    data.qpos[:] = robot.nominal_qpos
    mujoco.mj_kinematics(model, data)
    places = {
        foot.name: np.mean([data.geom(name).xpos for name in foot.geoms], axis=0)
        for foot in robot.feet
    }
    near = LOOP_DISTANCE * robot.drop_height
    pairs = [
        f"'{one}' and '{other}'"
        for one, other in combinations(places, 2)
        if np.linalg.norm(places[one] - places[other]) < near
    ]
    if pairs:
        yield (
            "warning",
            f"feet {', '.join(pairs)} are at the same place: these legs seem to be one closed loop",
            "a URDF cannot express it: close it in the MJCF with <equality><connect>, and drive "
            "only the joints that have motors",
        )


def _check_standing(robot: Robot) -> Iterator[Finding]:
    trial = simulate_standing(robot)
    if trial.fall_time is not None and robot.legs <= 2:
        yield (
            "note",
            f"it falls after {trial.fall_time:.2g} s without any action",
            "that is usual for bipeds",
        )
    elif trial.fall_time is not None:
        yield (
            "warning",
            f"it falls after {trial.fall_time:.2g} s without any action",
            _armature_fix(robot) or "raise kp, correct joints.nominal, or strengthen the motors",
        )
    elif trial.joint_speed > MAX_STANDING_SPEED:
        yield (
            "warning",
            f"its joints shake by {trial.joint_speed:.2g} rad/s while it stands",
            _armature_fix(robot) or "lower kp and kd, or give the joints armature and damping",
        )


def _armature_fix(robot: Robot) -> str:
    """The fix where a torque held for a control step overshoots, because inertia is too small.

    Empty where no joint overshoots.
    """
    model, data = robot.model, mujoco.MjData(robot.model)
    data.qpos[:] = robot.nominal_qpos
    mujoco.mj_forward(model, data)
    full = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, full)
    inertia = 1.0 / np.diag(np.linalg.inv(full))[robot.qvel_index]
    damping = np.maximum(model.dof_damping[robot.qvel_index], 1e-9)
    decay = np.exp(-damping * CONTROL_STEP / inertia)
    # Over a control step a velocity v becomes decay * v - kd / damping * (1 - decay) * v. It grows
    # where the magnitude of this factor is above one.
    unstable = robot.kd * (1.0 - decay) > damping * (1.0 + decay)
    if not unstable.any():
        return ""
    names = name_list(name for name, own in zip(robot.joints, unstable, strict=True) if own)
    armature = robot.kd * CONTROL_STEP
    return (
        f'give armature="{armature:.1g}" (the rotor, kg m^2) to {names}, which have too little '
        "inertia for these gains, or lower kp and kd"
    )
