"""A robot's two files: an MJCF with the body, a TOML of the same name with the walk."""

import tomllib
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float

from bodyplan.errors import BodyplanError
from bodyplan.robots.contact_sensors import add_contact_sensors
from bodyplan.robots.randomisation_ranges import RandomisationRanges
from bodyplan.robots.task_config import (
    RETIRED_REWARD_KEYS,
    ExpertSettings,
    Foot,
    InitialState,
    RewardCoefficients,
    Termination,
    task_contact_geoms,
)
from bodyplan.robots.toml_writer import to_toml
from bodyplan.robots.validation.model_checks import model_problems
from bodyplan.robots.validation.name_checks import fit_problems, name_problems
from bodyplan.robots.validation.problem import Problem, errors
from bodyplan.robots.validation.toml_schema import schema_problems
from bodyplan.storage import atomic_write


def read_robot(mjcf: Path) -> dict[str, Any]:
    """The fields of the `Robot` of an MJCF and the TOML beside it.

    Raises:
        BodyplanError: missing or faulty file, or a config that does not fit the model.
    """
    config = read_task_config(mjcf)
    try:
        spec = mujoco.MjSpec.from_file(str(mjcf))
    except ValueError as error:
        raise compile_error(mjcf, error) from error
    return robot_fields(mjcf, spec, config)


def read_task_config(mjcf: Path) -> dict[str, Any]:
    """The TOML beside an MJCF.

    Raises:
        BodyplanError: either file is missing, or the TOML is none.
    """
    toml = mjcf.with_suffix(".toml")
    for path in (mjcf, toml):
        if not path.is_file():
            how = "" if path == mjcf else f"; `bodyplan robots check {mjcf} --write` infers one"
            raise BodyplanError(
                f"{path} does not exist; a robot is an MJCF and a TOML of one name, side by side"
                f"{how}"
            )
    try:
        return tomllib.loads(toml.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BodyplanError(f"{toml} is not valid TOML: {error}") from error


def robot_fields(mjcf: Path, spec: mujoco.MjSpec, config: dict[str, Any]) -> dict[str, Any]:
    """The fields of the `Robot` of a body and its task config, wherever they come from.

    Args:
        mjcf: where the body is, or would be; gives the robot its name, and errors their place.
        spec: the body; contact sensors take the place of its own, which the task does not read.
        config: the TOML's content.

    Raises:
        BodyplanError: the body does not compile, or the config does not fit it.
    """
    toml = str(mjcf.with_suffix(".toml"))
    _refuse(mjcf, schema_problems(toml, config))
    _refuse(mjcf, name_problems(str(mjcf), toml, spec, config))
    fields = _assemble(mjcf, spec, config)
    problems = fit_problems(str(mjcf), toml, fields["model"], config)
    _refuse(mjcf, problems or model_problems(str(mjcf), fields["model"], fields["joints"]))
    return fields


def write_robot(mjcf: Path, body: str, config: dict[str, Any]) -> None:
    """Write a robot's two files, each whole or not at all.

    Args:
        mjcf: path of the MJCF; the TOML goes beside it.
        body: text of the MJCF.
        config: content of the TOML.
    """
    for path, text in ((mjcf, body), (mjcf.with_suffix(".toml"), to_toml(config))):
        with atomic_write(path) as partial:
            partial.write_text(text, encoding="utf-8")


def _refuse(mjcf: Path, problems: list[Problem]) -> None:
    """Tell the first error, and how to see the others."""
    found = errors(problems)
    if found:
        more = f" ({len(found) - 1} more: bodyplan robots check {mjcf})" if found[1:] else ""
        raise BodyplanError(f"{found[0]}{more}")


def _assemble(mjcf: Path, spec: mujoco.MjSpec, config: dict[str, Any]) -> dict[str, Any]:
    joints = config["joints"]
    feet = tuple(
        Foot(name, tuple(foot["geoms"]), tuple(foot["point"]) if "point" in foot else None)
        for name, foot in config["feet"].items()
    )
    coefficients = _tupled(config["reward"])
    for key in RETIRED_REWARD_KEYS:
        coefficients.pop(key, None)
    reward = RewardCoefficients(**coefficients)
    termination = Termination(**_tupled(config["termination"]))
    floor_geoms = [geom for foot in feet for geom in foot.geoms]
    count = len(joints["names"])
    children = _per_joint(joints["children"], count) if "children" in joints else None
    return dict(
        name=mjcf.stem,
        description=config["description"],
        kind=config["kind"],
        legs=config["legs"],
        provenance=config.get("provenance", ""),
        model=_compile(mjcf, spec, floor_geoms, task_contact_geoms(reward, termination)),
        trunk=config["trunk"],
        joints=tuple(joints["names"]),
        feet=feet,
        senses_feet=config.get("senses_feet", True),
        nominal=_per_joint(joints["nominal"], count),
        max_velocity=_per_joint(joints["max_velocity"], count),
        children_override=None if children is None else tuple(map(int, children)),
        **{key: float(config["control"][key]) for key in ("kp", "kd", "action_scale")},
        drop_height=float(config["drop_height"]),
        box_min=np.array(config["box_min"], float),
        box_size=np.array(config["box_size"], float),
        reward=reward,
        termination=termination,
        initial_state=InitialState(**config.get("initial_state", {})),
        randomisation=RandomisationRanges.read(config.get("randomisation", {})),
        expert=ExpertSettings(**config.get("expert", {})),
    )


def _tupled(table: dict[str, Any]) -> dict[str, Any]:
    def freeze(value: Any) -> Any:
        return tuple(freeze(item) for item in value) if isinstance(value, list) else value

    return {key: freeze(value) for key, value in table.items()}


def _per_joint(value: Any, count: int) -> Float[np.ndarray, "J"]:
    return np.full(count, value, float) if np.isscalar(value) else np.array(value, float)


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


def compile_error(mjcf: Path, error: ValueError) -> BodyplanError:
    """What MuJoCo says, in one line."""
    return BodyplanError(f"MuJoCo cannot compile {mjcf}: {' '.join(str(error).split())}")
