"""Gymnasium's spaces: the action space, and the observation space in its three layouts.

An observation is one flat vector (`flat`), three named arrays (`dict`), or the paper's vector.
`flat` and `dict` hold what changes from step to step. `paper` repeats the robot's constant
descriptors at every step, in the order of the original code (reference task, section 2).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces
from jaxtyping import Float32

from bodyplan.envs.walking_task import ACTION_LIMIT, Observation
from bodyplan.errors import BodyplanError
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.robots.feature_sizes import (
    COMMAND_COLUMNS,
    FOOT_OBSERVATION_SIZE,
    GENERAL_OBSERVATION_SIZE,
    GRAVITY_COLUMNS,
    JOINT_OBSERVATION_SIZE,
    flat_observation_size,
    local_observation_size,
)
from bodyplan.robots.robot import Robot

ObservationArrays = Float32[np.ndarray, "N D"] | dict[str, np.ndarray]
"""N observations in one array, or in one array for each kind of number."""


def action_space(num_joints: int) -> spaces.Box:
    """The space of one robot's actions; it contains every action that a valid dataset holds."""
    return spaces.Box(-ACTION_LIMIT, ACTION_LIMIT, (num_joints,), np.float32)


def apply_layout(
    layout: str, descriptor: RobotDescriptor, observation: Observation
) -> ObservationArrays:
    """The observations of N robots in a layout, as arrays of their own.

    Raises:
        BodyplanError: no layout is called so.
    """
    if layout not in _LAYOUTS:
        raise BodyplanError(f"observation '{layout}' is unknown; choose one of {list(_LAYOUTS)}")
    return _LAYOUTS[layout](descriptor, observation)


def observation_space(layout: str, robot: Robot) -> spaces.Space[Any]:
    """The space of one robot's observation: bounded where the task clips, and only there.

    Raises:
        BodyplanError: no layout is called so.
    """
    low, high = (row(apply_layout(layout, *_extremes(robot, sign)), 0) for sign in (-1.0, 1.0))
    if isinstance(low, dict):
        return spaces.Dict({name: spaces.Box(low[name], high[name]) for name in low})
    return spaces.Box(low, high)


def flat_observation_space(num_joints: int, num_feet: int) -> spaces.Box:
    """The space of `flat` for a body of which no more than its counts is known."""
    low, high = (
        flatten_observation(_limits(num_joints, num_feet, sign))[0] for sign in (-1.0, 1.0)
    )
    return spaces.Box(low, high)


def flatten_observation(observation: Observation) -> Float32[np.ndarray, "N D"]:
    """N observations as `flat` vectors: all joints, all feet, then what is general."""
    return np.concatenate([part.reshape(len(part), -1) for part in observation], axis=1)


def unflatten_observation(
    flat: Float32[np.ndarray, "N D"], num_joints: int, num_feet: int
) -> Observation:
    """What `flatten_observation` was given.

    Raises:
        ValueError: the vectors are not those of a body with these counts.
    """
    feet = JOINT_OBSERVATION_SIZE * num_joints
    general = local_observation_size(num_joints, num_feet)
    size = flat_observation_size(num_joints, num_feet)
    if flat.ndim != 2 or flat.shape[1] != size:
        raise ValueError(f"flat observations of shape {list(flat.shape)}, not [N, {size}]")
    return Observation(
        flat[:, :feet].reshape(-1, num_joints, JOINT_OBSERVATION_SIZE),
        flat[:, feet:general].reshape(-1, num_feet, FOOT_OBSERVATION_SIZE),
        flat[:, general:],
    )


def row(arranged: ObservationArrays, index: int) -> Any:
    """One robot's part of the observations of N."""
    if isinstance(arranged, dict):
        return {name: part[index] for name, part in arranged.items()}
    return arranged[index]


def _flat(descriptor: RobotDescriptor, observation: Observation) -> ObservationArrays:
    return flatten_observation(observation)


def _dict(descriptor: RobotDescriptor, observation: Observation) -> ObservationArrays:
    return {name: part.copy() for name, part in observation._asdict().items()}


def _paper(descriptor: RobotDescriptor, observation: Observation) -> ObservationArrays:
    pairs = zip(descriptor, observation, strict=True)
    # Specimens have descriptions each of their own, the robot itself has one for all N.
    joints, feet, context = (
        np.broadcast_to(constant, (*present.shape[:-1], constant.shape[-1]))
        for constant, present in pairs
    )
    blocks = [
        np.concatenate([joints, observation.joints], axis=-1),
        np.concatenate([feet, observation.feet], axis=-1),
        np.concatenate([observation.general, context], axis=-1),
    ]
    return np.concatenate([block.reshape(len(block), -1) for block in blocks], axis=1)


_LAYOUTS: dict[str, Callable[[RobotDescriptor, Observation], ObservationArrays]] = {
    "flat": _flat,
    "dict": _dict,
    "paper": _paper,
}


def _extremes(robot: Robot, sign: float) -> tuple[RobotDescriptor, Observation]:
    """The least (-1) or greatest (1) that is observed, for one robot."""
    free = np.float32(sign * np.inf)
    descriptor = RobotDescriptor(*(np.full_like(part, free) for part in robot.descriptor))
    return descriptor, _limits(robot.num_joints, robot.num_feet, sign)


def _limits(num_joints: int, num_feet: int, sign: float) -> Observation:
    free, clipped = np.float32(sign * np.inf), np.float32(sign)
    general = np.full((1, GENERAL_OBSERVATION_SIZE), clipped)
    general[:, COMMAND_COLUMNS] = general[:, GRAVITY_COLUMNS] = free
    return Observation(
        joints=np.full((1, num_joints, JOINT_OBSERVATION_SIZE), free),
        feet=np.full((1, num_feet, FOOT_OBSERVATION_SIZE), clipped),
        general=general,
    )
