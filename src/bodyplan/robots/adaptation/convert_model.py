"""Models as others write them, brought into the form that the task asks for.

Position servos and geared motors become plain motors, a root that is held gets a free joint, parts
that a TOML must name get names, sensors and keyframes go. Shapes, masses and joints stay as they
are, and mesh files stay where they are. A URDF becomes an MJCF on the way.
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
from bodyplan.robots.inference.gain_trial import tune_gains
from bodyplan.robots.inference.gains import usual_kp
from bodyplan.robots.inference.infer_config import Inferred, config_text, infer
from bodyplan.robots.inference.missing_names import nameless, readable
from bodyplan.robots.inference.nominal_pose_search import NominalPose, find_nominal_pose
from bodyplan.robots.kinematic_tree import actuated_hinges, find_limbs, free_bodies
from bodyplan.robots.model_files import missing_files, mjcf_text, read_model, velocity_limits
from bodyplan.robots.robot import Robot
from bodyplan.robots.task_config import CONTROL_STEP
from bodyplan.robots.validation.model_checks import FEW
from bodyplan.robots.validation.problem import name_list
from bodyplan.storage import atomic_write

FULL_TURN = 3.1416
"""rad."""
LEAST_INERTIA_PER_KP = 1.5 * CONTROL_STEP**2
"""s^2: inertia over kp from which on a torque held for a control step does not shake a joint."""


class Adapted(NamedTuple):
    """A model in the task's form."""

    spec: mujoco.MjSpec
    inferred: Inferred
    changes: list[str]
    """What was done."""
    guesses: list[str]
    """What the model does not say."""


def convert_model(source: Path, out: Path) -> Adapted:
    """Adapt a model and write the two files of a robot.

    Args:
        source: an MJCF or a URDF.
        out: the MJCF to be written; the TOML goes beside it.

    Raises:
        BodyplanError: the model cannot be read, does not compile, or has no legs.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # MuJoCo's, about what the source is to it
        spec = read_model(source)
        absent = next(missing_files(source, spec), None)
        if absent:
            raise BodyplanError(str(absent))
        adapted = adapt(source, spec, out.stem, velocity_limits(source))
        body = mjcf_text(adapted.spec, source, out)
        inferred = tune_gains(
            adapted.inferred, lambda own: Robot.build(out, adapted.spec.copy(), own)
        )
    for path, text in ((out, body), (out.with_suffix(".toml"), config_text(inferred))):
        with atomic_write(path) as partial:
            partial.write_text(text, encoding="utf-8")
    return adapted


def adapt(source: Path, spec: mujoco.MjSpec, name: str, speeds: Mapping[str, float]) -> Adapted:
    """Bring a model into the task's form, and infer its task config.

    Args:
        source: its file, which errors name.
        spec: what was read from it; it is changed.
        name: of the robot.
        speeds: velocity limits of joints where they are known, rad/s.

    Raises:
        BodyplanError: the model does not compile, or no legs are found.
    """
    changes = [*_unsensed(spec), *_freed(source, spec), *_named(spec)]
    replaced = replace_actuators(spec, _compiled(source, spec))
    guesses = [*_ranged(source, spec), *replaced.guesses]
    guesses += _weighted(source, spec)
    changes += [*replaced.changes, *_settled(spec)]
    model = _compiled(source, spec)
    posture = _posture(source, model)
    changes += _named_shapes(spec, model, posture)
    model = _compiled(source, spec)
    inferred = infer(name, model, speeds)
    if isinstance(inferred, list):
        raise BodyplanError(_legless(source))
    inferred.config["provenance"] = f"adapted from {source.name}"
    changes += _keep_pose(spec, model, inferred.posture)
    return Adapted(spec, inferred, changes, guesses)


def _compiled(source: Path, spec: mujoco.MjSpec) -> mujoco.MjModel:
    try:
        return spec.compile()
    except ValueError as error:
        raise loader.compile_error(source, error) from error


def _legless(source: Path) -> str:
    return (
        f"{source}: no leg is found in it, a limb with hinges that ends in a shape which can touch "
        "the floor below the trunk; write the TOML by hand (docs/add_a_robot.md)"
    )


def _posture(source: Path, model: mujoco.MjModel) -> NominalPose:
    driven = actuated_hinges(model)
    posture = (
        find_nominal_pose(model, driven, find_limbs(model, driven)) if readable(model) else None
    )
    if posture is None:
        raise BodyplanError(_legless(source))
    return posture


def _unsensed(spec: mujoco.MjSpec) -> list[str]:
    """Without sensors, which the task does not read, and with keyframes that set positions only."""
    for key in spec.keys:
        key.ctrl, key.act = [], []
    sensors = list(spec.sensors)
    for sensor in sensors:
        spec.delete(sensor)
    return [f"sensors removed: {len(sensors)}"] if sensors else []


def _freed(source: Path, spec: mujoco.MjSpec) -> list[str]:
    """With a free joint for the heaviest tree of bodies, where none flies free."""
    actuators = _without_actuators(spec)
    model = _compiled(source, actuators)
    if free_bodies(model):
        return []
    placed = (model.body_parentid == 0) & (model.body_mocapid < 0)
    roots = [int(body) for body in np.flatnonzero(placed) if body]
    if not roots:
        raise BodyplanError(f"{source}: there is no body in it; give an MJCF of a robot")
    heavy = max(roots, key=lambda body: float(model.body_subtreemass[body]))
    body = list(spec.bodies)[heavy]
    held = {joint.name for joint in body.joints}
    for element in [*spec.actuators, *spec.equalities]:
        if held & {getattr(element, key, "") for key in ("target", "name1", "name2")}:
            spec.delete(element)
    lost = _coordinates(model, heavy)
    for joint in list(body.joints):
        spec.delete(joint)
    body.add_freejoint(name="root")
    for key in spec.keys:
        key.qpos = [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, *np.delete(np.array(key.qpos), lost)]
        key.qvel = []
    words = f" instead of {', '.join(sorted(held))}" if held else ""
    return [f"body '{body.name or heavy}' has a free joint{words}"]


def _without_actuators(spec: mujoco.MjSpec) -> mujoco.MjSpec:
    own = spec.copy()
    for actuator in list(own.actuators):
        own.delete(actuator)
    return own


def _coordinates(model: mujoco.MjModel, body: int) -> list[int]:
    """Places in qpos of a body's own hinges and slides."""
    first, count = int(model.body_jntadr[body]), int(model.body_jntnum[body])
    return [int(model.jnt_qposadr[joint]) for joint in range(first, first + count)]


def _named(spec: mujoco.MjSpec) -> list[str]:
    """With names for every body that has joints, and for the joints."""
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


def _ranged(source: Path, spec: mujoco.MjSpec) -> list[str]:
    """With a range for every driven joint."""
    model = _compiled(source, spec)
    driven = [joint for joint in actuated_hinges(model) if not model.jnt_limited[joint]]
    names = [model.joint(joint).name for joint in driven]
    turn = 180.0 if spec.compiler.degree else FULL_TURN  # a spec keeps the unit of its file
    for joint in spec.joints:
        if joint.name in names:
            joint.limited, joint.range = True, [-turn, turn]
    return [f"ranges of {name_list(names)}: a full turn"] if names else []


def _weighted(source: Path, spec: mujoco.MjSpec) -> list[str]:
    """With rotors, where no motor has any."""
    model = _compiled(source, spec)
    driven = actuated_hinges(model)
    if (model.dof_armature[model.jnt_dofadr[driven]] > 0.0).any():
        return []
    armature = float(f"{LEAST_INERTIA_PER_KP * usual_kp(float(model.body_mass.sum())):.1g}")
    names = {model.joint(joint).name for joint in driven}
    for joint in spec.joints:
        if joint.name in names:
            joint.armature = armature
    return [f"armature of all motors: {armature:g} kg m^2, so that usual gains do not shake them"]


def _settled(spec: mujoco.MjSpec) -> list[str]:
    """With the solver as exact as MuJoCo has it by default, and a floor called so."""
    changes = []
    damped = mujoco.mjtDisableBit.mjDSBL_EULERDAMP.value
    if spec.option.iterations < FEW or spec.option.disableflags & damped:
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


def _named_shapes(spec: mujoco.MjSpec, model: mujoco.MjModel, posture: NominalPose) -> list[str]:
    """With names for the shapes of feet, and for the solid ones of trunk and shins."""
    proposals = {part.geom: part.proposal for part in nameless(model, posture)}
    trunk = model.body_weldid[model.geom_bodyid] == free_bodies(model)[0]
    solid = (model.geom_contype | model.geom_conaffinity) > 0
    others = [*np.flatnonzero(trunk & solid), *(g for leg in posture.legs for g in leg.geoms)]
    for geom in map(int, others):
        if not model.geom(geom).name and geom not in proposals:
            proposals[geom] = model.body(int(model.geom_bodyid[geom])).name + "_shape"
    geoms = {own.id: own for own in spec.geoms}
    for geom, proposal in proposals.items():
        geoms[geom].name = _unused(spec.geoms, proposal)
    feet = [geoms[geom].name for foot in posture.feet for geom in foot if geom in proposals]
    changes = [f"shapes of feet are named {name_list(feet)}"] if feet else []
    rest = len(proposals) - len(feet)
    return [*changes, *([f"{rest} shapes of trunk and shins are named"] if rest else [])]


def _keep_pose(spec: mujoco.MjSpec, model: mujoco.MjModel, posture: NominalPose) -> list[str]:
    """Without keyframes, but for one with the nominal pose where joints without a motor need it."""
    keys = list(spec.keys)
    for key in keys:
        spec.delete(key)
    if model.nq > 7 + model.nu:
        spec.add_key(name="nominal", qpos=posture.qpos)
    return [f"keyframes removed: {len(keys)}"] if keys else []
