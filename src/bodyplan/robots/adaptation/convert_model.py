"""Convert a model from elsewhere, an MJCF or a URDF, into the two files of a robot.

Read, normalise, infer, explain: the model is read safely, gets the form that the task needs, and a
task config is inferred from it. Every step answers with notes on what it changed, guessed and
dropped. The model's own files stay as they are.
"""

import warnings
from pathlib import Path
from typing import NamedTuple

import mujoco

from bodyplan.errors import BodyplanError
from bodyplan.robots.adaptation.actuators import replace_actuators
from bodyplan.robots.adaptation.choices import Choices
from bodyplan.robots.adaptation.joints import (
    add_armature,
    add_ranges,
    lock_sliding_joints,
    lock_wheels,
)
from bodyplan.robots.adaptation.part_names import name_bodies, name_geoms
from bodyplan.robots.adaptation.robot_files import write_robot_files
from bodyplan.robots.adaptation.root import free_root, turn_upright
from bodyplan.robots.adaptation.scene import keep_floor, keep_robot
from bodyplan.robots.inference.infer_config import (
    InferredConfig,
    can_infer,
    infer_config,
    tune_gains,
)
from bodyplan.robots.inference.nominal_pose_search import NominalPose, find_nominal_pose
from bodyplan.robots.kinematic_tree import actuated_hinges, find_limbs
from bodyplan.robots.notes import Note, changed, dropped
from bodyplan.robots.reading.read_model import ModelSource, compile_error, read_model
from bodyplan.robots.robot import Robot
from bodyplan.robots.validation.world_checks import MIN_ITERATIONS

DEFAULT_CHOICES = Choices()


class ConvertedModel(NamedTuple):
    """A model in the form that the task needs."""

    spec: mujoco.MjSpec
    inferred: InferredConfig
    notes: list[Note]
    """What was changed, guessed and dropped, in the order of the steps."""


def convert_model(source: Path, out: Path, choices: Choices = DEFAULT_CHOICES) -> ConvertedModel:
    """Convert a model and write the two files of a robot.

    Args:
        source: path of an MJCF or a URDF.
        out: path of the MJCF to write; the TOML goes beside it.
        choices: the user's.

    Raises:
        BodyplanError: the model cannot be read, does not compile, or has no legs.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # MuJoCo's, about the source
        read = read_model(source, choices.allow_paths, choices.visual_collisions)
        converted = convert_spec(source, read, out.stem, choices)
        inferred = tune_gains(
            converted.inferred, lambda own: Robot.build(out, converted.spec.copy(), own)
        )
        notes = write_robot_files(converted.spec, out, inferred.to_toml())
    return ConvertedModel(converted.spec, inferred, [*converted.notes, *notes])


def convert_spec(
    source: Path, read: ModelSource, name: str, choices: Choices = DEFAULT_CHOICES
) -> ConvertedModel:
    """Convert a model in memory, and infer its task config.

    Args:
        source: path of the model, which messages name.
        read: the model; its spec is changed.
        name: of the robot.
        choices: the user's.

    Raises:
        BodyplanError: the model does not compile, stands on wheels, or no legs are found.
    """
    spec, notes = read.spec, list(read.notes)

    def model() -> mujoco.MjModel:
        return _compiled(source, spec)

    notes += _remove_sensors(spec)
    notes += keep_robot(source, spec, model(), choices.root)
    notes += keep_floor(spec, model())
    notes += free_root(spec, model())
    notes += name_bodies(spec)
    notes += turn_upright(spec, model())
    notes += lock_sliding_joints(spec, model(), read.is_urdf)
    notes += replace_actuators(spec, model())
    notes += lock_wheels(source, spec, model(), choices.lock_wheels)
    notes += add_ranges(spec, model())
    notes += add_armature(spec, model())
    notes += _reset_solver(spec)
    pose = _nominal_pose(source, model())
    notes += [*pose.notes, *name_geoms(spec, model(), pose)]
    inferred = infer_config(name, model(), read.velocity_limits, pose)
    if isinstance(inferred, list):
        raise _no_legs(source)
    inferred.content["provenance"] = f"adapted from {source.name}"
    notes += _replace_keyframes(spec, model(), pose)
    return ConvertedModel(spec, inferred, notes)


def _compiled(source: Path, spec: mujoco.MjSpec) -> mujoco.MjModel:
    try:
        return spec.copy().compile()  # in a compiled spec, deletions would empty the keyframes
    except ValueError as error:
        raise compile_error(source, error) from error


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


def _remove_sensors(spec: mujoco.MjSpec) -> list[Note]:
    """Remove sensors, which the task does not read; keyframes then set positions only."""
    for key in spec.keys:
        key.ctrl, key.act = [], []
    sensors = list(spec.sensors)
    for sensor in sensors:
        spec.delete(sensor)
    return [dropped(f"sensors: {len(sensors)}")] if sensors else []


def _reset_solver(spec: mujoco.MjSpec) -> list[Note]:
    """Give the solver MuJoCo's default accuracy."""
    damped = mujoco.mjtDisableBit.mjDSBL_EULERDAMP.value
    if spec.option.iterations >= MIN_ITERATIONS and not spec.option.disableflags & damped:
        return []
    spec.option.iterations, spec.option.ls_iterations = 100, 50
    spec.option.disableflags &= ~damped
    return [changed("the solver's settings are MuJoCo's defaults")]


def _replace_keyframes(spec: mujoco.MjSpec, model: mujoco.MjModel, pose: NominalPose) -> list[Note]:
    """Remove keyframes; add one with the nominal pose where joints without a motor need it."""
    keys = list(spec.keys)
    for key in keys:
        spec.delete(key)
    if model.nq > 7 + model.nu:
        spec.add_key(name="nominal", qpos=pose.qpos)
    return [dropped(f"keyframes: {len(keys)}")] if keys else []
