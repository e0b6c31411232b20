"""Convert a model from elsewhere, an MJCF or a URDF, into the two files of a robot.

Servos and geared motors become plain motors. A fixed root gets a free joint. Parts that the TOML
must name get names. Sensors and keyframes are removed. Geoms, masses and joints stay as they are,
and mesh files stay where they are.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import mujoco
import numpy as np

from bodyplan.errors import BodyplanError
from bodyplan.robots import loader
from bodyplan.robots.adaptation.actuators import replace_actuators
from bodyplan.robots.contact_sensors import FLOOR
from bodyplan.robots.inference.gains import usual_kp
from bodyplan.robots.inference.infer_config import (
    InferredConfig,
    can_infer,
    infer_config,
    tune_gains,
    unnamed_foot_geoms,
)
from bodyplan.robots.inference.nominal_pose_search import NominalPose, find_nominal_pose
from bodyplan.robots.kinematic_tree import actuated_hinges, find_limbs, free_bodies
from bodyplan.robots.model_files import missing_files, mjcf_text, read_model, velocity_limits
from bodyplan.robots.model_parameters import MIN_INERTIA_PER_KP
from bodyplan.robots.robot import Robot
from bodyplan.robots.validation.model_checks import MIN_ITERATIONS
from bodyplan.robots.validation.problem import name_list

HALF_TURN = 3.1416
"""rad."""


class ConvertedModel(NamedTuple):
    """A model in the form that the task needs."""

    spec: mujoco.MjSpec
    inferred: InferredConfig
    changes: list[str]
    """Sentences."""
    guesses: list[str]
    """Sentences about values that the model does not contain."""


def convert_model(source: Path, out: Path) -> ConvertedModel:
    """Convert a model and write the two files of a robot.

    Args:
        source: path of an MJCF or a URDF.
        out: path of the MJCF to write; the TOML goes beside it.

    Raises:
        BodyplanError: the model cannot be read, does not compile, or has no legs.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # MuJoCo's, about the source
        spec = read_model(source)
        absent = next(missing_files(source, spec), None)
        if absent:
            raise BodyplanError(str(absent))
        converted = convert_spec(source, spec, out.stem, velocity_limits(source))
        body = mjcf_text(converted.spec, source, out)
        inferred = tune_gains(
            converted.inferred, lambda own: Robot.build(out, converted.spec.copy(), own)
        )
    loader.write_files(out, body, inferred.to_toml())
    return converted


def convert_spec(
    source: Path, spec: mujoco.MjSpec, name: str, velocity_limits: Mapping[str, float]
) -> ConvertedModel:
    """Convert a model in memory, and infer its task config.

    Args:
        source: path of the model, which messages name.
        spec: the model, which is changed.
        name: of the robot.
        velocity_limits: of joints where they are known, rad/s.

    Raises:
        BodyplanError: the model does not compile, or no legs are found.
    """
    changes = [*_remove_sensors(spec), *_free_root(source, spec), *_name_bodies(spec)]
    actuators = replace_actuators(spec, _compiled(source, spec))
    guesses = [*_add_ranges(source, spec), *actuators.guesses]
    guesses += _add_armature(source, spec)
    changes += [*actuators.changes, *_reset_solver_and_floor(spec)]
    model = _compiled(source, spec)
    changes += _name_geoms(spec, model, _nominal_pose(source, model))
    model = _compiled(source, spec)
    inferred = infer_config(name, model, velocity_limits)
    if isinstance(inferred, list):
        raise _no_legs(source)
    inferred.content["provenance"] = f"adapted from {source.name}"
    changes += _replace_keyframes(spec, model, inferred.pose)
    return ConvertedModel(spec, inferred, changes, guesses)


def _compiled(source: Path, spec: mujoco.MjSpec) -> mujoco.MjModel:
    try:
        return spec.compile()
    except ValueError as error:
        raise loader.compile_error(source, error) from error


def _no_legs(source: Path) -> BodyplanError:
    return BodyplanError(
        f"{source} has no leg: a limb with hinges that ends in a geom which can touch the floor "
        "below the trunk; write the TOML by hand (docs/add_a_robot.md)"
    )


def _nominal_pose(source: Path, model: mujoco.MjModel) -> NominalPose:
    driven = actuated_hinges(model)
    pose = None
    if can_infer(model):
        pose = find_nominal_pose(model, driven, find_limbs(model, driven))
    if pose is None:
        raise _no_legs(source)
    return pose


def _remove_sensors(spec: mujoco.MjSpec) -> list[str]:
    """Remove sensors, which the task does not read; keyframes then set positions only."""
    for key in spec.keys:
        key.ctrl, key.act = [], []
    sensors = list(spec.sensors)
    for sensor in sensors:
        spec.delete(sensor)
    return [f"sensors removed: {len(sensors)}"] if sensors else []


def _free_root(source: Path, spec: mujoco.MjSpec) -> list[str]:
    """Give the heaviest tree of bodies a free joint, where no body has one."""
    model = _compiled(source, _without_actuators(spec))
    if free_bodies(model):
        return []
    placed = (model.body_parentid == 0) & (model.body_mocapid < 0)
    roots = [int(body) for body in np.flatnonzero(placed) if body]
    if not roots:
        raise BodyplanError(f"{source} has no body; give the MJCF of a robot")
    heavy = max(roots, key=lambda body: float(model.body_subtreemass[body]))
    body = list(spec.bodies)[heavy]
    removed = {joint.name for joint in body.joints}
    for element in [*spec.actuators, *spec.equalities]:
        if removed & {getattr(element, key, "") for key in ("target", "name1", "name2")}:
            spec.delete(element)
    lost = _qpos_of_joints(model, heavy)
    for joint in list(body.joints):
        spec.delete(joint)
    body.add_freejoint(name="root")
    for key in spec.keys:
        key.qpos = [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, *np.delete(np.array(key.qpos), lost)]
        key.qvel = []
    words = f" instead of {', '.join(sorted(removed))}" if removed else ""
    return [f"body '{body.name or heavy}' has a free joint{words}"]


def _without_actuators(spec: mujoco.MjSpec) -> mujoco.MjSpec:
    own = spec.copy()
    for actuator in list(own.actuators):
        own.delete(actuator)
    return own


def _qpos_of_joints(model: mujoco.MjModel, body: int) -> list[int]:
    """Indices in qpos of a body's own hinges and slides."""
    first, count = int(model.body_jntadr[body]), int(model.body_jntnum[body])
    return [int(model.jnt_qposadr[joint]) for joint in range(first, first + count)]


def _name_bodies(spec: mujoco.MjSpec) -> list[str]:
    """Name every body that has joints, and the joints."""
    changes = []
    for number, body in enumerate(spec.bodies):
        joints = list(body.joints)
        if joints and not body.name:
            root = body.parent.name == "world"
            body.name = _unused(spec.bodies, "trunk" if root else f"body_{number}")
            changes.append(f"a body is named '{body.name}'")
        for joint in joints:
            if not joint.name:
                free = joint.type == mujoco.mjtJoint.mjJNT_FREE
                joint.name = _unused(spec.joints, "root" if free else f"{body.name}_joint")
                changes += [] if free else [f"a joint is named '{joint.name}'"]
    return changes


def _unused(elements: Any, name: str) -> str:
    taken = {element.name for element in elements}
    numbered = (f"{name}_{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(own for own in numbered if own not in taken)


def _add_ranges(source: Path, spec: mujoco.MjSpec) -> list[str]:
    """Give every actuated joint a range."""
    model = _compiled(source, spec)
    driven = [joint for joint in actuated_hinges(model) if not model.jnt_limited[joint]]
    names = [model.joint(joint).name for joint in driven]
    angle = 180.0 if spec.compiler.degree else HALF_TURN  # a spec keeps the unit of its file
    for joint in spec.joints:
        if joint.name in names:
            joint.limited, joint.range = True, [-angle, angle]
    return [f"ranges of {name_list(names)}: a full turn"] if names else []


def _add_armature(source: Path, spec: mujoco.MjSpec) -> list[str]:
    """Give all motors an armature, where none has one."""
    model = _compiled(source, spec)
    driven = actuated_hinges(model)
    if (model.dof_armature[model.jnt_dofadr[driven]] > 0.0).any():
        return []
    armature = float(f"{MIN_INERTIA_PER_KP * usual_kp(float(model.body_mass.sum())):.1g}")
    names = {model.joint(joint).name for joint in driven}
    for joint in spec.joints:
        if joint.name in names:
            joint.armature = armature
    return [f"armature of all motors: {armature:g} kg m^2, so that joints do not shake"]


def _reset_solver_and_floor(spec: mujoco.MjSpec) -> list[str]:
    """Give the solver MuJoCo's default accuracy, and the ground plane the name of the floor."""
    changes = []
    damped = mujoco.mjtDisableBit.mjDSBL_EULERDAMP.value
    if spec.option.iterations < MIN_ITERATIONS or spec.option.disableflags & damped:
        spec.option.iterations, spec.option.ls_iterations = 100, 50
        spec.option.disableflags &= ~damped
        changes.append("the solver's settings are MuJoCo's defaults")
    planes = [own for own in spec.geoms if own.type == mujoco.mjtGeom.mjGEOM_PLANE]
    if planes and not any(own.name == FLOOR for own in spec.geoms):
        pairs = {name for pair in spec.pairs for name in (pair.geomname1, pair.geomname2)}
        if planes[0].name not in pairs:
            changes.append(f"the plane '{planes[0].name}' is called {FLOOR}")
            planes[0].name = FLOOR
    return changes


def _name_geoms(spec: mujoco.MjSpec, model: mujoco.MjModel, pose: NominalPose) -> list[str]:
    """Name the geoms of feet, and the solid geoms of trunk and shins."""
    proposals = {own.geom: own.proposal for own in unnamed_foot_geoms(model, pose)}
    trunk = model.body_weldid[model.geom_bodyid] == free_bodies(model)[0]
    solid = (model.geom_contype | model.geom_conaffinity) > 0
    others = [*np.flatnonzero(trunk & solid), *(g for leg in pose.legs for g in leg.geoms)]
    for geom in map(int, others):
        if not model.geom(geom).name and geom not in proposals:
            proposals[geom] = model.body(int(model.geom_bodyid[geom])).name + "_shape"
    geoms = {own.id: own for own in spec.geoms}
    for geom, proposal in proposals.items():
        geoms[geom].name = _unused(spec.geoms, proposal)
    feet = [geoms[geom].name for foot in pose.feet for geom in foot if geom in proposals]
    changes = [f"geoms of feet are named {name_list(feet)}"] if feet else []
    rest = len(proposals) - len(feet)
    return [*changes, *([f"{rest} geoms of trunk and shins are named"] if rest else [])]


def _replace_keyframes(spec: mujoco.MjSpec, model: mujoco.MjModel, pose: NominalPose) -> list[str]:
    """Remove keyframes; add one with the nominal pose where joints without a motor need it."""
    keys = list(spec.keys)
    for key in keys:
        spec.delete(key)
    if model.nq > 7 + model.nu:
        spec.add_key(name="nominal", qpos=pose.qpos)
    return [f"keyframes removed: {len(keys)}"] if keys else []
