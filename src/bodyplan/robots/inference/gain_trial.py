"""Gains on trial: an inferred robot of three legs or more should stand by itself."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bodyplan.robots.inference.gains import gains
from bodyplan.robots.inference.infer_config import Inferred
from bodyplan.robots.nominal_pose import MAX_STANDING_SPEED, StandingTrial, simulate_standing
from bodyplan.robots.robot import Robot

FACTORS = (1.0, 1.5, 0.67, 2.2, 0.45, 3.3, 0.3, 0.1)
"""On the first guess of kp, in the order in which they are tried."""
SAG = 0.55
"""Share of the drop height at which it must stand."""


def tune_gains(inferred: Inferred, build: Callable[[dict[str, Any]], Robot]) -> Inferred:
    """The same config, with kp and kd changed where the robot does not stand with the first guess.

    Args:
        inferred: a guess.
        build: makes a robot of a config.
    """
    config = inferred.config
    if config["legs"] <= 2:
        return inferred  # bipeds balance or fall
    robot, guess = build(config), config["control"]["kp"]
    for factor in FACTORS:
        control = config["control"] | gains(factor * guess)
        tried = replace(robot, kp=control["kp"], kd=control["kd"])
        if _stands(simulate_standing(tried), robot.drop_height):
            return inferred if factor == 1.0 else _noted(inferred, config | {"control": control})
    return inferred


def _stands(end: StandingTrial, height: float) -> bool:
    return end.fallen is None and end.height > SAG * height and end.shaking < MAX_STANDING_SPEED


def _noted(inferred: Inferred, config: dict[str, Any]) -> Inferred:
    ranges = dict(config["randomisation"])
    for key in ("kp", "kd"):
        ratio = config["control"][key] / inferred.config["control"][key]
        ranges[key] = float(f"{ratio * ranges[key]:.2g}")
    note = {"[control]": "guess: gains with which it stands, kd = kp / 40"}
    config = config | {"randomisation": ranges}
    return inferred._replace(config=config, notes=inferred.notes | note)
