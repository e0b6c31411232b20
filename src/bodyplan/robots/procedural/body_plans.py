"""Body plans: the numbers behind a new robot, such as legs, joints, lengths, mass and strength.

`trunk_and_limbs.py` and `limb_links.py` make limbs of a plan, and `build_robot.py` makes a robot.
Proportions, masses and motors are like those of real robots, from palm-sized to human-sized.
"""

from dataclasses import dataclass
from math import pi

import numpy as np

from bodyplan.errors import BodyplanError
from bodyplan.robots.feature_sizes import ACTION_SLOTS

LEGS = (2, 8)
LEG_JOINTS = (2, 5)
"""Where there are three legs or more."""
BIPED_LEG_JOINTS = (3, 6)
ARM_JOINTS = (0, 2, 3, 4)

GRAVITY = 9.81


@dataclass(frozen=True)
class BodyPlan:
    """The parameters of a body plan, the same left and right."""

    legs: int = 4
    """2 to 8; a leg without a partner is at the rear."""
    leg_joints: int = 3
    """2 to 5; of a biped 3 to 6."""
    sprawled: bool = False
    """Legs reach outward as an insect's do, not below the trunk; not for bipeds."""
    knees_forward: bool = True
    """Whether knees point forward, of legs that stand below the trunk."""
    spine: bool = False
    """Whether the trunk has a joint: between front and rear legs, or at a biped's waist."""
    arm_joints: int = 0
    """Joints of each arm of a biped: 0, 2, 3 or 4."""
    leg_length: float = 0.4
    """m, stretched."""
    thigh: float = 0.5
    """Length of the first long link as a share of the leg's length."""
    bend: float = 0.85
    """Distance from hip to foot (of a biped to the ankle), over that of a stretched leg."""
    splay: float = 0.8
    """rad: how far below the horizontal a sprawled leg's foot lies, seen from its hip."""
    row: float = 0.6
    """Distance from one pair of legs to the next, in leg lengths."""
    width: float = 0.45
    """Width of the trunk, in leg lengths."""
    mass: float = 12.0
    """kg."""
    trunk_share: float = 0.55
    """The trunk's share of the mass."""
    strength: float = 3.0
    """Torque limits, in units of `reference_torque`."""
    stiffness: float = 8.0
    """kp, in units of `reference_torque` per rad."""
    speed: float = 20.0
    """rad/s: the motors' velocity limit."""
    action_scale: float = 0.4
    """rad."""

    def __post_init__(self) -> None:
        bounds = {
            "legs": LEGS,
            "leg_joints": BIPED_LEG_JOINTS if self.legs == 2 else LEG_JOINTS,
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
        """Joints of the whole robot."""
        return self.legs * self.leg_joints + 2 * self.arm_joints + self.spine

    @property
    def description(self) -> str:
        """The plan in words."""
        posture = "sprawled" if self.sprawled else "upright"
        words = f"{self.legs} {posture} legs with {self.leg_joints} joints each"
        words += f", 2 arms with {self.arm_joints}" if self.arm_joints else ""
        return words + (", a spine" if self.spine else "")

    @property
    def reference_torque(self) -> float:
        """Torque of a half-bent leg while all legs carry the robot, N m."""
        return 0.5 * self.mass * GRAVITY * self.leg_length / self.legs

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "BodyPlan":
        """A random plan with at most `ACTION_SLOTS` joints."""
        legs = int(rng.integers(LEGS[0], LEGS[1] + 1))
        biped = legs == 2
        spine = bool(rng.random() < 0.3)
        arms = int(rng.choice(ARM_JOINTS)) if biped else 0
        low, high = BIPED_LEG_JOINTS if biped else LEG_JOINTS
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
