"""Whether the names in a TOML fit the body of its MJCF: every name must lead somewhere."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import mujoco

from bodyplan.robots.kinematic_tree import can_touch_floor, driven_joint, free_bodies, joint_chain
from bodyplan.robots.validation.problem import Problem, did_you_mean

GEOM_LISTS = (
    ("termination", "contact_geoms"),
    ("reward", "collision_geoms"),
    ("reward", "trunk_geoms"),
)


def name_problems(
    mjcf: str, toml: str, spec: mujoco.MjSpec, content: Mapping[str, Any]
) -> list[Problem]:
    """Names in a TOML that its MJCF does not have.

    Args:
        mjcf: the body's file.
        toml: the path of the TOML.
        spec: the body.
        content: the TOML's content, without a problem in itself.
    """
    joints = content["joints"]["names"]
    wanted = [("body", spec.bodies, [content["trunk"]]), ("joint", spec.joints, joints)]
    geoms = [geom for foot in content["feet"].values() for geom in foot["geoms"]]
    geoms += [name for table, key in GEOM_LISTS for name in content[table].get(key, [])]
    wanted.append(("geom", spec.geoms, geoms))
    found = [_missing(mjcf, toml, *part) for part in wanted]
    feet = {foot for pair in content["reward"].get("symmetry_pairs", []) for foot in pair}
    posed = content["reward"].get("nominal_pose_joints", [])
    found.append(_unknown(toml, "symmetry_pairs", "foot", feet, content["feet"]))
    found.append(_unknown(toml, "nominal_pose_joints", "driven joint", posed, joints))
    return [problem for part in found for problem in part]


def _missing(
    mjcf: str, toml: str, word: str, elements: Iterable[Any], names: Iterable[str]
) -> Iterator[Problem]:
    known = [element.name for element in elements if element.name]
    for name in dict.fromkeys(names):
        if name not in known:
            fix = did_you_mean(name, known) or f'add name="{name}" to the {word} that is meant'
            yield Problem("error", mjcf, f"no {word} '{name}', which {toml} names", fix)


def _unknown(
    toml: str, key: str, word: str, names: Iterable[str], known: Iterable[str]
) -> Iterator[Problem]:
    known = list(known)
    for name in sorted(set(names) - set(known)):
        fix = did_you_mean(name, known) or f"choose from {', '.join(known)}"
        yield Problem("error", toml, f"reward.{key} names '{name}', which is no {word}", fix)


def fit_problems(
    mjcf: str, toml: str, model: mujoco.MjModel, content: Mapping[str, Any]
) -> list[Problem]:
    """What a TOML asks of parts that exist but cannot do it."""
    return [
        *_trunk(toml, model, content),
        *_driven(mjcf, model, content),
        *_feet(mjcf, toml, model, content),
    ]


def _ids(model: mujoco.MjModel, kind: mujoco.mjtObj, names: Iterable[str]) -> dict[str, int]:
    """Ids of the names that exist; `name_problems` tells of the others."""
    ids = {name: int(mujoco.mj_name2id(model, kind, name)) for name in names}
    return {name: own for name, own in ids.items() if own >= 0}


def _trunk(toml: str, model: mujoco.MjModel, content: Mapping[str, Any]) -> Iterator[Problem]:
    free = free_bodies(model)
    for name, body in _ids(model, mujoco.mjtObj.mjOBJ_BODY, [content["trunk"]]).items():
        if free and body != free[0]:
            fix = f"write trunk = '{model.body(free[0]).name}'"
            yield Problem("error", toml, f"trunk = '{name}' is not the root body", fix)


def _driven(mjcf: str, model: mujoco.MjModel, content: Mapping[str, Any]) -> Iterator[Problem]:
    driven = {driven_joint(model, actuator) for actuator in range(model.nu)}
    joints = _ids(model, mujoco.mjtObj.mjOBJ_JOINT, content["joints"]["names"])
    for name, joint in joints.items():
        if model.jnt_type[joint] != mujoco.mjtJoint.mjJNT_HINGE.value:
            kind = ("free", "ball", "slide")[model.jnt_type[joint]]
            fix = "make it a hinge: only hinges are driven"
            yield Problem("error", mjcf, f"joint '{name}' is a {kind} joint", fix)
        elif joint not in driven:
            fix = f'add <motor joint="{name}" ctrlrange="-20 20"/> (N m) to <actuator>'
            yield Problem("error", mjcf, f"joint '{name}' has no motor", fix)


def _feet(
    mjcf: str, toml: str, model: mujoco.MjModel, content: Mapping[str, Any]
) -> Iterator[Problem]:
    for name, foot in content["feet"].items():
        geoms = _ids(model, mujoco.mjtObj.mjOBJ_GEOM, foot["geoms"])
        for geom, own in geoms.items():
            if not can_touch_floor(model, own):
                told = f"geom '{geom}' of foot '{name}' cannot touch the floor"
                yield Problem("error", mjcf, told, 'give it contype="1" and conaffinity="1"')
        limbs = {tuple(joint_chain(model, int(model.geom_bodyid[own]))) for own in geoms.values()}
        if len(limbs) > 1:
            told = f"feet.{name} has geoms that joints can move apart"
            yield Problem("warning", toml, told, "write a foot for each limb")
