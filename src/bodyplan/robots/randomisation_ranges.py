"""Ranges of domain randomisation: how far a robot's parameters may be from their true values.

They come from the table `[randomisation]` of the robot's TOML (reference task, section 6). The
defaults are the narrow ranges that the original gives its bipeds. What depends on a robot's size
(masses, lengths, gains) is not randomised by default.
"""

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class JointRandomisation:
    """How one parameter of a joint is randomised: drawn from a range, or changed.

    In TOML two numbers are the range, and a table has `add` or `factor`.
    """

    between: Range | None = None
    """Drawn uniformly between these."""
    add: float = 0.0
    """Added, plus or minus."""
    factor: float = 0.0
    """Changed by this share, plus or minus."""


@dataclass(frozen=True)
class RandomisationRanges:
    """Ranges of one robot's domain randomisation; single numbers are plus or minus."""

    trunk_mass: float = 0.0
    """kg; the trunk's inertia scales along."""
    com: float = 0.0
    """m: shift of the trunk's centre of mass, the same on all three axes."""
    foot_size: Range | None = None
    """m: first size of a foot's geom; all of the feet's geoms grow as it does from the middle."""
    torque_limit: float = 0.15
    """Share, for each joint."""
    max_velocity: float = 0.15
    """Share, for each joint."""
    nominal: float = 0.01
    """rad, for each joint."""
    joint_range: float = 0.05
    """rad, both ends of each joint's range."""
    damping: JointRandomisation = JointRandomisation()
    """N m s / rad."""
    armature: JointRandomisation = JointRandomisation()
    """kg m^2."""
    stiffness: JointRandomisation = JointRandomisation()
    """N m / rad."""
    friction_loss: JointRandomisation = JointRandomisation()
    """N m."""
    kp: float = 0.0
    """N m / rad."""
    kd: float = 0.0
    """N m s / rad."""
    action_scale: float = 0.0
    """rad."""
    hidden_share: float = 0.1
    """Of mass, centre of mass, motor strength, kp and kd, on top and unseen by the policy."""
    hidden_joint_share: float = 0.1
    """Of damping, armature, stiffness and friction loss, on top and unseen by the policy."""
    hidden_foot_share: float = 0.03
    """Of the feet's size, on top and unseen by the policy."""
    hidden_offset: float = 0.01
    """rad: error of each joint's encoder in the torque law."""
    friction: Range = (0.8, 1.2)
    """Sliding friction of floor and feet."""
    floor_torsion: Range = (0.003, 0.007)
    """m."""
    foot_torsion: Range = (0.003, 0.007)
    """m."""
    floor_rolling: Range = (8e-5, 1.2e-4)
    """m."""
    foot_rolling: Range = (8e-5, 1.2e-4)
    """m."""
    contact_stiffness: Range = (900.0, 1100.0)
    """1/s^2: the first number of every geom's direct `solref`."""
    contact_damping: Range = (72.0, 88.0)
    """1/s: the second."""
    gravity: Range = (9.51, 10.11)
    """m/s^2."""
    push: float = 0.3
    """m/s, each axis of the trunk's velocity."""
    push_growth: float = 1.0
    """Factor on pushes that add to the trunk's velocity; the other half replace it."""
    mixed_delay: float = 0.01
    """Probability that actions come late by 0 or 1 control steps, drawn at each step."""
    joint_position_noise: float = 0.003
    """rad."""
    joint_velocity_noise: float = 0.08
    """rad/s."""
    angular_velocity_noise: float = 0.02
    """rad/s."""
    gravity_noise: float = 0.015
    """Of the unit vector."""
    dropout: float = 0.001
    """Probability that a joint or a foot is not sensed in a control step."""
