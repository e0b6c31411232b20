"""The nominal pose: its check, a simulation of standing in it, and the torques that hold it.

The torque law and the time steps are those of the task (`envs/simulator.py`).
"""

import copy
from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float

from bodyplan.robots.contact_sensors import FLOOR
from bodyplan.robots.kinematic_tree import geom_bounds
from bodyplan.robots.model_parameters import TorqueLaw, ideal_motors
from bodyplan.robots.robot import Robot
from bodyplan.robots.task_config import CONTROL_STEP

PHYSICS_STEP = 0.005
"""Seconds."""
SUBSTEPS = round(CONTROL_STEP / PHYSICS_STEP)
"""Physics steps in a control step, for which a torque is held."""
MAX_PENETRATION = 0.002
"""m: two geoms may overlap by this much."""
FALLEN_UPRIGHT = 0.5
"""Vertical component of the trunk's z axis below which the robot has fallen over."""
MIN_STANDING_HEIGHT = 0.5
"""Share of the drop height below which the robot has fallen down."""
MAX_STANDING_SPEED = 1.0
"""rad/s: root mean square of joint velocities above which a standing robot shakes."""


class PoseCheck(NamedTuple):
    """The nominal pose at the drop height."""

    clearance: float
    """m: height of the lowest foot over the floor; negative where it is in the floor."""
    below_feet: tuple[str, ...]
    """Geoms that reach lower than all feet."""
    self_collisions: tuple[tuple[str, str], ...]
    """Pairs of the robot's geoms that are inside each other."""
    terminating: tuple[str, ...]
    """Geoms that touch something, which ends the episode at its start."""


class StandingTrial(NamedTuple):
    """How a robot stands without any action."""

    fall_time: float | None
    """Seconds until it fell; None if it still stands."""
    height: float
    """m: of the trunk, at the end."""
    joint_speed: float
    """rad/s: root mean square of joint velocities in the last second."""


def check_nominal_pose(robot: Robot) -> PoseCheck:
    """Find contacts and heights of a robot in its nominal pose at the drop height."""
    model, data = robot.model, mujoco.MjData(robot.model)
    data.qpos[:] = robot.nominal_qpos
    mujoco.mj_fwdPosition(model, data)
    own = [g for g in range(model.ngeom) if model.body_weldid[model.geom_bodyid[g]]]
    feet = {model.geom(geom).id for foot in robot.feet for geom in foot.geoms}
    bits = model.geom_contype | model.geom_conaffinity
    solid = [geom for geom in own if bits[geom] or geom in feet]
    low = dict(zip(solid, geom_bounds(model, data, solid)[0][:, 2], strict=True))
    lowest_foot = min(low[geom] for geom in feet)
    names = [_name(model, geom) for geom in range(model.ngeom)]
    contacts = [(int(a), int(b)) for a, b in data.contact.geom]
    deep = [
        pair
        for pair, dist in zip(contacts, data.contact.dist, strict=True)
        if dist < -MAX_PENETRATION
    ]
    touching = {names[geom] for pair in contacts for geom in pair}
    ends = robot.termination.contact_geoms
    return PoseCheck(
        clearance=float(lowest_foot),
        below_feet=tuple(
            names[g] for g in solid if g not in feet and low[g] < lowest_foot - MAX_PENETRATION
        ),
        self_collisions=tuple((names[a], names[b]) for a, b in deep if {a, b} <= set(own)),
        terminating=tuple(name for name in ends if name in touching),
    )


def simulate_standing(robot: Robot, seconds: float = 4.0) -> StandingTrial:
    """Simulate a robot that starts in its nominal pose and takes no action.

    Args:
        robot: the robot.
        seconds: how long it must stand.
    """
    model = copy.copy(robot.model)
    model.opt.timestep = PHYSICS_STEP
    model.opt.integrator = mujoco.mjtIntegrator.mjINT_EULER
    data = mujoco.MjData(model)
    data.qpos[:] = robot.nominal_qpos
    no_action = np.zeros(robot.num_joints)
    law = TorqueLaw.of(robot.parameters, ideal_motors(robot.num_joints))
    index = robot.qvel_index
    squares = []
    for step in range(round(seconds / CONTROL_STEP)):
        positions, velocities = data.qpos[robot.qpos_index], data.qvel[index]
        data.ctrl[robot.actuator_ids] = law.torque(no_action, positions, velocities)
        for _ in range(SUBSTEPS):
            mujoco.mj_step(model, data)
        data.qvel[index] = np.clip(data.qvel[index], -robot.max_velocity, robot.max_velocity)
        squares.append(float(np.square(data.qvel[index]).mean()))
        if _has_fallen(robot, data):
            return StandingTrial((step + 1) * CONTROL_STEP, float(data.qpos[2]), _recent(squares))
    return StandingTrial(None, float(data.qpos[2]), _recent(squares))


def _has_fallen(robot: Robot, data: mujoco.MjData) -> bool:
    """Whether the episode would end; without a `min_height` also on its side or flat."""
    ends = {robot.model.geom(geom).id for geom in robot.termination.contact_geoms}
    if ends & set(data.contact.geom.ravel().tolist()):
        return True
    if robot.termination.min_height is not None:
        return bool(data.qpos[2] < robot.termination.min_height)
    upright = 1.0 - 2.0 * float(np.square(data.qpos[4:6]).sum())
    return bool(upright < FALLEN_UPRIGHT or data.qpos[2] < MIN_STANDING_HEIGHT * robot.drop_height)


def _recent(squares: list[float]) -> float:
    """Root of the mean of the last second."""
    return float(np.sqrt(np.mean(squares[-round(1.0 / CONTROL_STEP) :])))


def _name(model: mujoco.MjModel, geom: int) -> str:
    """A geom's name, or words that name its body."""
    name = model.geom(geom).name
    return name or f"a geom of {model.body(model.geom_bodyid[geom]).name or FLOOR}"


def balancing_torques(robot: Robot) -> Float[np.ndarray, "J"]:
    """Motor torques (N m) that hold the nominal pose while all feet stand on the floor.

    The equations of motion at rest are `bias - passive = S tau + J_e' f + J_f' F`. They are solved
    for motor torques tau, forces f of closed linkages and vertical forces F on the feet. The
    solution is in least squares, because joints without a motor may yield. A foot's force acts
    below the centre of mass, so that the trunk need not pitch.
    """
    model = copy.copy(robot.model)
    model.opt.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
    data = mujoco.MjData(model)
    data.qpos[:] = robot.nominal_qpos
    mujoco.mj_forward(model, data)
    motors = np.zeros((model.nv, robot.num_joints))
    motors[robot.qvel_index, np.arange(robot.num_joints)] = 1.0
    columns = [motors, _linkages(model, data).T, _foot_forces(robot, model, data).T]
    required = data.qfrc_bias - data.qfrc_passive
    solution = np.linalg.lstsq(np.hstack(columns), required, rcond=None)[0]
    return solution[: robot.num_joints]


def _linkages(model: mujoco.MjModel, data: mujoco.MjData) -> Float[np.ndarray, "E nv"]:
    """Jacobian J_e of closed linkages."""
    rows = data.efc_J.reshape(-1, model.nv)
    return rows[data.efc_type[: len(rows)] == mujoco.mjtConstraint.mjCNSTR_EQUALITY]


def _foot_forces(
    robot: Robot, model: mujoco.MjModel, data: mujoco.MjData
) -> Float[np.ndarray, "F nv"]:
    """Jacobian J_f of the feet's vertical positions."""
    centre = data.subtree_com[model.body(robot.trunk).id]
    rows = np.zeros((robot.num_feet, model.nv))
    for row, body in zip(rows, robot.foot_bodies, strict=True):
        point = np.array([centre[0], data.xpos[body, 1], data.xpos[body, 2]])
        jacobian = np.zeros((3, model.nv))
        mujoco.mj_jac(model, data, jacobian, None, point, body)
        row[:] = jacobian[2]
    return rows
