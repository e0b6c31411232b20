"""The observations of an expert's actor and critic, and how a mirror changes them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bodyplan.datasets.policy_snapshots import policy_input
from bodyplan.envs.walking_task import Observation
from bodyplan.robots.feature_sizes import HEIGHT_COLUMN, LINEAR_VELOCITY_COLUMNS
from bodyplan.robots.robot import Robot
from bodyplan.robots.symmetry import AXIAL, POLAR, MirrorMap, mirror_feet, mirror_joints


class MirrorMaps(NamedTuple):
    """What a mirror does to the inputs and outputs of actor and critic."""

    observations: MirrorMap
    critic_observations: MirrorMap
    actions: MirrorMap


def critic_input(
    observation: Observation, assistance: Float[np.ndarray, "N"] | None = None
) -> Float[np.ndarray, "N P"]:
    """The critic's inputs: the policy's, then what is hidden from the policy.

    Args:
        observation: of N robots. Hidden are the trunk's linear velocity and its height.
        assistance: scale of each robot's assistance, for robots that are trained with it.
    """
    hidden = [
        observation.general[:, LINEAR_VELOCITY_COLUMNS],
        observation.general[:, HEIGHT_COLUMN:],
    ]
    if assistance is not None:
        hidden.append(assistance[:, None].astype(np.float32))
    return np.concatenate([policy_input(observation), *hidden], axis=1)


def mirror_maps(robot: Robot) -> MirrorMaps:
    """The mirror maps of a robot's policy input, critic input and actions.

    Raises:
        BodyplanError: the robot is not symmetric.
    """
    joints, feet = mirror_joints(robot), mirror_feet(robot)
    command = (1.0, -1.0, -1.0)
    observations = joints.per_entry((1.0, 1.0, 1.0)) + feet.per_entry((1.0, 1.0))
    observations += MirrorMap.in_place((*AXIAL, *command, *POLAR))
    hidden = (*POLAR, 1.0, 1.0) if robot.expert.assisted else (*POLAR, 1.0)
    return MirrorMaps(observations, observations + MirrorMap.in_place(hidden), joints)
