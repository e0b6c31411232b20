"""Name checks: does every name in a TOML exist in its MJCF, and is it the right kind of part?"""

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
        mjcf: path of the MJCF, which the problems name.
        toml: path of the TOML, which the problems name.
        spec: the model.
        content: the TOML's content, in which nothing is missing.
    """
    joints = content["joints"]["names"]
    named = [("body", spec.bodies, [content["trunk"]]), ("joint", spec.joints, joints)]
    geoms = [geom for foot in content["feet"].values() for geom in foot["geoms"]]
    geoms += [name for table, key in GEOM_LISTS for name in content[table].get(key, [])]
    named.append(("geom", spec.geoms, geoms))
    found = [_missing(mjcf, toml, *part) for part in named]
    feet = {foot for pair in content["reward"].get("symmetry_pairs", []) for foot in pair}
    pose_joints = content["reward"].get("nominal_pose_joints", [])
    found.append(_unknown(toml, "symmetry_pairs", "foot", feet, content["feet"]))
    found.append(_unknown(toml, "nominal_pose_joints", "driven joint", pose_joints, joints))
    return [problem for part in found for problem in part]


def _missing(
    mjcf: str, toml: str, word: str, elements: Iterable[Any], names: Iterable[str]
) -> Iterator[Problem]:
    known = [element.name for element in elements if element.name]
    for name in dict.fromkeys(names):
        if name not in known:
            fix = did_you_mean(name, known) or f'add name="{name}" to that {word}'
            yield Problem("error", mjcf, f"no {word} '{name}', which {toml} names", fix)


def _unknown(
    toml: str, key: str, word: str, names: Iterable[str], known: Iterable[str]
) -> Iterator[Problem]:
    known = list(known)
    for name in sorted(set(names) - set(known)):
        fix = did_you_mean(name, known) or f"choose from {', '.join(known)}"
        yield Problem("error", toml, f"reward.{key} names '{name}', which is not a {word}", fix)


def fit_problems(
    mjcf: str, toml: str, model: mujoco.MjModel, content: Mapping[str, Any]
) -> list[Problem]:
    """Parts that a TOML names and that exist, but cannot be used as it says."""
    return [
        *_check_trunk(toml, model, content),
        *_check_joints(mjcf, model, content),
        *_check_feet(mjcf, toml, model, content),
    ]


def _ids(model: mujoco.MjModel, kind: mujoco.mjtObj, names: Iterable[str]) -> dict[str, int]:
    """Ids of the names that exist; `name_problems` finds the others."""
    ids = {name: int(mujoco.mj_name2id(model, kind, name)) for name in names}
    return {name: id_ for name, id_ in ids.items() if id_ >= 0}


def _check_trunk(toml: str, model: mujoco.MjModel, content: Mapping[str, Any]) -> Iterator[Problem]:
    free = free_bodies(model)
    for name, body in _ids(model, mujoco.mjtObj.mjOBJ_BODY, [content["trunk"]]).items():
        if free and body != free[0]:
            fix = f"write trunk = '{model.body(free[0]).name}'"
            yield Problem("error", toml, f"trunk = '{name}' is not the root body", fix)


def _check_joints(
    mjcf: str, model: mujoco.MjModel, content: Mapping[str, Any]
) -> Iterator[Problem]:
    driven = {driven_joint(model, actuator) for actuator in range(model.nu)}
    joints = _ids(model, mujoco.mjtObj.mjOBJ_JOINT, content["joints"]["names"])
    for name, joint in joints.items():
        if model.jnt_type[joint] != mujoco.mjtJoint.mjJNT_HINGE.value:
            kind = ("free", "ball", "slide")[model.jnt_type[joint]]
            fix = "make it a hinge: the policy drives hinges only"
            yield Problem("error", mjcf, f"joint '{name}' is a {kind} joint", fix)
        elif joint not in driven:
            fix = f'add <motor joint="{name}" ctrlrange="-20 20"/> (N m) to <actuator>'
            yield Problem("error", mjcf, f"joint '{name}' has no motor", fix)


def _check_feet(
    mjcf: str, toml: str, model: mujoco.MjModel, content: Mapping[str, Any]
) -> Iterator[Problem]:
    for name, foot in content["feet"].items():
        geoms = _ids(model, mujoco.mjtObj.mjOBJ_GEOM, foot["geoms"])
        for geom, own in geoms.items():
            if not can_touch_floor(model, own):
                problem = f"geom '{geom}' of foot '{name}' cannot touch the floor"
                yield Problem("error", mjcf, problem, 'give it contype="1" and conaffinity="1"')
        limbs = {tuple(joint_chain(model, int(model.geom_bodyid[own]))) for own in geoms.values()}
        if len(limbs) > 1:
            problem = f"feet.{name} has geoms that joints can move apart"
            yield Problem("warning", toml, problem, "write a foot for each limb")
