"""The paper's observation vectors taken apart: the way back from the layout `paper`."""

import numpy as np
from jaxtyping import Float

from bodyplan.envs.walking import Observation
from bodyplan.robots.descriptors import RobotDescriptor

JOINT, FOOT, GENERAL, CONTEXT = 23, 10, 13, 7
"""Sizes: a joint's description, a foot's, what is sensed of the whole, and its description."""
_JOINT_STATE, _FOOT_STATE = 3, 2


def paper_size(joints: int, feet: int) -> int:
    """Numbers in the `paper` layout, before its padding."""
    return (JOINT + _JOINT_STATE) * joints + (FOOT + _FOOT_STATE) * feet + GENERAL + CONTEXT


def split_paper(
    vectors: Float[np.ndarray, "N D"], joints: int, feet: int
) -> tuple[RobotDescriptor, Observation]:
    """The descriptors and observations of N vectors in the `paper` layout without padding."""
    first = (JOINT + _JOINT_STATE) * joints
    second = first + (FOOT + _FOOT_STATE) * feet
    legs = vectors[:, :first].reshape(-1, joints, JOINT + _JOINT_STATE)
    soles = vectors[:, first:second].reshape(-1, feet, FOOT + _FOOT_STATE)
    whole = vectors[:, second:]
    described = RobotDescriptor(legs[..., :JOINT], soles[..., :FOOT], whole[:, GENERAL:])
    return described, Observation(legs[..., JOINT:], soles[..., FOOT:], whole[:, :GENERAL])
