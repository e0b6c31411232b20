"""Robot loader: the two files of a robot, an MJCF and a TOML of the same name, read and written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float

from bodyplan.errors import BodyplanError
from bodyplan.robots.contact_sensors import add_contact_sensors
from bodyplan.robots.reading.read_model import compile_error, read_model
from bodyplan.robots.task_config import Foot, TaskConfig, ValuePerJoint, task_contact_geoms
from bodyplan.robots.toml_reader import parse_config, read_toml
from bodyplan.robots.toml_writer import to_toml
from bodyplan.robots.validation.model_checks import model_problems
from bodyplan.robots.validation.name_checks import fit_problems, name_problems
from bodyplan.robots.validation.problem import FaultyFilesError, Problem, only_errors
from bodyplan.storage import atomic_write


def read_robot(mjcf: Path, allow_paths: Sequence[Path] = ()) -> dict[str, Any]:
    """The fields of a `Robot`, from its MJCF and the TOML beside it.

    Args:
        mjcf: path of the MJCF.
        allow_paths: folders besides its own whose files the MJCF may name.

    Raises:
        BodyplanError: a file is missing or faulty, or the TOML does not fit the model.
    """
    content = read_task_config(mjcf)
    return robot_fields(mjcf, read_model(mjcf, allow_paths).spec, content)


def read_task_config(mjcf: Path) -> dict[str, Any]:
    """The content of the TOML beside an MJCF.

    Raises:
        BodyplanError: either file is missing, or the TOML is not valid.
    """
    toml = mjcf.with_suffix(".toml")
    for path in (mjcf, toml):
        if not path.is_file():
            hint = "" if path == mjcf else f"; `bodyplan robots check {mjcf} --write` infers one"
            raise BodyplanError(
                f"{path} does not exist; a robot is an MJCF and a TOML of the same name in one "
                f"folder{hint}"
            )
    return read_toml(toml)


def robot_fields(mjcf: Path, spec: mujoco.MjSpec, content: dict[str, Any]) -> dict[str, Any]:
    """The fields of a `Robot`, from a model in memory and the content of its TOML.

    Args:
        mjcf: path of the MJCF, whether it exists or not; the robot's name and messages use it.
        spec: the model; its own sensors are replaced by the contact sensors of the task.
        content: the TOML's content.

    Raises:
        BodyplanError: the model does not compile, or the TOML does not fit it.
    """
    toml = str(mjcf.with_suffix(".toml"))
    config, problems = parse_config(toml, content)
    _raise_first(mjcf, problems)
    assert config is not None
    _raise_first(mjcf, name_problems(str(mjcf), toml, spec, content))
    fields = _assemble(mjcf, spec, config)
    problems = fit_problems(str(mjcf), toml, fields["model"], content)
    _raise_first(mjcf, problems or model_problems(str(mjcf), fields["model"], config.joints.names))
    return fields


def write_robot(mjcf: Path, body: str, content: dict[str, Any]) -> None:
    """Write a robot's two files, each whole or not at all.

    Args:
        mjcf: path of the MJCF; the TOML goes beside it.
        body: text of the MJCF.
        content: what the TOML holds.
    """
    write_files(mjcf, body, to_toml(content))


def write_files(mjcf: Path, body: str, toml: str) -> None:
    """Write the texts of an MJCF and of the TOML beside it, each whole or not at all."""
    for path, text in ((mjcf, body), (mjcf.with_suffix(".toml"), toml)):
        with atomic_write(path) as partial:
            partial.write_text(text, encoding="utf-8")


def _raise_first(mjcf: Path, problems: list[Problem]) -> None:
    """Raise the errors among problems, where there are any."""
    found = only_errors(problems)
    if found:
        raise FaultyFilesError(mjcf, found)


def _assemble(mjcf: Path, spec: mujoco.MjSpec, config: TaskConfig) -> dict[str, Any]:
    joints, count = config.joints, len(config.joints.names)
    feet = tuple(Foot(name, own.geoms, own.point) for name, own in config.feet.items())
    floor_geoms = [geom for foot in feet for geom in foot.geoms]
    contact_geoms = task_contact_geoms(config.reward, config.termination)
    children = joints.children
    return {
        "name": mjcf.stem,
        "description": config.description,
        "kind": config.kind,
        "legs": config.legs,
        "provenance": config.provenance,
        "model": _compile(mjcf, spec, floor_geoms, contact_geoms),
        "trunk": config.trunk,
        "joints": joints.names,
        "feet": feet,
        "senses_feet": config.senses_feet,
        "nominal": _per_joint(joints.nominal, count),
        "max_velocity": _per_joint(joints.max_velocity, count),
        "children_override": None
        if children is None
        else tuple(map(int, _per_joint(children, count))),
        "kp": config.control.kp,
        "kd": config.control.kd,
        "action_scale": config.control.action_scale,
        "drop_height": config.drop_height,
        "box_min": np.array(config.box_min),
        "box_size": np.array(config.box_size),
        "reward": config.reward,
        "termination": config.termination,
        "initial_state": config.initial_state,
        "randomisation": config.randomisation,
        "expert": config.expert,
    }


def _per_joint(value: ValuePerJoint, count: int) -> Float[np.ndarray, "J"]:
    return np.full(count, value, float) if isinstance(value, float) else np.array(value)


def _compile(
    mjcf: Path, spec: mujoco.MjSpec, floor_geoms: list[str], contact_geoms: tuple[str, ...]
) -> mujoco.MjModel:
    for sensor in list(spec.sensors):
        spec.delete(sensor)
    add_contact_sensors(spec, floor_geoms, contact_geoms)
    try:
        return spec.compile()
    except ValueError as error:
        raise compile_error(mjcf, error) from error
