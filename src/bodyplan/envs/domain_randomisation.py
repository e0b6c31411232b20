"""Domain randomisation: specimens of a robot and of its world, drawn from the robot's ranges.

What is drawn follows the original task's training mode (reference task, section 6): parameters the
policy is told of, errors on top that it is not, and the world's friction, softness and gravity.
A specimen is a function of one seed. Two choices of ours where the original is silent or slips:
errors of motors are drawn joint by joint, and armatures keep their value with the same probability
as damping, stiffness and friction loss.
"""

from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float

from bodyplan.robots.contact_sensors import FLOOR
from bodyplan.robots.model_parameters import ModelParameters, MotorErrors
from bodyplan.robots.randomisation_ranges import JointRandomisation, Range
from bodyplan.robots.robot import Robot

_KEPT = 0.3  # probability that a joint keeps its damping, armature, stiffness or friction loss


class World(NamedTuple):
    """Ground and gravity."""

    friction: float
    floor_torsion: float
    foot_torsion: float
    floor_rolling: float
    foot_rolling: float
    stiffness: float
    damping: float
    gravity: float


class RandomisedModel(NamedTuple):
    """One robot in one world."""

    parameters: ModelParameters
    """What the policy is told."""
    errors: MotorErrors
    damping: Float[np.ndarray, "J"]
    """True parameters: those told, with their hidden errors."""
    armature: Float[np.ndarray, "J"]
    stiffness: Float[np.ndarray, "J"]
    friction_loss: Float[np.ndarray, "J"]
    trunk_mass: float
    """kg."""
    com: float
    """m, shift of the trunk's centre of mass on each axis."""
    foot_growth: float
    """Factor on the first size of each of the feet's geoms."""
    world: World
    late: bool
    """Actions come late by 0 or 1 control steps."""


def sample_randomised_model(robot: Robot, seed: int) -> RandomisedModel:
    """The specimen of a seed."""
    rng, ranges, own = np.random.default_rng(seed), robot.randomisation, robot.parameters
    count = robot.num_joints

    def around(value: Float[np.ndarray, "..."], size: float) -> Float[np.ndarray, "..."]:
        return np.asarray(value + rng.uniform(-size, size, value.shape))

    def share(size: float) -> Float[np.ndarray, "J"]:
        return rng.uniform(1.0 - size, 1.0 + size, count)

    def error(size: float) -> float:
        return float(rng.uniform(1.0 - size, 1.0 + size))

    told_mass = float(rng.uniform(-ranges.trunk_mass, ranges.trunk_mass))
    parameters = ModelParameters(
        mass=np.asarray(own.mass + told_mass),
        nominal=around(own.nominal, ranges.nominal),
        joint_range=_ordered(around(own.joint_range, ranges.joint_range)),
        torque_limit=own.torque_limit * share(ranges.torque_limit),
        max_velocity=own.max_velocity * share(ranges.max_velocity),
        damping=_redraw(rng, ranges.damping, own.damping),
        armature=_redraw(rng, ranges.armature, own.armature),
        stiffness=_redraw(rng, ranges.stiffness, own.stiffness),
        friction_loss=_redraw(rng, ranges.friction_loss, own.friction_loss),
        kp=around(own.kp, ranges.kp),
        kd=around(own.kd, ranges.kd),
        action_scale=around(own.action_scale, ranges.action_scale),
    )
    hidden, hidden_joint = ranges.hidden_share, ranges.hidden_joint_share
    trunk = float(robot.model.body(robot.trunk).mass[0])
    return RandomisedModel(
        parameters=parameters,
        errors=MotorErrors(
            share(hidden),
            share(hidden),
            share(hidden),
            around(np.zeros(count), ranges.hidden_offset),
        ),
        damping=parameters.damping * share(hidden_joint),
        armature=parameters.armature * share(hidden_joint),
        stiffness=parameters.stiffness * share(hidden_joint),
        friction_loss=parameters.friction_loss * share(hidden_joint),
        trunk_mass=max((trunk + told_mass) * error(hidden), 0.1 * trunk),
        com=float(rng.uniform(-ranges.com, ranges.com)) * error(hidden),
        foot_growth=_growth(rng, ranges.foot_size) * error(ranges.hidden_foot_share),
        world=World(
            *(
                _between(rng, limits)
                for limits in (
                    ranges.friction,
                    ranges.floor_torsion,
                    ranges.foot_torsion,
                    ranges.floor_rolling,
                    ranges.foot_rolling,
                    ranges.contact_stiffness,
                    ranges.contact_damping,
                    ranges.gravity,
                )
            )
        ),
        late=bool(rng.random() < ranges.mixed_delay),
    )


def apply_randomised_model(robot: Robot, specimen: RandomisedModel, model: mujoco.MjModel) -> None:
    """Write a specimen into a model that holds the robot's own parameters."""
    dofs, joints = robot.qvel_index, robot.joint_ids
    _weigh_trunk(robot, specimen, model)
    model.dof_damping[dofs] = specimen.damping
    model.dof_armature[dofs] = specimen.armature
    model.jnt_stiffness[joints] = specimen.stiffness
    model.dof_frictionloss[dofs] = specimen.friction_loss
    model.jnt_range[joints] = specimen.parameters.joint_range
    limit = specimen.parameters.torque_limit
    model.actuator_ctrlrange[robot.actuator_ids] = np.stack([-limit, limit], axis=1)
    _lay_ground(robot, specimen.world, model)
    _grow_feet(robot, specimen.foot_growth, model)
    mujoco.mj_setConst(model, mujoco.MjData(model))  # what follows from masses and armatures


def _weigh_trunk(robot: Robot, specimen: RandomisedModel, model: mujoco.MjModel) -> None:
    trunk = model.body(robot.trunk).id
    model.body_inertia[trunk] *= specimen.trunk_mass / model.body_mass[trunk]
    model.body_mass[trunk] = specimen.trunk_mass
    model.body_ipos[trunk] += specimen.com


def _lay_ground(robot: Robot, world: World, model: mujoco.MjModel) -> None:
    feet = _foot_geoms(robot)
    model.geom_friction[model.geom(FLOOR).id] = (
        world.friction,
        world.floor_torsion,
        world.floor_rolling,
    )
    model.geom_friction[feet] = world.friction, world.foot_torsion, world.foot_rolling
    model.geom_solref[:] = -world.stiffness, -world.damping
    model.opt.gravity[2] = -world.gravity


def _grow_feet(robot: Robot, factor: float, model: mujoco.MjModel) -> None:
    feet = _foot_geoms(robot)
    growth = np.maximum(factor - 1.0, 0.0) * model.geom_size[feet, 0]
    model.geom_size[feet, 0] *= factor
    # Bounds within which MuJoCo looks for contacts; too large is only slower.
    model.geom_rbound[feet] += growth
    model.geom_aabb[feet, 3:] += growth[:, None]
    model.bvh_aabb[:, 3:] += growth.max()


def _foot_geoms(robot: Robot) -> list[int]:
    return [robot.model.geom(geom).id for foot in robot.feet for geom in foot.geoms]


def _redraw(
    rng: np.random.Generator, how: JointRandomisation, value: Float[np.ndarray, "J"]
) -> Float[np.ndarray, "J"]:
    if how.between:
        drawn = rng.uniform(*how.between, len(value))
    else:
        drawn = value * rng.uniform(1.0 - how.factor, 1.0 + how.factor, len(value))
        drawn = np.maximum(drawn + rng.uniform(-how.add, how.add, len(value)), 0.0)
    return np.where(rng.random(len(value)) < _KEPT, value, drawn)


def _growth(rng: np.random.Generator, sizes: Range | None) -> float:
    """Sizes differ from robot to robot's geom; what is drawn is the ratio to the range's middle."""
    return 1.0 if sizes is None else 2.0 * _between(rng, sizes) / sum(sizes)


def _ordered(ranges: Float[np.ndarray, "J 2"]) -> Float[np.ndarray, "J 2"]:
    """Ranges whose ends have crossed shrink to their middle."""
    low, high = ranges.T
    middle = (low + high) / 2.0
    return np.stack([np.minimum(low, middle), np.maximum(high, middle)], axis=1)


def _between(rng: np.random.Generator, limits: Range) -> float:
    return float(rng.uniform(*limits))
