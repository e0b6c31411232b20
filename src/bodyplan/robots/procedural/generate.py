"""Generate robots: a seed and an index name a robot, however many others are generated.

Every even index is a variation of a packaged robot, each in turn. Every odd index is a new body
plan.
"""

import numpy as np

from bodyplan.errors import BodyplanError
from bodyplan.robots import registry
from bodyplan.robots.procedural.body_plans import BodyPlan
from bodyplan.robots.procedural.build_robot import build_design
from bodyplan.robots.procedural.robot_design import RobotDesign
from bodyplan.robots.procedural.variations import Variation, vary_robot
from bodyplan.robots.robot import Robot
from bodyplan.robots.task_config import KIND_BY_LEGS


def design_robot(index: int, seed: int = 0) -> RobotDesign:
    """The `index`-th robot of a seed, before it is built.

    Raises:
        BodyplanError: the index or the seed is negative.
    """
    if index < 0 or seed < 0:
        raise BodyplanError(f"robot {index} of seed {seed}: give an index and a seed of 0 or more")
    rng = np.random.default_rng([seed, index])
    if index % 2:
        plan = BodyPlan.draw(rng)
        return build_design(plan, f"plan_{KIND_BY_LEGS[plan.legs]}_{seed}_{index}")
    names = registry.packaged_robots()
    origin = names[index // 2 % len(names)]
    return vary_robot(origin, Variation.draw(rng), f"{origin}_{seed}_{index}")


def generate_robots(count: int, seed: int = 0) -> list[Robot]:
    """The first robots of a seed; a larger `count` starts with the same ones.

    Raises:
        BodyplanError: `count` is negative.
    """
    if count < 0:
        raise BodyplanError(f"count = {count} is negative; give 0 or more")
    return [design_robot(index, seed).robot() for index in range(count)]
