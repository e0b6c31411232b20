"""Part names: what a TOML must name gets a name."""

from typing import Any

import mujoco
import numpy as np

from bodyplan.robots.inference.infer_config import unnamed_foot_geoms
from bodyplan.robots.inference.nominal_pose_search import NominalPose
from bodyplan.robots.kinematic_tree import free_bodies
from bodyplan.robots.notes import Note, changed
from bodyplan.robots.validation.problem import name_list


def name_bodies(spec: mujoco.MjSpec) -> list[Note]:
    """Name every body that has joints, and the joints."""
    named: dict[str, list[str]] = {"bodies": [], "joints": []}
    for number, body in enumerate(spec.bodies):
        joints = list(body.joints)
        if joints and not body.name:
            root = body.parent.name == "world"
            body.name = _unused(spec.bodies, "trunk" if root else f"body_{number}")
            named["bodies"].append(body.name)
        for joint in joints:
            if not joint.name:
                free = joint.type == mujoco.mjtJoint.mjJNT_FREE
                joint.name = _unused(spec.joints, "root" if free else f"{body.name}_joint")
                named["joints"] += [] if free else [joint.name]
    return [
        changed(f"unnamed {kind} are named {name_list(names)}")
        for kind, names in named.items()
        if names
    ]


def name_geoms(spec: mujoco.MjSpec, model: mujoco.MjModel, pose: NominalPose) -> list[Note]:
    """Name the geoms of feet, and the solid geoms of trunk and shins."""
    proposals = {own.geom: own.proposal for own in unnamed_foot_geoms(model, pose)}
    trunk = model.body_weldid[model.geom_bodyid] == free_bodies(model)[0]
    solid = (model.geom_contype | model.geom_conaffinity) > 0
    others = [*np.flatnonzero(trunk & solid), *(g for leg in pose.legs for g in leg.geoms)]
    for geom in map(int, others):
        if not model.geom(geom).name and geom not in proposals:
            body = model.body(int(model.geom_bodyid[geom])).name or "body"
            proposals[geom] = f"{body}_shape"
    geoms = list(spec.geoms)
    for geom, proposal in proposals.items():
        geoms[geom].name = _unused(spec.geoms, proposal)
    feet = [geoms[geom].name for foot in pose.feet for geom in foot if geom in proposals]
    notes = [changed(f"geoms of feet are named {name_list(feet)}")] if feet else []
    rest = len(proposals) - len(feet)
    return [*notes, *([changed(f"{rest} geoms of trunk and shins are named")] if rest else [])]


def _unused(elements: Any, name: str) -> str:
    taken = {element.name for element in elements}
    numbered = (f"{name}_{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(own for own in numbered if own not in taken)
