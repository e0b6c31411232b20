"""Parts that a TOML must name, and that have no name."""

from typing import NamedTuple

import mujoco

from bodyplan.robots.inference.nominal_pose_search import NominalPose
from bodyplan.robots.kinematic_tree import actuated_hinges, free_bodies


class Nameless(NamedTuple):
    """A shape that the TOML must name and that has no name."""

    geom: int
    body: str
    proposal: str


def readable(model: mujoco.MjModel) -> bool:
    """Whether there is enough to begin with: a free, named root first, and named driven hinges."""
    free, driven = free_bodies(model), actuated_hinges(model)
    if not free or not driven or model.jnt_qposadr[model.body_jntadr[free[0]]] != 0:
        return False
    return bool(model.body(free[0]).name) and all(model.joint(joint).name for joint in driven)


def nameless(model: mujoco.MjModel, posture: NominalPose) -> list[Nameless]:
    """The shapes of feet that have no name."""
    missing = []
    for foot in posture.feet:
        body = model.body(int(model.geom_bodyid[foot[0]])).name
        stem = body if "foot" in body.lower() else f"{body}_foot"
        for number, geom in enumerate(foot, start=1):
            if not model.geom(geom).name:
                proposal = f"{stem}_{number}" if len(foot) > 1 else stem
                missing.append(Nameless(geom, body, proposal))
    return missing
