"""The scene: the robot stays, and of the world around it only a level floor."""

from pathlib import Path

import mujoco
import numpy as np

from bodyplan.errors import BodyplanError
from bodyplan.robots.adaptation.removal import remove_bodies
from bodyplan.robots.contact_sensors import FLOOR
from bodyplan.robots.kinematic_tree import is_level_floor, robot_root, root_bodies
from bodyplan.robots.notes import Note, changed, dropped
from bodyplan.robots.validation.part_words import body_name
from bodyplan.robots.validation.problem import name_list
from bodyplan.robots.validation.world_checks import shape_words

PLANE = mujoco.mjtGeom.mjGEOM_PLANE


def keep_robot(
    source: Path, spec: mujoco.MjSpec, model: mujoco.MjModel, root: str | None
) -> list[Note]:
    """Remove all trees of bodies but the robot's.

    Args:
        source: path of the model, which messages name.
        spec: the model, which is changed.
        model: the same model, compiled.
        root: name of the robot's root body; the tree with most motors where it is None.

    Raises:
        BodyplanError: there is no body, or none called `root` that has none above it.
    """
    names = {body: body_name(model, body) for body in root_bodies(model)}
    if not names:
        raise BodyplanError(f"{source} has no body; give the MJCF of a robot")
    if root is not None and root not in names.values():
        raise BodyplanError(
            f"--root {root} is no body at the top of {source}; give {name_list(names.values())}"
        )
    chosen = next((body for body, name in names.items() if name == root), robot_root(model))
    others = [body for body in names if body != chosen]
    if not others:
        return []
    words = name_list(names[body] for body in others)
    text = f"bodies beside the robot: {words}; '{names[chosen]}' is kept, --root chooses another"
    return [dropped(text), *remove_bodies(spec, model, others)]


def keep_floor(spec: mujoco.MjSpec, model: mujoco.MjModel) -> list[Note]:
    """Remove all shapes of the world but one level plane at height zero, which gets its name.

    Args:
        spec: the model, which is changed.
        model: the same model, compiled.
    """
    elements = list(spec.geoms)
    world = [int(geom) for geom in np.flatnonzero(model.geom_bodyid == 0)]
    level = [geom for geom in world if is_level_floor(model, geom)]
    named = [geom for geom in level if model.geom(geom).name == FLOOR]
    floor = next(iter([*named, *level]), -1)
    others = [geom for geom in world if geom != floor]
    notes = []
    if others:
        notes.append(dropped(f"shapes of the world: {shape_words(model, others)}"))
    lost = {elements[geom].name for geom in others if elements[geom].name}
    grounds = [own for own in spec.pairs if {own.geomname1, own.geomname2} & lost]
    for pair in grounds:
        spec.delete(pair)
    if grounds:
        notes.append(dropped(f"{len(grounds)} contact pairs with these"))
    for geom in others:
        spec.delete(elements[geom])
    if level and not named:
        before = elements[floor].name
        notes.append(changed(f"the plane '{before}' is called {FLOOR}"))
        elements[floor].name = FLOOR
        for pair in spec.pairs:
            pair.geomname1 = FLOOR if before and pair.geomname1 == before else pair.geomname1
            pair.geomname2 = FLOOR if before and pair.geomname2 == before else pair.geomname2
    return notes
