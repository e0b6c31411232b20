"""The task config: what a robot's TOML says, each table a record and each key a field.

The defaults are the values that most robots share.
"""

from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from bodyplan.robots.randomisation_ranges import RandomisationRanges

CONTROL_STEP = 0.02
"""Seconds; a policy acts at 50 Hz."""
RETIRED_REWARD_KEYS = ("curriculum_steps",)
"""Keys of a TOML's `[reward]` table that earlier versions had and nothing reads; ignored."""
KIND_BY_LEGS = {1: "monopod", 2: "biped", 3: "triped", 4: "quadruped", 5: "pentapod"}
KIND_BY_LEGS |= {6: "hexapod", 7: "heptapod", 8: "octopod"}

Positive = Annotated[float, Meta(gt=0)]
PositiveInteger = Annotated[int, Meta(gt=0)]
Names = tuple[str, ...]
Point = tuple[float, float, float]
PositivePoint = tuple[Positive, Positive, Positive]
ValuePerJoint = float | tuple[float, ...]
"""One value for each joint in task order, or one for all."""
PositivePerJoint = Positive | tuple[Positive, ...]


@dataclass(frozen=True)
class ControlConfig:
    """The table `[control]`: the PD law around nominal + action_scale * action."""

    kp: Positive
    """N m / rad."""
    kd: float
    """N m s / rad."""
    action_scale: Positive
    """rad."""


@dataclass(frozen=True)
class JointsConfig:
    """The table `[joints]`: the joints that the policy drives, in task order."""

    names: Names
    nominal: ValuePerJoint
    """rad."""
    max_velocity: PositivePerJoint
    """rad/s."""
    children: ValuePerJoint | None = None
    """How many driven joints hang directly below each; counted where not given."""


@dataclass(frozen=True)
class FootConfig:
    """An entry of the table `[feet]`: the geoms of a foot."""

    geoms: Names
    point: Point | None = None
    """Metres in the frame of the body: the foot's place; the first geom's centre by default."""


@dataclass(frozen=True)
class Foot:
    """One foot of a robot: its name, and what its entry in the table `[feet]` says."""

    name: str
    geoms: Names
    point: Point | None = None
    """Metres in the frame of the body: the foot's place; the first geom's centre by default."""


@dataclass(frozen=True)
class RewardCoefficients:
    """Coefficients of the walking reward, before the multiplication with the control step."""

    tracking_xy: float
    tracking_yaw: float
    roll_pitch_velocity: float = 0.05
    nominal_pose: float = 0.0
    acceleration: float = 2.5e-7
    torque: float = 2e-4
    action_rate: float = 0.01
    z_velocity: float = 2.0
    roll_pitch: float = 0.2
    joint_limit: float = 10.0
    collision: float = 1.0
    height: float = 30.0
    air_time: float = 0.1
    symmetry: float = 0.5
    collision_geoms: tuple[str, ...] = ()
    """Geoms that each pay the collision penalty while they touch anything."""
    trunk_geoms: tuple[str, ...] = ()
    """Geoms that pay it once together."""
    nominal_pose_joints: tuple[str, ...] = ()
    symmetry_pairs: tuple[tuple[str, str], ...] = ()
    """Pairs of feet that should not be off the floor together."""


@dataclass(frozen=True)
class Termination:
    """When an episode ends early: a geom of the list touches anything, or the trunk is too low."""

    contact_geoms: tuple[str, ...] = ()
    min_height: float | None = None
    """Metres."""


@dataclass(frozen=True)
class InitialState:
    """Ranges of the random reset (reference task, section 1)."""

    roll_pitch: float = 0.0
    """Times pi rad."""
    joint_position: float = 0.0
    """a: each joint starts at nominal times a factor from (a, 1 + a), as the original draws it."""
    joint_velocity: float = 0.0
    """Times the velocity limit; one draw for all joints."""
    linear_velocity: float = 0.0
    """m/s."""
    angular_velocity: float = 0.0
    """rad/s."""


@dataclass(frozen=True)
class ExpertSettings:
    """What training this robot's expert needs to know."""

    initial_std: float = 1.0
    """Standard deviation of the first policy's actions: the noise that makes the robot stir without
    costing more torque penalty than it can earn."""
    steps: int = 4_000_000
    """Control steps until its return no longer grows."""
    quiet_from: float = 2 / 3
    """Share of the run by which the bound on the actions' spread has come all the way down."""
    final_learning_rate: float = 1e-2
    """Bound on the actor's adaptive learning rate, which comes down with that on the spread."""
    episode_steps: int = 250
    """Control steps after which a robot in training starts anew, from another random state. Values
    bootstrap through that end; where it comes early, the robot meets more of those states."""
    stiffness: float = 1.0
    """Times `kp`, through the action: an affine action prior adds what the stiffer PD law would."""
    damping: float = 1.0
    """Times `kd`, through the action."""
    balanced: bool = False
    """The prior also holds the nominal pose against gravity."""
    symmetric: bool = False
    """Policy and critic treat left and right alike, exactly."""
    assisted: bool = False
    """Training begins with the trunk held upright; the help goes as the robot stays on its feet."""
    led: bool = False
    """The help also pulls the robot along at the commanded velocity, so that it must step."""
    poised: bool = False
    """Half of the starts in training are near the nominal pose."""


@dataclass(frozen=True)
class TaskConfig:
    """The whole TOML of a robot."""

    description: str
    kind: str
    """biped, quadruped ..."""
    legs: PositiveInteger
    trunk: str
    """Name of the root body."""
    drop_height: Positive
    """m: trunk height at reset, and the height that the reward asks for."""
    box_min: Point
    """m: lowest corner of the robot's box in the trunk frame at the nominal pose."""
    box_size: PositivePoint
    """m."""
    control: ControlConfig
    joints: JointsConfig
    feet: dict[str, FootConfig]
    reward: RewardCoefficients
    termination: Termination
    provenance: str = ""
    """Where the values come from."""
    senses_feet: bool = True
    initial_state: InitialState = field(default_factory=InitialState)
    randomisation: RandomisationRanges = field(default_factory=RandomisationRanges)
    expert: ExpertSettings = field(default_factory=ExpertSettings)


def task_contact_geoms(reward: RewardCoefficients, termination: Termination) -> tuple[str, ...]:
    """Geoms whose touching anything matters to the task, each once."""
    listed = termination.contact_geoms + reward.collision_geoms + reward.trunk_geoms
    return tuple(dict.fromkeys(listed))
