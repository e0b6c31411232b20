"""A robot's fingerprint: a hash of all that decides how it moves and what its task rewards.

Names, descriptions and settings of experts have no part in it. The bytes of a compiled model differ
from one version of MuJoCo to the next, so fingerprints compare robots on one machine only.
"""

import hashlib
from dataclasses import fields
from functools import cache

import mujoco
import numpy as np

from bodyplan.robots.registry import packaged_robots
from bodyplan.robots.robot import Robot

_WITHOUT_EFFECT = frozenset(
    {"name", "description", "kind", "legs", "provenance", "children_override", "randomisation"}
    | {"expert"}
)


def fingerprint(robot: Robot) -> str:
    """SHA-256 of a robot's model, controller, reward, termination and initial states."""
    model = np.empty(mujoco.mj_sizeModel(robot.model), np.uint8)
    mujoco.mj_saveModel(robot.model, None, model)
    digest = hashlib.sha256(model.tobytes())
    for one in fields(robot):
        value = getattr(robot, one.name)
        if one.name in _WITHOUT_EFFECT or one.name == "model":
            continue
        plain = value.tolist() if isinstance(value, np.ndarray) else value
        digest.update(f"{one.name} {plain!r}\n".encode())
    return digest.hexdigest()


def is_packaged(robot: Robot) -> bool:
    """Whether it is the packaged robot of its name, unchanged; your own may have that name too."""
    return robot.name in packaged_robots() and fingerprint(robot) == _packaged(robot.name)


@cache
def _packaged(name: str) -> str:
    return fingerprint(Robot.load(name))
