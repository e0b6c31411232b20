"""Limb links: the joints, lengths, masses and nominal angles of a body plan's legs, arms and spine.

A limb lies in a vertical plane. Its links rotate about the plane's normal (pitch); the plane itself
rotates about the vertical (yaw) and about the forward axis (roll). A link's direction is an angle
below the horizontal, seen from the trunk outward.
"""

from math import acos, atan2, pi, sin, sqrt
from typing import NamedTuple

from bodyplan.robots.procedural.body_plans import BodyPlan

DOWN = pi / 2

UPRIGHT = {2: "hip knee", 3: "roll hip knee", 4: "roll hip knee ankle"}
UPRIGHT[5] = "yaw roll hip knee ankle"
SPRAWLED = {2: "yaw hip", 3: "yaw hip knee", 4: "yaw hip knee ankle", 5: "yaw hip knee ankle toe"}
BIPED = {3: "hip knee ankle", 4: "roll hip knee ankle", 5: "yaw roll hip knee ankle"}
BIPED[6] = "yaw roll hip knee ankle tilt"
ARM = {2: "shoulder elbow", 3: "shoulder lift elbow", 4: "shoulder lift twist elbow"}
AXES = {
    "spine": "yaw",
    "yaw": "yaw",
    "twist": "yaw",
    "roll": "roll",
    "lift": "roll",
    "tilt": "roll",
}
"""Axis of each joint; joints that are not here pitch."""
KNEE = (0.05, 2.7)
"""rad: a knee bends to one side only."""
RANGES = {
    "spine": (-0.6, 0.6),
    "yaw": (-0.7, 0.7),
    "roll": (-0.6, 0.6),
    "hip": (-1.2, 1.2),
    "ankle": (-0.8, 0.8),
    "toe": (-0.8, 0.8),
    "tilt": (-0.4, 0.4),
    "shoulder": (-2.0, 2.0),
    "lift": (-0.2, 2.0),
    "twist": (-1.5, 1.5),
    "elbow": (-1.8, 0.35),
}
"""rad, about the nominal angle."""
ARM_NOMINAL = {"lift": 0.15, "elbow": -0.4}
TORQUE_SHARES = {"ankle": 0.5, "toe": 0.5, "tilt": 0.5}
"""Shares of a leg's torque limit; joints that are not here have all of it."""
ARM_STRENGTH, ARM_MASS, FOOT_MASS = 0.4, 0.05, 0.05
"""Shares of a leg's torque limit, of the body's mass, of the leg's mass."""
SLENDER, TAPER = 0.055, 0.75
"""Radius of the first long link in leg lengths, and the factor from one link to the next."""
COXA, ANKLE_HEIGHT, HALF_ARM = 0.15, 0.08, 0.35
"""Leg lengths: the first link of a sprawled leg, the last of a biped's, each link of an arm."""
SOLE_HALF_SIZE = (0.13, 0.07, 0.012)
"""Leg lengths: half of a sole's edges."""
LEAN = 0.35
"""rad: lean of an upright leg's third link, forward where the knee points forward."""


class Link(NamedTuple):
    """A link and the joint that moves it."""

    name: str
    axis: str
    """pitch, yaw or roll."""
    nominal: float
    """rad."""
    limits: tuple[float, float]
    """rad."""
    torque: float
    """N m."""
    length: float = 0.0
    """m; 0 where the next joint is in the same place."""
    radius: float = 0.0
    mass: float = 0.0


def leg_links(plan: BodyPlan) -> tuple[Link, ...]:
    """The links of each leg; all legs are alike, so that all feet are level."""
    kind = BIPED if plan.legs == 2 else SPRAWLED if plan.sprawled else UPRIGHT
    names = kind[plan.leg_joints].split()
    lengths = _lengths(plan, names)
    nominal = _nominal(plan, names, lengths)
    tapers = [TAPER ** sum(length > 0 for length in lengths[:i]) for i in range(len(names))]
    sizes = [max(length, 0.15 * plan.leg_length) for length in lengths]
    weights = [size * taper**2 for size, taper in zip(sizes, tapers, strict=True)]
    share = (1.0 - FOOT_MASS) * leg_mass(plan) / sum(weights)
    radii = [SLENDER * taper for taper in tapers]
    if plan.legs == 2:
        radii[-1] = 0.8 * SOLE_HALF_SIZE[2]  # within the sole that it carries
    return tuple(
        Link(
            name,
            AXES.get(name, "pitch"),
            nominal[i],
            _limits(name, nominal[i]),
            TORQUE_SHARES.get(name, 1.0) * plan.strength * plan.reference_torque,
            lengths[i],
            plan.leg_length * radii[i],
            share * weights[i],
        )
        for i, name in enumerate(names)
    )


def arm_links(plan: BodyPlan) -> tuple[Link, ...]:
    """The links of each arm of a biped: an upper arm, a forearm and the joints that rotate them."""
    names = ARM[plan.arm_joints].split()
    size = plan.leg_length
    return tuple(
        Link(
            name,
            AXES.get(name, "pitch"),
            ARM_NOMINAL.get(name, 0.0),
            _limits(name, ARM_NOMINAL.get(name, 0.0)),
            ARM_STRENGTH * plan.strength * plan.reference_torque,
            HALF_ARM * size if name in names[-2:] else 0.0,
            0.7 * SLENDER * size * (TAPER if name == "elbow" else 1.0),
            ARM_MASS * plan.mass / len(names),
        )
        for name in names
    )


def spine_link(plan: BodyPlan) -> Link | None:
    """The joint between the trunk's two boxes; None where they are one body."""
    if not plan.spine:
        return None
    return Link("spine", "yaw", 0.0, RANGES["spine"], plan.strength * plan.reference_torque)


def leg_mass(plan: BodyPlan) -> float:
    """Mass of each leg with its foot, kg."""
    arms = 2 * ARM_MASS if plan.arm_joints else 0.0
    return plan.mass * (1.0 - plan.trunk_share - arms) / plan.legs


def _lengths(plan: BodyPlan, names: list[str]) -> list[float]:
    """Length of each link of a leg, m; the long links share what fixed ones leave."""
    fixed = {"yaw": COXA} if plan.sprawled else {}
    long = [name for name in names if name not in AXES]
    if plan.legs == 2:
        fixed, long = {names[-1]: ANKLE_HEIGHT}, ["hip", "knee"]
    first = 1.0 if len(long) == 1 else plan.thigh if len(long) == 2 else 0.8 * plan.thigh
    others = (1.0 - first) / max(1, len(long) - 1)
    shares = [first, *[others] * (len(long) - 1)]
    left = 1.0 - sum(fixed.values())
    lengths = fixed | {name: left * share for name, share in zip(long, shares, strict=True)}
    return [plan.leg_length * lengths.get(name, 0.0) for name in names]


def _nominal(plan: BodyPlan, names: list[str], lengths: list[float]) -> list[float]:
    """Nominal angles of a leg's joints, rad."""
    pitching = [i for i, name in enumerate(names) if name not in AXES]
    angles, above = [0.0] * len(names), 0.0 if plan.sprawled else DOWN
    directions = _fold(plan, [lengths[i] for i in pitching])
    for i, direction in zip(pitching, directions, strict=True):
        angles[i], above = direction - above, direction
    return angles


def _fold(plan: BodyPlan, lengths: list[float]) -> list[float]:
    """Directions of pitching links that put the foot below an upright leg's hip, rad.

    The first two links bend. The others hang, or lean as the thigh does, and the first two
    compensate for that.
    """
    if len(lengths) == 1:
        return [plan.splay]
    first, second, *rest = lengths
    outward = plan.sprawled or plan.knees_forward
    lean = 0.0 if plan.sprawled or plan.legs == 2 else LEAN if outward else -LEAN
    distance = plan.bend * (first + second)
    aside = -sum(rest) * sin(lean)
    bearing = plan.splay if plan.sprawled else atan2(sqrt(distance**2 - aside**2), aside)
    sign = 1.0 if outward else -1.0
    thigh = bearing - sign * _triangle_angle(first, distance, second)
    shank = thigh + sign * (pi - _triangle_angle(first, second, distance))
    return [thigh, shank, *[DOWN - lean] * len(rest)]


def _triangle_angle(first: float, second: float, opposite: float) -> float:
    """The angle between two sides of a triangle, rad."""
    return acos((first**2 + second**2 - opposite**2) / (2.0 * first * second))


def _limits(name: str, nominal: float) -> tuple[float, float]:
    if name == "knee":
        low, high = KNEE
        return (low, high) if nominal > 0 else (-high, -low)
    low, high = RANGES[name]
    return nominal + low, nominal + high
