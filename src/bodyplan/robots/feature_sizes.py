"""Feature sizes: how many numbers describe a joint, a foot and a robot, and how many it observes.

These are the only places where the sizes stand as numbers. The layout is the original task's
(reference task, section 2; arXiv 2602.18025). J is the number of actuated joints, F of feet.
"""

JOINT_DESCRIPTOR_SIZE = 23
FOOT_DESCRIPTOR_SIZE = 10
CONTEXT_SIZE = 7
"""Numbers that describe the whole robot: gains and action scale (3), mass (1), box size (3)."""

AXIS_COLUMNS = slice(3, 6)
"""Of a joint descriptor: the joint's axis in the trunk frame."""
CHILDREN_COLUMN = 6
"""Of a joint descriptor: how many joints hang directly below, minus one."""
NOMINAL_COLUMN = 7
"""Of a joint descriptor: the nominal position."""
RANGE_COLUMNS = slice(14, 16)
"""Of a joint descriptor: both ends of the joint's range."""
MASS_COLUMN = 3
"""Of a context: the robot's mass."""

JOINT_OBSERVATION_SIZE = 3
"""Position, velocity and last action of each joint."""
FOOT_OBSERVATION_SIZE = 2
"""Contact and time since the last contact of each foot."""
GENERAL_OBSERVATION_SIZE = 13
"""What is observed of the whole robot; critics see all of it, the policy a part."""

LINEAR_VELOCITY_COLUMNS = slice(0, 3)
"""Of the general observation: the trunk's linear velocity."""
ANGULAR_VELOCITY_COLUMNS = slice(3, 6)
"""Of the general observation: the trunk's angular velocity."""
COMMAND_COLUMNS = slice(6, 9)
"""Of the general observation: the commanded velocities x, y and yaw."""
GRAVITY_COLUMNS = slice(9, 12)
"""Of the general observation: the direction of gravity in the trunk frame."""
HEIGHT_COLUMN = 12
"""Of the general observation: the trunk's height."""
POLICY_GENERAL = slice(3, 12)
"""The part of the general observation that a policy sees: no linear velocity, no height."""
POLICY_GENERAL_SIZE = POLICY_GENERAL.stop - POLICY_GENERAL.start

ACTION_SLOTS = 24
"""Joints of the largest robot. The paper's critic and its data release pad actions to this."""


def local_observation_size(joints: int, feet: int) -> int:
    """Numbers observed of all J joints and F feet: 3 J + 2 F."""
    return JOINT_OBSERVATION_SIZE * joints + FOOT_OBSERVATION_SIZE * feet


def flat_observation_size(joints: int, feet: int) -> int:
    """Numbers in a `flat` observation: 3 J + 2 F + 13."""
    return local_observation_size(joints, feet) + GENERAL_OBSERVATION_SIZE


def policy_observation_size(joints: int, feet: int) -> int:
    """Numbers in the observation of an expert's policy: 3 J + 2 F + 9."""
    return local_observation_size(joints, feet) + POLICY_GENERAL_SIZE


def paper_observation_size(joints: int, feet: int) -> int:
    """Numbers in a `paper` observation, which repeats the descriptors: 26 J + 12 F + 20."""
    return (
        JOINT_DESCRIPTOR_SIZE * joints
        + FOOT_DESCRIPTOR_SIZE * feet
        + CONTEXT_SIZE
        + flat_observation_size(joints, feet)
    )
