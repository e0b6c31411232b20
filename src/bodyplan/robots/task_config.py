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
NotNegative = Annotated[float, Meta(ge=0)]
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
    kd: NotNegative
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
    """Coefficients of the walking reward, before it is multiplied by the control step."""

    tracking_xy: NotNegative
    tracking_yaw: NotNegative
    roll_pitch_velocity: NotNegative = 0.05
    nominal_pose: NotNegative = 0.0
    acceleration: NotNegative = 2.5e-7
    torque: NotNegative = 2e-4
    action_rate: NotNegative = 0.01
    z_velocity: NotNegative = 2.0
    roll_pitch: NotNegative = 0.2
    joint_limit: NotNegative = 10.0
    collision: NotNegative = 1.0
    height: NotNegative = 30.0
    air_time: NotNegative = 0.1
    symmetry: NotNegative = 0.5
    collision_geoms: tuple[str, ...] = ()
    """Each of these geoms costs the collision penalty while it touches anything."""
    trunk_geoms: tuple[str, ...] = ()
    """All of these geoms together cost the penalty once."""
    nominal_pose_joints: tuple[str, ...] = ()
    """Joints whose distance from the nominal angle is penalised."""
    symmetry_pairs: tuple[tuple[str, str], ...] = ()
    """Pairs of feet that should not be off the floor at the same time."""


@dataclass(frozen=True)
class Termination:
    """When an episode ends early: a geom of the list touches anything, or the trunk is too low."""

    contact_geoms: tuple[str, ...] = ()
    min_height: float | None = None
    """m: of the trunk."""


@dataclass(frozen=True)
class InitialState:
    """Ranges of the random reset (reference task, section 1)."""

    roll_pitch: NotNegative = 0.0
    """Range of roll and pitch, times pi rad."""
    joint_position: NotNegative = 0.0
    """a: each joint starts at nominal times a factor from (a, 1 + a), as the original draws it."""
    joint_velocity: NotNegative = 0.0
    """Range of joint velocities, times the velocity limit; one draw for all joints."""
    linear_velocity: NotNegative = 0.0
    """Range of the trunk's linear velocity, m/s."""
    angular_velocity: NotNegative = 0.0
    """Range of the trunk's angular velocity, rad/s."""


@dataclass(frozen=True)
class ExpertSettings:
    """The table `[expert]`: settings of PPO for this robot's expert."""

    initial_std: float = 1.0
    """Standard deviation of the first policy's actions. It should make the robot move, but cost
    less torque penalty than the reward that movement can earn."""
    steps: int = 4_000_000
    """Control steps of the run, after which the return no longer grows."""
    min_std: float = 0.0
    """Lower limit of the actions' standard deviation until the end. Data of a narrow gait show a
    learner no way back to it."""
    quiet_from: float = 2 / 3
    """Share of the run after which the bound on the actions' standard deviation is lowest."""
    final_learning_rate: float = 1e-2
    """Final bound on the actor's adaptive learning rate; it falls with the bound on the standard
    deviation."""
    episode_steps: int = 250
    """Control steps after which an episode is truncated in training. Values bootstrap through that
    end. Short episodes show the policy more of the random initial states."""
    stiffness: float = 1.0
    """Factor on `kp`, by an affine action prior that adds what the stiffer PD law would."""
    damping: float = 1.0
    """Factor on `kd`, by the same action prior."""
    balanced: bool = False
    """Whether the action prior also holds the nominal pose against gravity."""
    symmetric: bool = False
    """Whether policy and critic are exactly symmetric in left and right."""
    assisted: bool = False
    """Whether training starts with external forces that hold the trunk upright. They decrease as
    the robot falls less."""
    led: bool = False
    """Whether these forces also pull the robot at the commanded velocity, so that it must step."""
    poised: bool = False
    """Whether half of the initial states in training are near the nominal pose."""


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
