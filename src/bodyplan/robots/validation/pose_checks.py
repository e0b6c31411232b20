"""What is wrong with a robot's nominal pose: out of range, inside itself, over its head, fallen."""

from collections.abc import Iterator

import mujoco
import numpy as np

from bodyplan.robots.nominal_pose import MAX_STANDING_SPEED, check_nominal_pose, simulate_standing
from bodyplan.robots.robot import Robot
from bodyplan.robots.task_config import CONTROL_STEP
from bodyplan.robots.validation.problem import Finding, Problem, name_list

RANGE = 0.01
"""rad."""
ABOVE, BELOW = 0.05, 0.02
"""Shares of the drop height by which the lowest foot may be above the floor or in it."""


def pose_problems(toml: str, robot: Robot) -> list[Problem]:
    """Everything that is wrong with a robot as it is put down and left alone."""
    found = [Problem(severity, toml, *rest) for severity, *rest in (*_pose(robot), *_put(robot))]
    if not any(problem.severity == "error" for problem in found):
        found += [Problem(severity, toml, *rest) for severity, *rest in _left_alone(robot)]
    return found


def _pose(robot: Robot) -> Iterator[Finding]:
    low, high = robot.joint_range.T
    for name, angle, least, most in zip(robot.joints, robot.nominal, low, high, strict=True):
        if not least - RANGE <= angle <= most + RANGE:
            yield (
                "warning",
                f"the nominal angle {angle:.3g} of '{name}' is out of its range {least:.3g} to "
                f"{most:.3g} rad",
                "correct joints.nominal, or the range in the MJCF",
            )


def _put(robot: Robot) -> Iterator[Finding]:
    now, height = check_nominal_pose(robot), robot.drop_height
    proper = f"write drop_height = {height - now.clearance:.4g}"
    if now.clearance > ABOVE * height:
        yield "warning", f"the feet are {now.clearance:.3g} m above the floor at the start", proper
    elif now.clearance < -BELOW * height:
        yield "warning", f"the feet are {-now.clearance:.3g} m in the floor at the start", proper
    if now.below:
        yield (
            "warning",
            f"{name_list(now.below)} reach lower than the feet in the nominal pose",
            "bend the legs less in joints.nominal, or name these geoms in [feet]",
        )
    for first, second in dict.fromkeys(now.clashes):
        yield (
            "warning",
            f"'{first}' is inside '{second}' in the nominal pose",
            "correct joints.nominal or the geoms, or <exclude> the two bodies from contact",
        )
    if now.ending:
        yield (
            "error",
            "every episode ends as it begins: "
            f"{name_list(now.ending)} touch something at the start",
            "take them out of termination.contact_geoms, or correct the nominal pose",
        )
    least = robot.termination.min_height
    if least is not None and least >= height:
        yield (
            "error",
            f"every episode ends as it begins: min_height {least:g} is not below drop_height",
            f"write min_height = {0.55 * height:.2g}",
        )


def _left_alone(robot: Robot) -> Iterator[Finding]:
    end = simulate_standing(robot)
    if end.fallen is not None and robot.legs <= 2:
        yield "note", f"it falls after {end.fallen:.2g} s without any action", "bipeds may"
    elif end.fallen is not None:
        yield (
            "warning",
            f"it falls after {end.fallen:.2g} s without any action",
            _steadier(robot) or "raise kp, correct joints.nominal, or strengthen the motors",
        )
    elif end.shaking > MAX_STANDING_SPEED:
        yield (
            "warning",
            f"its joints tremble by {end.shaking:.2g} rad/s while it stands",
            _steadier(robot) or "lower kp and kd, or give the joints armature and damping",
        )


def _steadier(robot: Robot) -> str:
    """What to do where a torque held for a control step overshoots, for want of inertia."""
    model, data = robot.model, mujoco.MjData(robot.model)
    data.qpos[:] = robot.nominal_qpos
    mujoco.mj_forward(model, data)
    full = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, full)
    inertia = 1.0 / np.diag(np.linalg.inv(full))[robot.qvel_index]
    damping = np.maximum(model.dof_damping[robot.qvel_index], 1e-9)
    left = np.exp(-damping * CONTROL_STEP / inertia)
    # Over a control step a velocity v becomes left * v - kd / damping * (1 - left) * v.
    restless = robot.kd * (1.0 - left) > damping * (1.0 + left)
    if not restless.any():
        return ""
    names = name_list(name for name, own in zip(robot.joints, restless, strict=True) if own)
    armature = robot.kd * CONTROL_STEP
    return (
        f'give armature="{armature:.1g}" (the rotor, kg m^2) to {names}, behind which there is too '
        "little inertia for these gains, or lower kp and kd"
    )
