"""The parts of a body plan: a trunk in one or two boxes, and limbs where they hang on it."""

from math import pi
from typing import NamedTuple

from bodyplan.robots.procedural.body_plans import BodyPlan
from bodyplan.robots.procedural.limb_links import (
    DOWN,
    FOOT_MASS,
    SLENDER,
    SOLE_HALF_SIZE,
    Link,
    arm,
    leg,
    leg_mass,
)

FRONT = 0.8
"""Of half the trunk: where the first legs are."""
FAN = 0.7
"""rad: by how much a sprawled body's first legs point forward and its last ones back."""
CLEARANCE = 1.4 * SLENDER
"""Leg lengths from the trunk's side to the middle of a limb that hangs beside it."""
HEIGHT, PELVIS, CHEST = 0.1, 0.08, 0.3
"""Leg lengths: half the height of a trunk, or of a biped's two boxes."""
HEEL = 0.04
"""Leg lengths from ankle to the sole's middle."""
BALL = 0.045
"""Leg lengths: radius of a foot that is a ball."""


class FootShape(NamedTuple):
    """What a leg ends in: a ball, or a biped's sole."""

    size: tuple[float, ...]
    """Radius, or half of a box's edges, m."""
    forward: float
    """From the end of the last link to the foot's centre, m."""
    mass: float


class LimbPlan(NamedTuple):
    """A leg or an arm."""

    name: str
    carrier: str
    """The piece of the trunk that it hangs on."""
    place: tuple[float, float, float]
    """Of its first joint in the trunk's frame, m."""
    heading: float
    """rad: direction of the limb's plane, from forward to the left."""
    side: int
    """1 on the left and in the middle, -1 on the right."""
    hangs: bool
    """Links point down, not outward, at joint angles of zero."""
    links: tuple[Link, ...]
    foot: FootShape | None
    """Arms have none."""


class Piece(NamedTuple):
    """A box of the trunk."""

    name: str
    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    mass: float


def trunk(plan: BodyPlan) -> tuple[Piece, ...]:
    """The root, named `trunk`, and what lies behind or above it."""
    size, mass, across = plan.leg_length, plan.mass * plan.trunk_share, _half_width(plan)
    if plan.legs == 2:
        thick, tall = 0.1 * size, CHEST * size
        above = (0.0, 0.0, 1.3 * PELVIS * size + tall)
        return (
            Piece("trunk", (0.0, 0.0, 0.0), (thick, across, PELVIS * size), 0.3 * mass),
            Piece("chest", above, (thick, 1.2 * across, tall), 0.7 * mass),
        )
    end = _half_length(plan)
    if not plan.spine:
        return (Piece("trunk", (0.0, 0.0, 0.0), (end, across, HEIGHT * size), mass),)
    cut = spine_place(plan)
    return tuple(
        Piece(
            name,
            ((low + high) / 2, 0.0, 0.0),
            (0.48 * (high - low), across, HEIGHT * size),
            mass * (high - low) / (2 * end),
        )
        for name, low, high in (("trunk", cut, end), ("rear", -end, cut))
    )


def spine_place(plan: BodyPlan) -> float:
    """How far before the trunk's middle the spine's joint is, m: always between pairs of legs."""
    pairs = plan.legs // 2
    return -FRONT * _half_length(plan) / (pairs - 1) if pairs > 1 and pairs % 2 else 0.0


def legs(plan: BodyPlan) -> list[LimbPlan]:
    """All legs from front to rear, left before right; an odd one is last."""
    links, foot, pairs = leg(plan), _foot(plan), plan.legs // 2
    clear = 0.0 if plan.sprawled else CLEARANCE * plan.leg_length
    limbs = []
    for pair in range(pairs):
        along = 1.0 - 2.0 * pair / (pairs - 1) if pairs > 1 else 1.0
        heading = DOWN - FAN * along if plan.sprawled else 0.0
        carrier = "rear" if plan.spine and along < 0 else "trunk"
        for name, side in (("left", 1), ("right", -1)):
            place = (
                along * FRONT * _half_length(plan),
                side * (_half_width(plan) + clear),
                0.0,
            )
            if plan.legs == 2:
                place = (0.0, side * 0.7 * _half_width(plan), -PELVIS * plan.leg_length)
            label = f"{name}_{pair + 1}" if pairs > 1 else name
            hangs, turned = not plan.sprawled, side * heading
            limbs.append(LimbPlan(label, carrier, place, turned, side, hangs, links, foot))
    if plan.legs % 2:
        carrier, place = "rear" if plan.spine else "trunk", (-_half_length(plan) - clear, 0.0, 0.0)
        heading, hangs = pi if plan.sprawled else 0.0, not plan.sprawled
        limbs.append(LimbPlan("last", carrier, place, heading, 1, hangs, links, foot))
    return limbs


def arms(plan: BodyPlan) -> list[LimbPlan]:
    """Both arms of a biped that has them."""
    if not plan.arm_joints:
        return []
    chest = trunk(plan)[1]
    aside = chest.half[1] + CLEARANCE * plan.leg_length
    height = chest.centre[2] + 0.8 * chest.half[2]
    carrier = "chest" if plan.spine else "trunk"
    return [
        LimbPlan(
            f"{name}_arm", carrier, (0.0, side * aside, height), 0.0, side, True, arm(plan), None
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
    return FootShape((BALL * size,), 0.0, mass)
