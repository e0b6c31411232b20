"""Gains of the PD law: a guess from the mass, and a trial of whether the robot stands with them."""

from dataclasses import replace

import numpy as np

from bodyplan.robots.nominal_pose import MAX_STANDING_SPEED, simulate_standing
from bodyplan.robots.robot import Robot

TRIAL_FACTORS = (1.0, 1.5, 0.67, 2.2, 0.45, 3.3, 0.3, 0.1)
"""Factors on the first guess of kp, in the order in which they are tried."""
MIN_TRIAL_HEIGHT = 0.55
"""Share of the drop height at which the robot must stand."""


def usual_kp(mass: float) -> float:
    """The packaged robots' proportional gain for a robot's mass (kg), N m / rad."""
    # A fit to those above 10 kg: kp = 2.7 m^0.83, within 40 % for each but ANYmal B, between those
    # of the lightest and the heaviest; below 10 kg they have 20 to 30 whatever they weigh.
    return float(np.clip(2.7 * mass**0.83, 20.0, 80.0))


def gains_for_kp(kp: float) -> dict[str, float]:
    """kp (N m / rad) and the kd that the packaged robots have beside it, to two digits."""
    kp = float(f"{kp:.2g}")
    return {"kp": kp, "kd": float(f"{kp / 40.0:.2g}")}


def standing_gains(robot: Robot) -> dict[str, float] | None:
    """The first gains near the robot's own with which it stands; None where it stands with none."""
    for factor in TRIAL_FACTORS:
        gains = gains_for_kp(factor * robot.kp)
        trial = simulate_standing(replace(robot, kp=gains["kp"], kd=gains["kd"]))
        stands = trial.fall_time is None and trial.height > MIN_TRIAL_HEIGHT * robot.drop_height
        if stands and trial.joint_speed < MAX_STANDING_SPEED:
            return gains
    return None
