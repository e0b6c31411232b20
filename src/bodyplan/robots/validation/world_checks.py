"""World checks: the floor and what stands on it, and options that switch physics off."""

from collections import Counter
from collections.abc import Iterator, Sequence

import mujoco
import numpy as np

from bodyplan.robots.contact_sensors import FLOOR
from bodyplan.robots.kinematic_tree import find_floor, is_level_floor
from bodyplan.robots.validation.part_words import body_name
from bodyplan.robots.validation.problem import ADAPT, Finding, name_list

MIN_ITERATIONS = 10
"""Of the solver; MuJoCo's default is 100."""
EARTH_GRAVITY = (0.0, 0.0, -9.81)
"""m/s^2."""
GRAVITY_TOLERANCE = 0.2
"""m/s^2."""
PHYSICS_FLAGS = {
    "constraint": mujoco.mjtDisableBit.mjDSBL_CONSTRAINT,
    "equality": mujoco.mjtDisableBit.mjDSBL_EQUALITY,
    "frictionloss": mujoco.mjtDisableBit.mjDSBL_FRICTIONLOSS,
    "limit": mujoco.mjtDisableBit.mjDSBL_LIMIT,
    "contact": mujoco.mjtDisableBit.mjDSBL_CONTACT,
    "spring": mujoco.mjtDisableBit.mjDSBL_SPRING,
    "damper": mujoco.mjtDisableBit.mjDSBL_DAMPER,
    "gravity": mujoco.mjtDisableBit.mjDSBL_GRAVITY,
    "clampctrl": mujoco.mjtDisableBit.mjDSBL_CLAMPCTRL,
    "actuation": mujoco.mjtDisableBit.mjDSBL_ACTUATION,
}
"""Flags of <option><flag> that take a part of physics away."""
TYPE_WORDS = ("plane", "height field", "sphere", "capsule", "ellipsoid", "cylinder", "box", "mesh")


def shape_words(model: mujoco.MjModel, geoms: Sequence[int]) -> str:
    """Geoms in words: those with a name, and how many of each type have none."""
    kinds = [int(model.geom_type[geom]) for geom in geoms]
    words = [TYPE_WORDS[kind] if kind < len(TYPE_WORDS) else "shape" for kind in kinds]
    names = [model.geom(geom).name for geom in geoms]
    said = [f"{word} '{name}'" for word, name in zip(words, names, strict=True) if name]
    counts = Counter(word for word, name in zip(words, names, strict=True) if not name)
    for word, count in counts.items():
        plural = "boxes" if word == "box" else "meshes" if word == "mesh" else f"{word}s"
        said.append(f"{count} {plural}" if count > 1 else f"a {word}")
    return ", ".join(said)


def check_world(model: mujoco.MjModel) -> Iterator[Finding]:
    """Faults of the floor, shapes beside it, and the solver's settings."""
    yield from _check_floor(model)
    others = [
        geom
        for geom in map(int, np.flatnonzero(model.body_weldid[model.geom_bodyid] == 0))
        if not _is_ground(model, geom)
        and (model.geom_contype[geom] or model.geom_conaffinity[geom])
    ]
    if others:
        words = shape_words(model, others)
        yield (
            "warning",
            f"shapes of the world that the robot may touch: {words}",
            f"the task is on a level floor: remove them, {ADAPT}",
        )
    damped = mujoco.mjtDisableBit.mjDSBL_EULERDAMP.value
    if model.opt.iterations < MIN_ITERATIONS or model.opt.disableflags & damped:
        yield (
            "warning",
            "the solver's settings in <option> trade accuracy for speed",
            f"remove iterations, ls_iterations and <flag eulerdamp>, {ADAPT}",
        )
    step = model.opt.timestep
    if step not in (0.005, 0.002):  # the task's, and MuJoCo's default
        yield "note", f"its timestep of {step:g} s is not used", "the task's is 0.005 s"


def check_options(model: mujoco.MjModel) -> Iterator[Finding]:
    """Options that change or switch off what the robot feels."""
    if np.abs(model.opt.gravity - EARTH_GRAVITY).max() > GRAVITY_TOLERANCE:
        own = " ".join(f"{value:g}" for value in model.opt.gravity)
        yield (
            "warning",
            f'<option gravity="{own}"> is not that of the earth',
            'write gravity="0 0 -9.81", or leave it out',
        )
    light = [int(body) for body in np.flatnonzero(model.body_gravcomp)]
    if light:
        names = name_list(body_name(model, body) for body in light)
        yield "warning", f"gravcomp takes gravity from {names}", "remove gravcomp"
    off = [name for name, bit in PHYSICS_FLAGS.items() if model.opt.disableflags & bit.value]
    if off:
        flags = " ".join(f'{name}="disable"' for name in off)
        yield "warning", f"<option><flag {flags}> switches physics off", "remove that flag"
    if model.opt.enableflags & mujoco.mjtEnableBit.mjENBL_OVERRIDE.value:
        yield (
            "warning",
            '<option><flag override="enable"> replaces the values of all contacts',
            "remove that flag",
        )
    if model.opt.disableactuator:
        yield (
            "warning",
            "<option actuatorgroupdisable> switches motors off",
            "remove that option",
        )
    if model.opt.density or model.opt.viscosity:
        yield (
            "warning",
            f"<option> fills the world with a fluid of density {model.opt.density:g} kg/m^3 and "
            f"viscosity {model.opt.viscosity:g} Pa s",
            "remove density and viscosity",
        )


def switches_contact_off(model: mujoco.MjModel) -> bool:
    """Whether nothing can stand, because an option takes contacts or motors away."""
    bits = mujoco.mjtDisableBit
    off = bits.mjDSBL_CONTACT.value | bits.mjDSBL_CONSTRAINT.value | bits.mjDSBL_ACTUATION.value
    return bool(model.opt.disableflags & off)


def _is_ground(model: mujoco.MjModel, geom: int) -> bool:
    """Whether a geom is a level plane, or a plane that is meant to be the floor."""
    plane = model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_PLANE.value
    return bool(plane and (model.geom(geom).name == FLOOR or is_level_floor(model, geom)))


def _check_floor(model: mujoco.MjModel) -> Iterator[Finding]:
    floor = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, FLOOR)
    if floor >= 0:
        if model.geom_type[floor] == mujoco.mjtGeom.mjGEOM_PLANE.value and not is_level_floor(
            model, floor
        ):
            yield (
                "warning",
                f"{FLOOR} is not level at height zero",
                'give it pos="0 0 0" and no quat',
            )
        return
    planes = np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE.value)
    if not len(planes):
        yield "note", "the model has no floor", f"a plane named {FLOOR} is added"
        return
    name = model.geom(int(planes[0])).name
    paired = find_floor(model) in {*model.pair_geom1.tolist(), *model.pair_geom2.tolist()}
    if paired and find_floor(model) >= 0:
        yield (
            "error",
            f"contact pairs name the plane '{name}', and only one named {FLOOR} counts",
            f"call it {FLOOR}, there and in the pairs, {ADAPT}",
        )
        return
    yield (
        "warning",
        f"the plane '{name}' is not named {FLOOR}, so a second one is added",
        f'give it name="{FLOOR}" or remove it',
    )
