"""Endless series of robots: a seed and a number name one, whoever else is asked for.

Every even number is a variation of a packaged robot, each in turn; every odd number is a new body
plan.
"""

import numpy as np

from bodyplan.errors import BodyplanError
from bodyplan.robots import registry
from bodyplan.robots.procedural.body_plans import BodyPlan
from bodyplan.robots.procedural.build_robot import KIND_NAMES, build_design
from bodyplan.robots.procedural.robot_design import RobotDesign
from bodyplan.robots.procedural.variations import Variation, vary
from bodyplan.robots.robot import Robot


def design_robot(index: int, seed: int = 0) -> RobotDesign:
    """The `index`-th robot of a seed, before it is built.

    Raises:
        BodyplanError: a negative number.
    """
    if index < 0 or seed < 0:
        raise BodyplanError(f"robot {index} of seed {seed}: numbers and seeds begin at 0")
    rng = np.random.default_rng([seed, index])
    if index % 2:
        plan = BodyPlan.draw(rng)
        return build_design(plan, f"plan_{KIND_NAMES[plan.legs]}_{seed}_{index}")
    names = registry.packaged_robots()
    origin = names[index // 2 % len(names)]
    return vary(origin, Variation.draw(rng), f"{origin}_{seed}_{index}")


def generate_robots(count: int, seed: int = 0) -> list[Robot]:
    """The first robots of a seed; those of a larger `count` begin with the same ones.

    Raises:
        BodyplanError: a negative number.
    """
    if count < 0:
        raise BodyplanError(f"count = {count} is negative; give 0 or more")
    return [design_robot(index, seed).robot() for index in range(count)]
