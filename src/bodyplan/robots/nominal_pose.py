"""How a robot is in its nominal pose, and what becomes of it when it does nothing.

The control law and the time steps are the task's (`envs/simulator.py`), for one robot and without
the rest of the environment.
"""

import copy
from typing import TYPE_CHECKING, NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float

from bodyplan.robots.contact_sensors import FLOOR
from bodyplan.robots.kinematic_tree import geom_bounds
from bodyplan.robots.model_parameters import ideal_motors, pd_torque
from bodyplan.robots.robot import Robot
from bodyplan.robots.task_config import CONTROL_STEP

if TYPE_CHECKING:
    from bodyplan.robots.robot import Robot

TIMESTEP = 0.005
"""Seconds of one step of physics."""
SUBSTEPS = round(CONTROL_STEP / TIMESTEP)
"""Steps of physics for which a torque is held."""
MAX_PENETRATION = 0.002
"""m: shapes may be so far inside each other."""
FALLEN_UPRIGHT = 0.5
"""Vertical part of the trunk's z axis below which it has fallen over."""
MIN_STANDING_HEIGHT = 0.5
"""Share of the drop height below which it has fallen down."""
MAX_STANDING_SPEED = 1.0
"""rad/s: root mean square of the joints' velocities from which on a standing robot trembles."""


class PoseCheck(NamedTuple):
    """The nominal pose at the drop height."""

    clearance: float
    """m: of the lowest foot over the floor; negative where it is in the floor."""
    below: tuple[str, ...]
    """Shapes that reach lower than all feet."""
    clashes: tuple[tuple[str, str], ...]
    """Shapes of the robot that are inside each other."""
    ending: tuple[str, ...]
    """Shapes whose touching ends the episode as it begins."""


class StandingTrial(NamedTuple):
    """What a robot comes to that does nothing."""

    fallen: float | None
    """Seconds until it fell; None if it still stands."""
    height: float
    """m: of the trunk, at the end."""
    shaking: float
    """rad/s: root mean square of the joints' velocities in the last second."""


def check_nominal_pose(robot: Robot) -> PoseCheck:
    """Look at a robot that was just put down."""
    model, data = robot.model, mujoco.MjData(robot.model)
    data.qpos[:] = robot.nominal_qpos
    mujoco.mj_fwdPosition(model, data)
    own = [g for g in range(model.ngeom) if model.body_weldid[model.geom_bodyid[g]]]
    feet = {model.geom(geom).id for foot in robot.feet for geom in foot.geoms}
    bits = model.geom_contype | model.geom_conaffinity
    solid = [geom for geom in own if bits[geom] or geom in feet]
    low = dict(zip(solid, geom_bounds(model, data, solid)[0][:, 2], strict=True))
    sole = min(low[geom] for geom in feet)
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
        clearance=float(sole),
        below=tuple(names[g] for g in solid if g not in feet and low[g] < sole - MAX_PENETRATION),
        clashes=tuple((names[a], names[b]) for a, b in deep if {a, b} <= set(own)),
        ending=tuple(name for name in ends if name in touching),
    )


def simulate_standing(robot: Robot, seconds: float = 4.0) -> StandingTrial:
    """Let a robot stand in its nominal pose under its own gains, without any action."""
    model = copy.copy(robot.model)
    model.opt.timestep = TIMESTEP
    model.opt.integrator = mujoco.mjtIntegrator.mjINT_EULER
    data = mujoco.MjData(model)
    data.qpos[:] = robot.nominal_qpos
    still, errors = np.zeros(robot.num_joints), ideal_motors(robot.num_joints)
    places, index = robot.qpos_index, robot.qvel_index
    speeds = []
    for step in range(round(seconds / CONTROL_STEP)):
        torque = pd_torque(robot.parameters, errors, still, data.qpos[places], data.qvel[index])
        data.ctrl[robot.actuator_ids] = torque
        for _ in range(SUBSTEPS):
            mujoco.mj_step(model, data)
        data.qvel[index] = np.clip(data.qvel[index], -robot.max_velocity, robot.max_velocity)
        speeds.append(float(np.square(data.qvel[index]).mean()))
        if _has_fallen(robot, data):
            return StandingTrial((step + 1) * CONTROL_STEP, float(data.qpos[2]), _last(speeds))
    return StandingTrial(None, float(data.qpos[2]), _last(speeds))


def _has_fallen(robot: Robot, data: mujoco.MjData) -> bool:
    """As the robot's termination says; without a least height, on its side or flat as well."""
    ends = {robot.model.geom(geom).id for geom in robot.termination.contact_geoms}
    if ends & set(data.contact.geom.ravel().tolist()):
        return True
    if robot.termination.min_height is not None:
        return bool(data.qpos[2] < robot.termination.min_height)
    upside = 1.0 - 2.0 * float(np.square(data.qpos[4:6]).sum())
    return bool(upside < FALLEN_UPRIGHT or data.qpos[2] < MIN_STANDING_HEIGHT * robot.drop_height)


def _last(speeds: list[float]) -> float:
    return float(np.sqrt(np.mean(speeds[-round(1.0 / CONTROL_STEP) :])))


def _name(model: mujoco.MjModel, geom: int) -> str:
    """A geom's name; where it has none, its body's with a hint."""
    own = model.geom(geom).name
    return own or f"a geom of {model.body(model.geom_bodyid[geom]).name or FLOOR}"


def balancing_torques(robot: "Robot") -> Float[np.ndarray, "J"]:
    """Torques (N m) under which, with both feet carrying it, the robot does not accelerate.

    The equations of motion at rest, `bias - passive = S tau + J_e' f + J_f' F`, are solved for
    motor torques tau, forces f of closed linkages and vertical forces F on the feet, in least
    squares because joints without a motor may have to give way. A foot's force acts below the
    centre of mass, so that the trunk is not asked to pitch.
    """
    model = copy.copy(robot.model)
    model.opt.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
    data = mujoco.MjData(model)
    data.qpos[:] = robot.nominal_qpos
    mujoco.mj_forward(model, data)
    motors = np.zeros((model.nv, robot.num_joints))
    motors[robot.qvel_index, np.arange(robot.num_joints)] = 1.0
    columns = [motors, _linkages(model, data).T, _foot_forces(robot, model, data).T]
    wanted = data.qfrc_bias - data.qfrc_passive
    solution = np.linalg.lstsq(np.hstack(columns), wanted, rcond=None)[0]
    return solution[: robot.num_joints]


def _linkages(model: mujoco.MjModel, data: mujoco.MjData) -> Float[np.ndarray, "E nv"]:
    rows = data.efc_J.reshape(-1, model.nv)
    return rows[data.efc_type[: len(rows)] == mujoco.mjtConstraint.mjCNSTR_EQUALITY]


def _foot_forces(
    robot: "Robot", model: mujoco.MjModel, data: mujoco.MjData
) -> Float[np.ndarray, "F nv"]:
    centre = data.subtree_com[model.body(robot.trunk).id]
    rows = np.zeros((robot.num_feet, model.nv))
    for row, body in zip(rows, robot.foot_bodies, strict=True):
        point = np.array([centre[0], data.xpos[body, 1], data.xpos[body, 2]])
        jacobian = np.zeros((3, model.nv))
        mujoco.mj_jac(model, data, jacobian, None, point, body)
        row[:] = jacobian[2]
    return rows
