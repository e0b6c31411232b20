"""Gymnasium's spaces: the action space, and the observation space in its three layouts.

An observation is one flat vector (`flat`), three named arrays (`dict`), or the paper's vector
(`paper`). The first two leave out the robot's constant descriptor. `paper` repeats it at every
step, in the original code's order (reference task, section 2). J is the number of joints, F of
feet.
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
"""N observations as one array, or as one array for joints, for feet and for the rest."""


def action_space(num_joints: int) -> spaces.Box:
    """The space of one robot's actions [J]; it contains every action that a valid dataset holds."""
    return spaces.Box(-ACTION_LIMIT, ACTION_LIMIT, (num_joints,), np.float32)


def apply_layout(
    layout: str, descriptor: RobotDescriptor, observation: Observation
) -> ObservationArrays:
    """The observations of N robots in one of the three layouts, as new arrays.

    Raises:
        BodyplanError: the layout is unknown.
    """
    if layout not in _LAYOUTS:
        raise BodyplanError(f"observation '{layout}' is unknown; choose one of {list(_LAYOUTS)}")
    return _LAYOUTS[layout](descriptor, observation)


def observation_space(layout: str, robot: Robot) -> spaces.Space[Any]:
    """The space of one robot's observation. It is bounded where the task clips, and only there.

    Raises:
        BodyplanError: the layout is unknown.
    """
    low, high = (
        robot_row(apply_layout(layout, *_extremes(robot, sign)), 0) for sign in (-1.0, 1.0)
    )
    if isinstance(low, dict):
        return spaces.Dict({name: spaces.Box(low[name], high[name]) for name in low})
    return spaces.Box(low, high)


def flat_observation_space(num_joints: int, num_feet: int) -> spaces.Box:
    """The space of the layout `flat`, for which the numbers of joints and feet are enough."""
    low, high = (
        flatten_observation(_limits(num_joints, num_feet, sign))[0] for sign in (-1.0, 1.0)
    )
    return spaces.Box(low, high)


def flatten_observation(observation: Observation) -> Float32[np.ndarray, "N D"]:
    """N observations as `flat` vectors of 3 J + 2 F + 13 numbers: joints, feet, general."""
    return np.concatenate([part.reshape(len(part), -1) for part in observation], axis=1)


def unflatten_observation(
    flat: Float32[np.ndarray, "N D"], num_joints: int, num_feet: int
) -> Observation:
    """The inverse of `flatten_observation`.

    Raises:
        ValueError: the vectors have another size than 3 J + 2 F + 13.
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


def robot_row(observations: ObservationArrays, index: int) -> Any:
    """The observation of one robot among the observations of N."""
    if isinstance(observations, dict):
        return {name: part[index] for name, part in observations.items()}
    return observations[index]


def _flat(descriptor: RobotDescriptor, observation: Observation) -> ObservationArrays:
    return flatten_observation(observation)


def _dict(descriptor: RobotDescriptor, observation: Observation) -> ObservationArrays:
    return {name: part.copy() for name, part in observation._asdict().items()}


def _paper(descriptor: RobotDescriptor, observation: Observation) -> ObservationArrays:
    pairs = zip(descriptor, observation, strict=True)
    # Randomised robots have a descriptor each; otherwise there is one for all N.
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
    """The lower (-1) or upper (1) bound of a robot's descriptor and observation."""
    unbounded = np.float32(sign * np.inf)
    descriptor = RobotDescriptor(*(np.full_like(part, unbounded) for part in robot.descriptor))
    return descriptor, _limits(robot.num_joints, robot.num_feet, sign)


def _limits(num_joints: int, num_feet: int, sign: float) -> Observation:
    unbounded, clipped = np.float32(sign * np.inf), np.float32(sign)
    general = np.full((1, GENERAL_OBSERVATION_SIZE), clipped)
    general[:, COMMAND_COLUMNS] = general[:, GRAVITY_COLUMNS] = unbounded
    return Observation(
        joints=np.full((1, num_joints, JOINT_OBSERVATION_SIZE), unbounded),
        feet=np.full((1, num_feet, FOOT_OBSERVATION_SIZE), clipped),
        general=general,
    )
