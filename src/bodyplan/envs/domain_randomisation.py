"""Domain randomisation: sampling a randomised model of a robot and of its world.

What is sampled follows the original task's training mode (reference task, section 6). It has
parameters that the policy observes, errors on top that stay hidden, and the world's friction,
stiffness and gravity. A randomised model is a function of one seed. The original is silent or slips
in two places, where the choice is ours. Motor errors are sampled for each joint. An armature keeps
its value with the same probability as damping, stiffness and friction loss.
"""

from typing import NamedTuple

import mujoco
import numpy as np
import wadler_lindig
from jaxtyping import Float

from bodyplan.robots.contact_sensors import FLOOR
from bodyplan.robots.model_parameters import ModelParameters, MotorErrors
from bodyplan.robots.randomisation_ranges import JointRandomisation, Range
from bodyplan.robots.robot import Robot

_KEEP_PROBABILITY = 0.3  # that a joint keeps its damping, armature, stiffness or friction loss


class WorldParameters(NamedTuple):
    """Contact parameters and gravity, in the units of `RandomisationRanges`."""

    friction: float
    floor_torsion: float
    foot_torsion: float
    floor_rolling: float
    foot_rolling: float
    stiffness: float
    damping: float
    gravity: float


class RandomisedModel(NamedTuple):
    """One randomised robot in one randomised world; J is the number of joints."""

    parameters: ModelParameters
    """What the policy observes in its descriptor."""
    motor_errors: MotorErrors
    """Hidden from the policy, as is all that follows."""
    damping: Float[np.ndarray, "J"]
    """N m s / rad: the observed value with its hidden error. So are the next three."""
    armature: Float[np.ndarray, "J"]
    """kg m^2."""
    stiffness: Float[np.ndarray, "J"]
    """N m / rad."""
    friction_loss: Float[np.ndarray, "J"]
    """N m."""
    trunk_mass: float
    """kg."""
    com_shift: float
    """m: shift of the trunk's centre of mass on each axis."""
    foot_size_factor: float
    """Factor on the first size of each of the feet's geoms."""
    world: WorldParameters
    delayed_actions: bool
    """Whether actions are delayed by 0 or 1 control steps, drawn at each step."""

    def __repr__(self) -> str:
        return wadler_lindig.pformat(self)


def sample_randomised_model(robot: Robot, seed: int) -> RandomisedModel:
    """The randomised model of a seed, within the robot's own randomisation ranges."""
    rng, ranges, own = np.random.default_rng(seed), robot.randomisation, robot.parameters
    count = robot.num_joints
    mass_change = float(rng.uniform(-ranges.trunk_mass, ranges.trunk_mass))
    parameters = ModelParameters(
        mass=np.asarray(own.mass + mass_change),
        nominal=_around(rng, own.nominal, ranges.nominal),
        joint_range=_ordered(_around(rng, own.joint_range, ranges.joint_range)),
        torque_limit=own.torque_limit * _factors(rng, ranges.torque_limit, count),
        max_velocity=own.max_velocity * _factors(rng, ranges.max_velocity, count),
        damping=_resample(rng, ranges.damping, own.damping),
        armature=_resample(rng, ranges.armature, own.armature),
        stiffness=_resample(rng, ranges.stiffness, own.stiffness),
        friction_loss=_resample(rng, ranges.friction_loss, own.friction_loss),
        kp=_around(rng, own.kp, ranges.kp),
        kd=_around(rng, own.kd, ranges.kd),
        action_scale=_around(rng, own.action_scale, ranges.action_scale),
    )
    hidden, hidden_joint = ranges.hidden_share, ranges.hidden_joint_share
    trunk_mass = float(robot.model.body(robot.trunk).mass[0])
    return RandomisedModel(
        parameters=parameters,
        motor_errors=MotorErrors(
            _factors(rng, hidden, count),
            _factors(rng, hidden, count),
            _factors(rng, hidden, count),
            _around(rng, np.zeros(count), ranges.hidden_offset),
        ),
        damping=parameters.damping * _factors(rng, hidden_joint, count),
        armature=parameters.armature * _factors(rng, hidden_joint, count),
        stiffness=parameters.stiffness * _factors(rng, hidden_joint, count),
        friction_loss=parameters.friction_loss * _factors(rng, hidden_joint, count),
        trunk_mass=max((trunk_mass + mass_change) * _factor(rng, hidden), 0.1 * trunk_mass),
        com_shift=float(rng.uniform(-ranges.com, ranges.com)) * _factor(rng, hidden),
        foot_size_factor=_size_factor(rng, ranges.foot_size)
        * _factor(rng, ranges.hidden_foot_share),
        world=WorldParameters(
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
        delayed_actions=bool(rng.random() < ranges.mixed_delay),
    )


def apply_randomised_model(
    robot: Robot, randomised: RandomisedModel, model: mujoco.MjModel
) -> None:
    """Write a randomised model into a MuJoCo model that has the robot's own parameters."""
    dofs, joints = robot.qvel_index, robot.joint_ids
    _set_trunk_mass(robot, randomised, model)
    model.dof_damping[dofs] = randomised.damping
    model.dof_armature[dofs] = randomised.armature
    model.jnt_stiffness[joints] = randomised.stiffness
    model.dof_frictionloss[dofs] = randomised.friction_loss
    model.jnt_range[joints] = randomised.parameters.joint_range
    limit = randomised.parameters.torque_limit
    model.actuator_ctrlrange[robot.actuator_ids] = np.stack([-limit, limit], axis=1)
    _set_world(robot, randomised.world, model)
    _scale_feet(robot, randomised.foot_size_factor, model)
    # Compute the constants that follow from masses and armatures.
    mujoco.mj_setConst(model, mujoco.MjData(model))


def _set_trunk_mass(robot: Robot, randomised: RandomisedModel, model: mujoco.MjModel) -> None:
    trunk = model.body(robot.trunk).id
    model.body_inertia[trunk] *= randomised.trunk_mass / model.body_mass[trunk]
    model.body_mass[trunk] = randomised.trunk_mass
    model.body_ipos[trunk] += randomised.com_shift


def _set_world(robot: Robot, world: WorldParameters, model: mujoco.MjModel) -> None:
    feet = _foot_geoms(robot)
    model.geom_friction[model.geom(FLOOR).id] = (
        world.friction,
        world.floor_torsion,
        world.floor_rolling,
    )
    model.geom_friction[feet] = world.friction, world.foot_torsion, world.foot_rolling
    model.geom_solref[:] = -world.stiffness, -world.damping
    model.opt.gravity[2] = -world.gravity


def _scale_feet(robot: Robot, factor: float, model: mujoco.MjModel) -> None:
    feet = _foot_geoms(robot)
    growth = np.maximum(factor - 1.0, 0.0) * model.geom_size[feet, 0]
    model.geom_size[feet, 0] *= factor
    # MuJoCo looks for contacts within these bounds. Bounds that are too large only cost time.
    model.geom_rbound[feet] += growth
    model.geom_aabb[feet, 3:] += growth[:, None]
    model.bvh_aabb[:, 3:] += growth.max()


def _foot_geoms(robot: Robot) -> list[int]:
    return [robot.model.geom(geom).id for foot in robot.feet for geom in foot.geoms]


def _around(
    rng: np.random.Generator, value: Float[np.ndarray, "..."], size: float
) -> Float[np.ndarray, "..."]:
    return np.asarray(value + rng.uniform(-size, size, value.shape))


def _factors(rng: np.random.Generator, size: float, count: int) -> Float[np.ndarray, "count"]:
    return rng.uniform(1.0 - size, 1.0 + size, count)


def _factor(rng: np.random.Generator, size: float) -> float:
    return float(rng.uniform(1.0 - size, 1.0 + size))


def _resample(
    rng: np.random.Generator, how: JointRandomisation, value: Float[np.ndarray, "J"]
) -> Float[np.ndarray, "J"]:
    if how.between:
        sampled = rng.uniform(*how.between, len(value))
    else:
        sampled = value * rng.uniform(1.0 - how.factor, 1.0 + how.factor, len(value))
        sampled = np.maximum(sampled + rng.uniform(-how.add, how.add, len(value)), 0.0)
    return np.where(rng.random(len(value)) < _KEEP_PROBABILITY, value, sampled)


def _size_factor(rng: np.random.Generator, sizes: Range | None) -> float:
    """The sampled size over the middle of its range; the geoms of one foot may differ in size."""
    return 1.0 if sizes is None else 2.0 * _between(rng, sizes) / sum(sizes)


def _ordered(ranges: Float[np.ndarray, "J 2"]) -> Float[np.ndarray, "J 2"]:
    """Joint ranges in which a low end above its high end is replaced by the middle of both."""
    low, high = ranges.T
    middle = (low + high) / 2.0
    return np.stack([np.minimum(low, middle), np.maximum(high, middle)], axis=1)


def _between(rng: np.random.Generator, limits: Range) -> float:
    return float(rng.uniform(*limits))
