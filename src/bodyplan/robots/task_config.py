"""The constants of a robot's walk: its feet, its pay, when it has fallen, how it starts.

They come from the TOML beside the robot's MJCF; the defaults are those most robots share.
"""

from dataclasses import dataclass

CONTROL_STEP = 0.02
"""Seconds; a policy acts at 50 Hz."""
RETIRED_REWARD_KEYS = ("curriculum_steps",)
"""Keys of a TOML's `[reward]` table that earlier versions had and nothing reads; ignored."""


@dataclass(frozen=True)
class Foot:
    """One foot: the geoms that count as it, and the point its descriptor speaks of."""

    name: str
    geoms: tuple[str, ...]
    point: tuple[float, float, float] | None = None
    """Metres in the frame of the body; the first geom's centre where not given."""


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


def task_contact_geoms(reward: RewardCoefficients, termination: Termination) -> tuple[str, ...]:
    """Geoms whose touching anything matters to the task, each once."""
    listed = termination.contact_geoms + reward.collision_geoms + reward.trunk_geoms
    return tuple(dict.fromkeys(listed))
