"""Check a robot: everything that is wrong with its files, in one go, each problem with its fix.

The stages are the MJCF and its meshes, the compiled model, the TOML, the names in it, and the
nominal pose in physics. Each stage needs the ones before it.
"""

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import mujoco

from bodyplan.errors import BodyplanError
from bodyplan.robots import registry
from bodyplan.robots.contact_sensors import FLOOR, add_contact_sensors
from bodyplan.robots.inference.infer_config import (
    UnnamedGeom,
    can_infer,
    infer_config,
    tune_gains,
)
from bodyplan.robots.reading.read_model import compile_error, read_model
from bodyplan.robots.robot import Robot
from bodyplan.robots.toml_reader import parse_config, read_toml
from bodyplan.robots.validation.model_checks import model_problems
from bodyplan.robots.validation.name_checks import fit_problems, name_problems
from bodyplan.robots.validation.pose_checks import pose_problems
from bodyplan.robots.validation.problem import FaultyFilesError, Problem, as_problem, only_errors

HINTS = {
    "mass and inertia of moving": (
        "give this body mass: an <inertial>, a geom with a density, or a welded child that has some"
    ),
    "unknown transmission target": "name a joint that the model has",
    "unknown default class": "add the <default class=...>, or remove class=...",
    "repeated name": "give each element of a kind its own name",
    "Error opening file": "put the file there, or correct its path",
    "more than 6 dofs": "keep <freejoint/> for the root body only, and hinges for the others",
    "invalid qpos size": "remove the keyframe or give it a number for each coordinate of qpos",
    "Schema violation": "correct the element or attribute, or remove it",
    "XML parse error": "make it well-formed XML",
}
MOST_SHOWN = 10
"""Problems in a `repr`."""


class RobotCheck(NamedTuple):
    """What `check_robot` found."""

    problems: list[Problem]
    toml: str | None = None
    """Text of an inferred TOML, where the robot has none and one could be inferred."""
    write_hint: str = ""
    """The fix of the note that there is no TOML."""

    @property
    def usable(self) -> bool:
        """Whether `Robot.load` takes the robot: there is no error."""
        return not only_errors(self.problems)

    def __repr__(self) -> str:
        counts = Counter(problem.severity for problem in self.problems)
        said = [f"{count} {severity}{'s' * (count > 1)}" for severity, count in counts.items()] or [
            "no problem"
        ]
        rest = len(self.problems) - MOST_SHOWN
        lines = [f"{own.severity}: {own}" for own in self.problems[:MOST_SHOWN]]
        lines += [f"and {rest} more in .problems"] if rest > 0 else []
        head = f"RobotCheck({'usable' if self.usable else 'not usable'}: {', '.join(said)})"
        return "\n".join([head, *lines])


def check_robot(source: str | Path, allow_paths: Sequence[Path] = ()) -> RobotCheck:
    """Find everything that is wrong with a robot's files, each problem with its fix.

    Where no TOML lies beside the MJCF, one is inferred and checked in its place.

    Args:
        source: path of an MJCF, or the name of a robot that `list_robots` gives.
        allow_paths: folders besides its own whose files the MJCF may name.

    Raises:
        BodyplanError: a name that no robot has.
    """
    mjcf = Path(source)
    mjcf = mjcf if mjcf.suffix else registry.find_model(source)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        check = _check(mjcf, allow_paths)
    texts = dict.fromkeys(str(own.message) for own in caught)
    notes = [Problem("note", str(mjcf), f"MuJoCo says: {text}", "see its manual") for text in texts]
    return check._replace(problems=[*check.problems, *notes])


def _check(mjcf: Path, allow_paths: Sequence[Path]) -> RobotCheck:
    try:
        read = read_model(mjcf, allow_paths)
    except FaultyFilesError as error:
        return RobotCheck(error.problems)
    except BodyplanError as error:
        return RobotCheck([_as_problem(mjcf, error)])
    notes = [
        Problem("note", str(mjcf), own.text, "this was changed to read it") for own in read.notes
    ]
    if read.is_urdf:
        fix = f"`bodyplan robots adapt {mjcf} --out {mjcf.with_suffix('.xml').name}` makes an MJCF"
        return RobotCheck([Problem("error", str(mjcf), "this is a URDF", fix), *notes])
    try:
        model = read.spec.copy().compile()
    except ValueError as error:
        return RobotCheck([_as_problem(mjcf, compile_error(mjcf, error)), *notes])
    check = _check_with_config(mjcf, read.spec, model)
    return check._replace(problems=[*check.problems, *notes])


def _check_with_config(mjcf: Path, spec: mujoco.MjSpec, model: mujoco.MjModel) -> RobotCheck:
    toml = mjcf.with_suffix(".toml")
    if not toml.is_file():
        return _check_without_config(mjcf, spec, model)
    try:
        content = read_toml(toml)
    except BodyplanError as error:
        return RobotCheck([*model_problems(str(mjcf), model), _as_problem(toml, error)])
    return RobotCheck(_config_problems(mjcf, spec, model, content))


def _config_problems(
    mjcf: Path, spec: mujoco.MjSpec, model: mujoco.MjModel, content: dict[str, Any]
) -> list[Problem]:
    """Everything that is wrong with a model and its TOML."""
    where, toml = str(mjcf), str(mjcf.with_suffix(".toml"))
    _, found = parse_config(toml, content)
    joints = content.get("joints")
    named = joints.get("names") if isinstance(joints, dict) else None
    try:
        found += model_problems(where, model, named)
        found += name_problems(where, toml, spec, content)
        found += fit_problems(where, toml, _with_floor(spec, model), content)
    except (KeyError, TypeError, AttributeError):
        return found  # an entry is missing or of a wrong type; `parse_config` found that
    if only_errors(found):
        return found
    try:
        robot = Robot.build(mjcf, spec.copy(), content)
    except BodyplanError as error:
        return [*found, _as_problem(mjcf, error)]
    return [*found, *pose_problems(toml, robot)]


def _check_without_config(mjcf: Path, spec: mujoco.MjSpec, model: mujoco.MjModel) -> RobotCheck:
    where, toml = str(mjcf), str(mjcf.with_suffix(".toml"))
    problems = model_problems(where, model)
    if not can_infer(model):
        return RobotCheck(problems)
    inferred = infer_config(mjcf.stem, model)
    if isinstance(inferred, list):
        return RobotCheck([*problems, *_unnamed_problems(where, inferred)])
    if not only_errors(problems):
        with suppress(BodyplanError):  # the checks below find why the config makes no robot
            inferred = tune_gains(inferred, lambda own: Robot.build(mjcf, spec.copy(), own))
        problems = _config_problems(mjcf, spec, model, inferred.content)
    hint = f"`bodyplan robots check {mjcf} --write` writes one that is inferred from the MJCF"
    problems += [
        Problem("note", where, f"not taken: {own.text}", "the pose was searched for")
        for own in inferred.pose.notes
    ]
    problems.append(Problem("note", toml, "this file does not exist yet", hint))
    return RobotCheck(problems, inferred.to_toml(), hint)


def _unnamed_problems(where: str, unnamed: list[UnnamedGeom]) -> Iterator[Problem]:
    if not unnamed:
        yield Problem(
            "error",
            where,
            "no limb with a motor ends in a geom that can touch the floor below the trunk",
            'give each foot a geom with contype="1" and conaffinity="1"',
        )
    for geom in unnamed:
        problem = f"a geom of body '{geom.body}' belongs to a foot and has no name"
        yield Problem("error", where, problem, f'add name="{geom.proposal}" to it')


def _with_floor(spec: mujoco.MjSpec, model: mujoco.MjModel) -> mujoco.MjModel:
    """The model with a floor, as the loader adds it."""
    if mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, FLOOR) >= 0:
        return model
    own = spec.copy()
    add_contact_sensors(own, [], [])
    return own.compile()


def _as_problem(file: Path, error: BodyplanError) -> Problem:
    """An error's sentence as a problem, with the fix that is known for it."""
    hint = next((fix for word, fix in HINTS.items() if word in str(error)), None)
    problem = as_problem(file, error)
    return (
        replace(problem, problem=str(error).removeprefix(f"{file}: "), fix=hint)
        if hint
        else problem
    )
