"""Gains of the PD law for a robot of a mass, as the packaged robots have them."""

import numpy as np


def usual_kp(mass: float) -> float:
    """The packaged robots' proportional gain for a robot's mass (kg), N m / rad."""
    # A fit to those above 10 kg: kp = 2.7 m^0.83, within 40 % for each but ANYmal B, between those
    # of the lightest and the heaviest; below 10 kg they have 20 to 30 whatever they weigh.
    return float(np.clip(2.7 * mass**0.83, 20.0, 80.0))


def gains(kp: float) -> dict[str, float]:
    """kp (N m / rad), and the kd that goes with it in the packaged robots from 20 to 80."""
    kp = float(f"{kp:.2g}")
    return {"kp": kp, "kd": float(f"{kp / 40.0:.2g}")}
