"""Disturbances of the task: randomised bodies, pushes, random commands, sensor noise and dropout.

Everything is off by default. The original trains under all of these at once
(`TRAINING_DISTURBANCES`) and tests under none. How large each one is stands in the robot's own
`randomisation` (reference task, section 6).
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float

from bodyplan.bounds import Share, require_bounds
from bodyplan.envs.walking_task import ANGULAR_VELOCITY_SCALE, VELOCITY_SCALE, Observation
from bodyplan.robots.descriptors import ANGLE_SCALE
from bodyplan.robots.feature_sizes import ANGULAR_VELOCITY_COLUMNS, GRAVITY_COLUMNS
from bodyplan.robots.randomisation_ranges import RandomisationRanges

_REPLACE_PROBABILITY = 0.5  # of a push that replaces the trunk's velocity


@dataclass(frozen=True)
class Disturbances:
    """What disturbs the robots. Probabilities are for each robot and control step."""

    randomise: bool = False
    """Randomise bodies, motors, ground and gravity at each reset."""
    redraw: Share = 0.0
    """Probability per control step of randomising them within an episode as well."""
    pushes: Share = 0.0
    """Probability per control step of a push that changes the trunk's velocity."""
    commands: Share = 0.0
    """Probability per control step of a new random command."""
    noise: bool = False
    """Uniform noise on observed joint positions and velocities, angular velocity and gravity."""
    dropout: bool = False
    """Joints and feet that are missing from some observations."""

    def __post_init__(self) -> None:
        require_bounds(self)

    def card(self) -> dict[str, Any]:
        """The entry `conditions` of a dataset's card: the ones that are on; empty without any."""
        changed = {k: v for k, v in asdict(self).items() if v != getattr(NO_DISTURBANCES, k)}
        return {"conditions": changed} if changed else {}


Conditions = dict[
    Literal["randomise", "redraw", "pushes", "commands", "noise", "dropout"], bool | float
]
"""Disturbances as cards and evaluations have them."""
NO_DISTURBANCES = Disturbances()
"""One MDP for each robot: the task of datasets, evaluations and published returns."""
TRAINING_DISTURBANCES = Disturbances(
    randomise=True, redraw=0.002, pushes=0.002, commands=0.002, noise=True, dropout=True
)
"""As the original trains, but that bodies are randomised from the first reset on."""


def sample_commands(rng: np.random.Generator, count: int) -> Float[np.ndarray, "count 3"]:
    """Random commands: vx, vy (m/s) and yaw rate (rad/s), each from U(-1, 1)."""
    return rng.uniform(-1.0, 1.0, (count, 3))


def apply_push(
    ranges: RandomisationRanges, rng: np.random.Generator, velocity: Float[np.ndarray, "M 3"]
) -> Float[np.ndarray, "M 3"]:
    """The trunks' linear velocities (m/s) after a push, which replaces or adds with equal chance.

    Args:
        ranges: sizes of the pushes.
        rng: random numbers.
        velocity: before the push, in the world frame.
    """
    change = rng.uniform(-ranges.push, ranges.push, velocity.shape)
    replaced = rng.random((len(velocity), 1)) < _REPLACE_PROBABILITY
    return np.where(replaced, change, velocity + ranges.push_growth * change)


def apply_sensor_noise(
    disturbances: Disturbances,
    ranges: RandomisationRanges,
    rng: np.random.Generator,
    observation: Observation,
) -> Observation:
    """The observation of noisy sensors: first noise, then dropout, where they are on."""
    if not (disturbances.noise or disturbances.dropout):
        return observation
    joints, feet, general = (part.copy() for part in observation)
    if disturbances.noise:
        count = joints.shape[:2]
        joints[..., 0] += _noise(rng, ranges.joint_position_noise / ANGLE_SCALE, count)
        joints[..., 1] += _noise(rng, ranges.joint_velocity_noise / VELOCITY_SCALE, count)
        rates = general[:, ANGULAR_VELOCITY_COLUMNS] + _noise(
            rng, ranges.angular_velocity_noise / ANGULAR_VELOCITY_SCALE, (len(general), 3)
        )
        general[:, ANGULAR_VELOCITY_COLUMNS] = np.clip(rates, -1.0, 1.0)
        general[:, GRAVITY_COLUMNS] += _noise(rng, ranges.gravity_noise, (len(general), 3))
    if disturbances.dropout:
        joints[_missing(rng, ranges.dropout, joints.shape[:2])] = 0.0
        feet[_missing(rng, ranges.dropout, feet.shape[:2])] = -1.0
    return Observation(joints, feet, general)


def _noise(
    rng: np.random.Generator, size: float, shape: tuple[int, ...]
) -> Float[np.ndarray, "..."]:
    return rng.uniform(-size, size, shape)


def _missing(
    rng: np.random.Generator, probability: float, shape: tuple[int, ...]
) -> Bool[np.ndarray, "N K"]:
    return rng.random(shape) < probability
