"""Unit checks: sizes in millimetres, angles in the wrong unit, masses and inertias out of range."""

from collections.abc import Iterator, Sequence

import mujoco
import numpy as np

from bodyplan.robots.kinematic_tree import geom_bounds, robot_geoms
from bodyplan.robots.validation.part_words import body_name
from bodyplan.robots.validation.problem import Finding, name_list

MIN_MASS, MAX_MASS = 0.02, 500.0
"""kg: outside of this range the units are probably wrong."""
MIN_SIZE, MAX_SIZE = 0.03, 6.0
"""m: the longest edge of a robot's box."""
LENGTH_UNITS = {"millimetres": 1000.0, "centimetres": 100.0, "inches": 39.37}
USUAL_SIZE = (0.1, 3.0)
"""m."""
MAX_RADIAN_RANGE = 4.0 * np.pi
"""rad: no joint turns further."""
TINY_RANGE = np.radians(2.0 * np.pi)
"""rad: what a full turn in radians is, read as degrees."""


def check_units(model: mujoco.MjModel, joints: Sequence[int]) -> Iterator[Finding]:
    """Figures that are out of a robot's range, with the unit that would explain them.

    Args:
        model: the compiled model.
        joints: ids of the joints that the policy drives.
    """
    mass = float(model.body_mass.sum())
    if not MIN_MASS < mass < MAX_MASS:
        yield "warning", f"the robot weighs {mass:.3g} kg", "check the units: kg, m, s"
    yield from _check_lengths(model)
    yield from _check_angles(model, joints)


def _check_lengths(model: mujoco.MjModel) -> Iterator[Finding]:
    geoms = robot_geoms(model)
    if not geoms:
        return
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    low, high = geom_bounds(model, data, geoms)
    size = float((high.max(axis=0) - low.min(axis=0)).max())
    if not MIN_SIZE < size < MAX_SIZE:
        likely = [
            (unit, factor)
            for unit, factor in LENGTH_UNITS.items()
            if USUAL_SIZE[0] <= size / factor <= USUAL_SIZE[1]
        ]
        fix = "check the units: kg, m, s"
        if likely:
            unit, factor = likely[0]
            fix = f"the sizes look like {unit}: divide all lengths, also of meshes, by {factor:g}"
        yield "warning", f"the robot is {size:.3g} m large", fix
        return
    heavy = [body for body in range(1, model.nbody) if _gyration(model, body) > max(size, MIN_SIZE)]
    if heavy:
        yield (
            "warning",
            f"inertias of {name_list(body_name(model, body) for body in heavy)} are too large for "
            "their mass: the mass would be outside of the robot",
            "check the units of <inertia>: kg m^2",
        )


def _gyration(model: mujoco.MjModel, body: int) -> float:
    """Radius of gyration, m."""
    mass = float(model.body_mass[body])
    return float(np.sqrt(model.body_inertia[body].max() / mass)) if mass > 0.0 else 0.0


def _check_angles(model: mujoco.MjModel, joints: Sequence[int]) -> Iterator[Finding]:
    limited = [joint for joint in joints if model.jnt_limited[joint]]
    if not limited:
        return
    largest = np.abs(model.jnt_range[limited]).max(axis=1)
    if np.median(largest) < TINY_RANGE and largest.max() < 3.0 * TINY_RANGE:
        widest = np.degrees(largest.max())
        yield (
            "warning",
            f"no joint can turn further than {widest:.2g} degrees",
            'the ranges look like radians: <compiler angle="radian"/> seems to be missing',
        )
    elif np.median(largest) > MAX_RADIAN_RANGE:
        yield (
            "warning",
            f"joints can turn by {largest.max():.3g} rad",
            'the ranges look like degrees: <compiler angle="degree"/> seems to be meant',
        )
