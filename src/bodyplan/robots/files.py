"""A robot's two files: an MJCF with the body, a TOML of the same name with the walk."""

import tomllib
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float

from bodyplan.errors import BodyplanError
from bodyplan.robots.contacts import add_contact_sensors
from bodyplan.robots.randomisation import RandomisationRanges
from bodyplan.robots.robot import Robot
from bodyplan.robots.toml import to_toml
from bodyplan.robots.walk import (
    ExpertCourse,
    Foot,
    InitialState,
    RewardCoefficients,
    Termination,
    listed_geoms,
)
from bodyplan.storage import atomic_write


def read(mjcf: Path) -> Robot:
    """Read the robot of an MJCF and the TOML beside it.

    Raises:
        BodyplanError: missing or faulty file, or figures that do not fit the model.
    """
    figures = read_figures(mjcf)
    try:
        spec = mujoco.MjSpec.from_file(str(mjcf))
    except ValueError as error:
        raise _uncompilable(mjcf, error) from error
    return build(mjcf, spec, figures)


def read_figures(mjcf: Path) -> dict[str, Any]:
    """The TOML beside an MJCF.

    Raises:
        BodyplanError: either file is missing, or the TOML is none.
    """
    toml = mjcf.with_suffix(".toml")
    for path in (mjcf, toml):
        if not path.is_file():
            raise BodyplanError(
                f"{path} does not exist; a robot is an MJCF and a TOML of one name, side by side"
            )
    try:
        return tomllib.loads(toml.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BodyplanError(f"{toml} is not valid TOML: {error}") from error


def build(mjcf: Path, spec: mujoco.MjSpec, figures: dict[str, Any]) -> Robot:
    """A robot of a body and the figures of its walk, wherever they come from.

    Args:
        mjcf: where the body is, or would be; gives the robot its name, and errors their place.
        spec: the body; contact sensors are added to it.
        figures: the TOML's content.

    Raises:
        BodyplanError: the body does not compile, or the figures do not fit it.
    """
    toml = mjcf.with_suffix(".toml")
    try:
        return _assemble(mjcf, spec, figures)
    except KeyError as error:
        raise BodyplanError(f"{toml} lacks {error}; see the packaged robots' files") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise BodyplanError(f"{toml} has a wrong entry: {error}") from error


def write(mjcf: Path, body: str, figures: dict[str, Any]) -> None:
    """Write a robot's two files, each whole or not at all.

    Args:
        mjcf: path of the MJCF; the TOML goes beside it.
        body: text of the MJCF.
        figures: content of the TOML.
    """
    for path, text in ((mjcf, body), (mjcf.with_suffix(".toml"), to_toml(figures))):
        with atomic_write(path) as partial:
            partial.write_text(text, encoding="utf-8")


def _assemble(mjcf: Path, spec: mujoco.MjSpec, figures: dict[str, Any]) -> Robot:
    toml = mjcf.with_suffix(".toml")
    joints = figures["joints"]
    feet = tuple(
        Foot(name, tuple(foot["geoms"]), tuple(foot["point"]) if "point" in foot else None)
        for name, foot in figures["feet"].items()
    )
    reward = RewardCoefficients(**_tupled(figures["reward"]))
    termination = Termination(**_tupled(figures["termination"]))
    floor_geoms = [geom for foot in feet for geom in foot.geoms]
    model = _compile(mjcf, spec, floor_geoms, listed_geoms(reward, termination))
    count = len(joints["names"])
    robot = Robot(
        name=mjcf.stem,
        description=figures["description"],
        kind=figures["kind"],
        legs=figures["legs"],
        provenance=figures.get("provenance", ""),
        model=model,
        trunk=figures["trunk"],
        joints=tuple(joints["names"]),
        feet=feet,
        senses_feet=figures.get("senses_feet", True),
        nominal=_per_joint(toml, "nominal", joints["nominal"], count),
        max_velocity=_per_joint(toml, "max_velocity", joints["max_velocity"], count),
        told_children=_counts(toml, joints.get("children"), count),
        **{key: float(figures["control"][key]) for key in ("kp", "kd", "action_scale")},
        drop_height=float(figures["drop_height"]),
        box_min=np.array(figures["box_min"], float).reshape(3),
        box_size=np.array(figures["box_size"], float).reshape(3),
        reward=reward,
        termination=termination,
        initial_state=InitialState(**figures.get("initial_state", {})),
        randomisation=RandomisationRanges.read(figures.get("randomisation", {})),
        expert=ExpertCourse(**figures.get("expert", {})),
    )
    _check(mjcf, robot)
    return robot


def _tupled(table: dict[str, Any]) -> dict[str, Any]:
    def freeze(value: Any) -> Any:
        return tuple(freeze(item) for item in value) if isinstance(value, list) else value

    return {key: freeze(value) for key, value in table.items()}


def _per_joint(toml: Path, name: str, value: Any, count: int) -> Float[np.ndarray, "J"]:
    array = np.full(count, value, float) if np.isscalar(value) else np.array(value, float)
    if array.shape != (count,):
        raise BodyplanError(
            f"{toml} gives {array.size} figures in joints.{name} for {count} "
            "joints; give one for each, or one number for all"
        )
    return array


def _counts(toml: Path, value: Any, count: int) -> tuple[int, ...] | None:
    return None if value is None else tuple(map(int, _per_joint(toml, "children", value, count)))


def _compile(
    mjcf: Path, spec: mujoco.MjSpec, floor_geoms: list[str], contact_geoms: tuple[str, ...]
) -> mujoco.MjModel:
    known = {geom.name for geom in spec.geoms}
    for name in (*floor_geoms, *contact_geoms):
        if name not in known:
            raise BodyplanError(f"{mjcf} has no geom '{name}', which its TOML names")
    add_contact_sensors(spec, floor_geoms, contact_geoms)
    try:
        return spec.compile()
    except ValueError as error:
        raise _uncompilable(mjcf, error) from error


def _uncompilable(mjcf: Path, error: ValueError) -> BodyplanError:
    return BodyplanError(f"MuJoCo cannot compile {mjcf}: {' '.join(str(error).split())}")


def _check(mjcf: Path, robot: Robot) -> None:
    model, kinds = robot.model, mujoco.mjtObj
    named = [(kinds.mjOBJ_JOINT, "joint", name) for name in robot.joints]
    named += [(kinds.mjOBJ_BODY, "body", robot.trunk)]
    for kind, word, name in named:
        if mujoco.mj_name2id(model, kind, name) < 0:
            raise BodyplanError(f"{mjcf} has no {word} '{name}', which its TOML names")
    driven = {int(model.actuator_trnid[i, 0]) for i in range(model.nu)}
    for name, joint in zip(robot.joints, robot.joint_ids, strict=True):
        if int(joint) not in driven:
            raise BodyplanError(f"joint '{name}' has no motor in {mjcf}; add one to <actuator>")
    unknown = {foot for pair in robot.reward.symmetry_pairs for foot in pair} - {
        foot.name for foot in robot.feet
    }
    if unknown:
        raise BodyplanError(f"symmetry_pairs of {mjcf.stem} names no foot: {sorted(unknown)}")
