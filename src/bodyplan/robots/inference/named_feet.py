"""Named feet: the geoms of a limb that the model itself calls a foot, or whose body it does."""

import mujoco

from bodyplan.robots.kinematic_tree import Limb

FOOT_WORDS = ("foot", "feet", "toe", "sole", "paw", "hoof")


def named_feet(model: mujoco.MjModel, limb: Limb) -> tuple[int, ...]:
    """Ids of a limb's geoms that are called a foot, else of those on a body that is; none if none.

    Args:
        model: the compiled model.
        limb: a limb, whose geoms can touch the floor.
    """
    named = tuple(geom for geom in limb.geoms if _is_foot(model.geom(geom).name))
    return named or tuple(geom for geom in limb.geoms if _in_foot(model, geom, limb.joints[-1]))


def _is_foot(name: str) -> bool:
    return any(word in name.lower() for word in FOOT_WORDS)


def _in_foot(model: mujoco.MjModel, geom: int, joint: int) -> bool:
    """Whether a geom's body, or one between it and the last joint's body, is called a foot."""
    body, last = int(model.geom_bodyid[geom]), int(model.jnt_bodyid[joint])
    while not _is_foot(model.body(body).name):
        if body in (0, last):
            return False
        body = int(model.body_parentid[body])
    return True
