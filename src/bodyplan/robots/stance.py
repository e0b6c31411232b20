"""How a robot is in its nominal pose, and what becomes of it when it does nothing.

The control law and the time steps are the task's (`envs/simulator.py`), for one robot and without
the rest of the environment.
"""

import copy
from typing import NamedTuple

import mujoco
import numpy as np

from bodyplan.robots.contacts import FLOOR
from bodyplan.robots.figures import no_errors, torque_law
from bodyplan.robots.parts import bounds
from bodyplan.robots.robot import Robot

TIMESTEP, SUBSTEPS = 0.005, 4
"""Seconds of one step of physics; how many of them a torque is held."""
CONTROL_STEP = TIMESTEP * SUBSTEPS
CLASH = 0.002
"""m: shapes may be so far inside each other."""
UPSIDE = 0.5
"""Vertical part of the trunk's z axis below which it has fallen over."""
LOW = 0.5
"""Share of the drop height below which it has fallen down."""
SHAKING = 1.0
"""rad/s: root mean square of the joints' velocities from which on a standing robot trembles."""


class Stance(NamedTuple):
    """The nominal pose at the drop height."""

    clearance: float
    """m: of the lowest foot over the floor; negative where it is in the floor."""
    below: tuple[str, ...]
    """Shapes that reach lower than all feet."""
    clashes: tuple[tuple[str, str], ...]
    """Shapes of the robot that are inside each other."""
    ending: tuple[str, ...]
    """Shapes whose touching ends the episode as it begins."""


class Rest(NamedTuple):
    """What a robot comes to that does nothing."""

    fallen: float | None
    """Seconds until it fell; None if it still stands."""
    height: float
    """m: of the trunk, at the end."""
    shaking: float
    """rad/s: root mean square of the joints' velocities in the last second."""


def stance(robot: Robot) -> Stance:
    """Look at a robot that was just put down."""
    model, data = robot.model, mujoco.MjData(robot.model)
    data.qpos[:] = robot.nominal_qpos
    mujoco.mj_fwdPosition(model, data)
    own = [g for g in range(model.ngeom) if model.body_weldid[model.geom_bodyid[g]]]
    feet = {model.geom(geom).id for foot in robot.feet for geom in foot.geoms}
    bits = model.geom_contype | model.geom_conaffinity
    solid = [geom for geom in own if bits[geom] or geom in feet]
    low = dict(zip(solid, bounds(model, data, solid)[0][:, 2], strict=True))
    sole = min(low[geom] for geom in feet)
    names = [_name(model, geom) for geom in range(model.ngeom)]
    contacts = [(int(a), int(b)) for a, b in data.contact.geom]
    deep = [pair for pair, dist in zip(contacts, data.contact.dist, strict=True) if dist < -CLASH]
    touching = {names[geom] for pair in contacts for geom in pair}
    ends = robot.termination.contact_geoms
    return Stance(
        clearance=float(sole),
        below=tuple(names[g] for g in solid if g not in feet and low[g] < sole - CLASH),
        clashes=tuple((names[a], names[b]) for a, b in deep if {a, b} <= set(own)),
        ending=tuple(name for name in ends if name in touching),
    )


def rest(robot: Robot, seconds: float = 4.0) -> Rest:
    """Let a robot stand in its nominal pose under its own gains, without any action."""
    model = copy.copy(robot.model)
    model.opt.timestep = TIMESTEP
    model.opt.integrator = mujoco.mjtIntegrator.mjINT_EULER
    data = mujoco.MjData(model)
    data.qpos[:] = robot.nominal_qpos
    still, errors = np.zeros(robot.num_joints), no_errors(robot.num_joints)
    places, index = robot.qpos_index, robot.qvel_index
    speeds = []
    for step in range(round(seconds / CONTROL_STEP)):
        torque = torque_law(robot.figures, errors, still, data.qpos[places], data.qvel[index])
        data.ctrl[robot.actuator_ids] = torque
        for _ in range(SUBSTEPS):
            mujoco.mj_step(model, data)
        data.qvel[index] = np.clip(data.qvel[index], -robot.max_velocity, robot.max_velocity)
        speeds.append(float(np.square(data.qvel[index]).mean()))
        if _has_fallen(robot, data):
            return Rest((step + 1) * CONTROL_STEP, float(data.qpos[2]), _last(speeds))
    return Rest(None, float(data.qpos[2]), _last(speeds))


def _has_fallen(robot: Robot, data: mujoco.MjData) -> bool:
    """As the robot's termination says; without a least height, on its side or flat as well."""
    ends = {robot.model.geom(geom).id for geom in robot.termination.contact_geoms}
    if ends & set(data.contact.geom.ravel().tolist()):
        return True
    if robot.termination.min_height is not None:
        return bool(data.qpos[2] < robot.termination.min_height)
    upside = 1.0 - 2.0 * float(np.square(data.qpos[4:6]).sum())
    return bool(upside < UPSIDE or data.qpos[2] < LOW * robot.drop_height)


def _last(speeds: list[float]) -> float:
    return float(np.sqrt(np.mean(speeds[-round(1.0 / CONTROL_STEP) :])))


def _name(model: mujoco.MjModel, geom: int) -> str:
    """A geom's name; where it has none, its body's with a hint."""
    own = model.geom(geom).name
    return own or f"a geom of {model.body(model.geom_bodyid[geom]).name or FLOOR}"
