"""What actor and critic of an expert see, and what a mirror does to it."""

import numpy as np
from jaxtyping import Float

from bodyplan.datasets.policy_snapshots import policy_input
from bodyplan.envs.walking_task import Observation
from bodyplan.experts.ppo_networks import MirrorMaps
from bodyplan.robots.feature_sizes import HEIGHT_COLUMN, LINEAR_VELOCITY_COLUMNS
from bodyplan.robots.robot import Robot
from bodyplan.robots.symmetry import AXIAL, POLAR, MirrorMap, mirror_feet, mirror_joints


def critic_input(
    observation: Observation, help: Float[np.ndarray, "N"] | None = None
) -> Float[np.ndarray, "N P"]:
    """What the critic sees, flat: everything, and how much its robot is helped where it may be."""
    hidden = [
        observation.general[:, LINEAR_VELOCITY_COLUMNS],
        observation.general[:, HEIGHT_COLUMN:],
    ]
    if help is not None:
        hidden.append(help[:, None].astype(np.float32))
    return np.concatenate([policy_input(observation), *hidden], axis=1)


def mirror_maps(robot: Robot) -> MirrorMaps:
    """What a mirror does to the senses of a robot's actor, of its critic (which sees the
    help, where there is any), to its actions.

    Raises:
        BodyplanError: the robot is not symmetric.
    """
    joints, feet = mirror_joints(robot), mirror_feet(robot)
    command = (1.0, -1.0, -1.0)
    senses = joints.repeated((1.0, 1.0, 1.0)) + feet.repeated((1.0, 1.0))
    senses += MirrorMap.kept((*AXIAL, *command, *POLAR))
    hidden = (*POLAR, 1.0, 1.0) if robot.expert.assisted else (*POLAR, 1.0)
    return MirrorMaps(senses, senses + MirrorMap.kept(hidden), joints)
