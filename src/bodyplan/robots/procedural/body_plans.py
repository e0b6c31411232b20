"""New body plans: how many legs, how many joints, how large, how strong.

A plan is a dozen figures; `anatomy.py` makes limbs of them and `skeleton.py` an MJCF. Proportions,
weights and motors are those of robots that exist, from palm-sized to man-sized.
"""

from dataclasses import dataclass
from math import pi

import numpy as np

from bodyplan.errors import BodyplanError
from bodyplan.robots.feature_sizes import ACTION_SLOTS

LEGS = (2, 8)
JOINTS_PER_LEG = (2, 5)
"""Of a leg, where there are three legs or more."""
BIPED_JOINTS = (3, 6)
ARM_JOINTS = (0, 2, 3, 4)

GRAVITY = 9.81


@dataclass(frozen=True)
class BodyPlan:
    """The parameters of a body plan, the same left and right."""

    legs: int = 4
    """2 to 8; an odd one is at the rear."""
    leg_joints: int = 3
    """2 to 5, of a biped 3 to 6."""
    sprawled: bool = False
    """Legs reach outward as an insect's, instead of standing below the trunk; not for bipeds."""
    knees_forward: bool = True
    """Of legs that stand below the trunk."""
    spine: bool = False
    """A joint in the trunk: between front and rear legs, or a biped's waist."""
    arm_joints: int = 0
    """Of each arm of a biped: 0, 2, 3 or 4."""
    leg_length: float = 0.4
    """m, stretched."""
    thigh: float = 0.5
    """Share of the first long link in the leg's length."""
    bend: float = 0.85
    """Distance from hip to foot, or to the ankle, over that of a stretched leg."""
    splay: float = 0.8
    """rad: how far below the horizontal a sprawled leg's foot lies, seen from its hip."""
    row: float = 0.6
    """Leg lengths from one pair of legs to the next."""
    width: float = 0.45
    """Leg lengths across the trunk."""
    mass: float = 12.0
    """kg."""
    trunk_share: float = 0.55
    """Of the mass."""
    strength: float = 3.0
    """Torque limits, in units of what carrying the body on all legs asks of a half-bent one."""
    stiffness: float = 8.0
    """kp in the same unit, 1 / rad."""
    speed: float = 20.0
    """rad/s: the motors' velocity limit."""
    action_scale: float = 0.4
    """rad."""

    def __post_init__(self) -> None:
        bounds = {
            "legs": LEGS,
            "leg_joints": BIPED_JOINTS if self.legs == 2 else JOINTS_PER_LEG,
            "thigh": (0.3, 0.7),
            "bend": (0.65, 0.98),
            "splay": (0.3, 1.2),
            "row": (0.2, 2.0),
            "width": (0.1, 1.5),
            "trunk_share": (0.1, 0.85),
            "leg_length": (0.05, 2.0),
            "mass": (0.05, 500.0),
            "strength": (0.5, 20.0),
            "stiffness": (0.5, 50.0),
            "speed": (1.0, 100.0),
            "action_scale": (0.05, 2.0),
        }
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                raise BodyplanError(
                    f"{name} = {getattr(self, name)} is out of range; give {low} to {high}"
                )
        if self.arm_joints not in ARM_JOINTS:
            raise BodyplanError(f"arm_joints = {self.arm_joints}; give one of {ARM_JOINTS}")
        if self.arm_joints and self.legs > 2:
            raise BodyplanError(f"arm_joints = {self.arm_joints} on {self.legs} legs; give 0")
        if self.sprawled and self.legs == 2:
            raise BodyplanError("sprawled = True on 2 legs; give 3 legs or more")

    @property
    def joints(self) -> int:
        """Of the whole body."""
        return self.legs * self.leg_joints + 2 * self.arm_joints + self.spine

    @property
    def description(self) -> str:
        """In words."""
        posture = "sprawled" if self.sprawled else "upright"
        words = f"{self.legs} {posture} legs with {self.leg_joints} joints each"
        words += f", 2 arms with {self.arm_joints}" if self.arm_joints else ""
        return words + (", a spine" if self.spine else "")

    @property
    def burden(self) -> float:
        """Torque that carrying the body asks of a half-bent leg, N m."""
        return 0.5 * self.mass * GRAVITY * self.leg_length / self.legs

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "BodyPlan":
        """One at random, with at most 24 joints."""
        legs = int(rng.integers(LEGS[0], LEGS[1] + 1))
        biped = legs == 2
        spine = bool(rng.random() < 0.3)
        arms = int(rng.choice(ARM_JOINTS)) if biped else 0
        low, high = BIPED_JOINTS if biped else JOINTS_PER_LEG
        room = (ACTION_SLOTS - spine - 2 * arms) // legs
        leg_length = float(np.exp(rng.uniform(np.log(0.15), np.log(0.9))))

        def between(low: float, high: float) -> float:
            return float(rng.uniform(low, high))

        return cls(
            legs=legs,
            leg_joints=int(rng.integers(low, min(high, room) + 1)),
            sprawled=bool(rng.random() < 0.5) and not biped,
            knees_forward=biped or bool(rng.random() < 0.5),
            spine=spine,
            arm_joints=arms,
            leg_length=leg_length,
            thigh=between(0.42, 0.55),
            bend=between(0.93, 0.97) if biped else between(0.78, 0.92),
            splay=between(0.2, 0.33) * pi,
            row=between(0.5, 0.8),
            width=between(0.3, 0.42) if biped else between(0.35, 0.6),
            mass=150.0 * leg_length**3 * float(np.exp(between(-0.5, 0.5))),
            trunk_share=between(0.45, 0.65),
            strength=between(2.0, 4.0),
            stiffness=between(6.0, 12.0),
            speed=between(10.0, 25.0),
            action_scale=between(0.25, 0.6),
        )
