"""Trunk and limbs of a body plan: the boxes of the trunk, and where legs and arms are attached."""

from math import pi
from typing import NamedTuple

from bodyplan.robots.procedural.body_plans import BodyPlan
from bodyplan.robots.procedural.limb_links import (
    DOWN,
    FOOT_MASS,
    SLENDER,
    SOLE_HALF_SIZE,
    Link,
    arm_links,
    leg_links,
    leg_mass,
)

FIRST_LEG = 0.8
"""Position of the first legs, as a share of half the trunk's length."""
FAN = 0.7
"""rad: a sprawled robot's first legs point forward by this angle, its last legs backward."""
CLEARANCE = 1.4 * SLENDER
"""Leg lengths from the trunk's side to the axis of a limb that hangs beside it."""
HALF_HEIGHT, HALF_PELVIS, HALF_CHEST = 0.1, 0.08, 0.3
"""Leg lengths: half the height of a trunk, and of a biped's two boxes."""
HEEL = 0.04
"""Leg lengths from the ankle to the sole's centre."""
FOOT_RADIUS = 0.045
"""Leg lengths: radius of a spherical foot."""


class FootShape(NamedTuple):
    """The geom at the end of a leg: a sphere, or the box of a biped's sole."""

    size: tuple[float, ...]
    """Radius of the sphere, or half of the box's edges, m."""
    forward: float
    """From the end of the last link to the foot's centre, m."""
    mass: float


class LimbPlan(NamedTuple):
    """A leg or an arm."""

    name: str
    carrier: str
    """Name of the trunk box that it is attached to."""
    position: tuple[float, float, float]
    """Of its first joint in the trunk's frame, m."""
    heading: float
    """rad: direction of the limb's plane, from forward to the left."""
    side: int
    """1 on the left and in the middle, -1 on the right."""
    hangs: bool
    """Whether links point down, not outward, at joint angles of zero."""
    links: tuple[Link, ...]
    foot: FootShape | None
    """None for an arm."""


class TrunkBox(NamedTuple):
    """A box of the trunk."""

    name: str
    centre: tuple[float, float, float]
    """m, in the trunk's frame."""
    half_size: tuple[float, float, float]
    """m."""
    mass: float
    """kg."""


def trunk_boxes(plan: BodyPlan) -> tuple[TrunkBox, ...]:
    """The root box, named `trunk`, and the box behind or above it."""
    size, mass, across = plan.leg_length, plan.mass * plan.trunk_share, _half_width(plan)
    if plan.legs == 2:
        thick, tall = 0.1 * size, HALF_CHEST * size
        above = (0.0, 0.0, 1.3 * HALF_PELVIS * size + tall)
        return (
            TrunkBox("trunk", (0.0, 0.0, 0.0), (thick, across, HALF_PELVIS * size), 0.3 * mass),
            TrunkBox("chest", above, (thick, 1.2 * across, tall), 0.7 * mass),
        )
    end = _half_length(plan)
    if not plan.spine:
        return (TrunkBox("trunk", (0.0, 0.0, 0.0), (end, across, HALF_HEIGHT * size), mass),)
    cut = spine_position(plan)
    return tuple(
        TrunkBox(
            name,
            ((low + high) / 2, 0.0, 0.0),
            (0.48 * (high - low), across, HALF_HEIGHT * size),
            mass * (high - low) / (2 * end),
        )
        for name, low, high in (("trunk", cut, end), ("rear", -end, cut))
    )


def spine_position(plan: BodyPlan) -> float:
    """Position of the spine's joint along the trunk, m from its centre; between pairs of legs."""
    pairs = plan.legs // 2
    return -FIRST_LEG * _half_length(plan) / (pairs - 1) if pairs > 1 and pairs % 2 else 0.0


def plan_legs(plan: BodyPlan) -> list[LimbPlan]:
    """All legs from front to rear, left before right; a leg without a partner is last."""
    links, foot, pairs = leg_links(plan), _foot(plan), plan.legs // 2
    clear = 0.0 if plan.sprawled else CLEARANCE * plan.leg_length
    limbs = []
    for pair in range(pairs):
        along = 1.0 - 2.0 * pair / (pairs - 1) if pairs > 1 else 1.0
        heading = DOWN - FAN * along if plan.sprawled else 0.0
        carrier = "rear" if plan.spine and along < 0 else "trunk"
        for name, side in (("left", 1), ("right", -1)):
            position = (
                along * FIRST_LEG * _half_length(plan),
                side * (_half_width(plan) + clear),
                0.0,
            )
            if plan.legs == 2:
                position = (0.0, side * 0.7 * _half_width(plan), -HALF_PELVIS * plan.leg_length)
            label = f"{name}_{pair + 1}" if pairs > 1 else name
            hangs, yaw = not plan.sprawled, side * heading
            limbs.append(LimbPlan(label, carrier, position, yaw, side, hangs, links, foot))
    if plan.legs % 2:
        carrier, position = (
            "rear" if plan.spine else "trunk",
            (-_half_length(plan) - clear, 0.0, 0.0),
        )
        heading, hangs = pi if plan.sprawled else 0.0, not plan.sprawled
        limbs.append(LimbPlan("last", carrier, position, heading, 1, hangs, links, foot))
    return limbs


def plan_arms(plan: BodyPlan) -> list[LimbPlan]:
    """Both arms of a biped, or none."""
    if not plan.arm_joints:
        return []
    chest = trunk_boxes(plan)[1]
    aside = chest.half_size[1] + CLEARANCE * plan.leg_length
    height = chest.centre[2] + 0.8 * chest.half_size[2]
    carrier = "chest" if plan.spine else "trunk"
    return [
        LimbPlan(
            f"{name}_arm",
            carrier,
            (0.0, side * aside, height),
            0.0,
            side,
            True,
            arm_links(plan),
            None,
        )
        for name, side in (("left", 1), ("right", -1))
    ]


def _half_length(plan: BodyPlan) -> float:
    return plan.leg_length * max(0.7, plan.row * (plan.legs // 2 - 0.5)) / 2


def _half_width(plan: BodyPlan) -> float:
    return plan.leg_length * plan.width / 2


def _foot(plan: BodyPlan) -> FootShape:
    size, mass = plan.leg_length, FOOT_MASS * leg_mass(plan)
    if plan.legs == 2:
        return FootShape(tuple(size * half for half in SOLE_HALF_SIZE), HEEL * size, mass)
    return FootShape((FOOT_RADIUS * size,), 0.0, mass)
