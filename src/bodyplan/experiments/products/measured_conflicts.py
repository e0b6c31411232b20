"""What runs measured of conflicts between robots' gradients during their training."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from bodyplan.experiments.products.product import PlannedRun
from bodyplan.grouping.embodiment_distances import embodiment_distances
from bodyplan.learn.conflicts import Conflicts
from bodyplan.learn.run import Run
from bodyplan.machine import cache_folder


def conflicts_of(runs: Sequence[PlannedRun]) -> list[Conflicts]:
    """Of each run.

    Raises:
        BodyplanError: a run measured nothing, or its file is damaged.
    """
    return [Conflicts.read(Run(own.run.path)) for own in runs]


def distances_of(robots: Sequence[str]) -> Float[np.ndarray, "R R"]:
    """Between the bodies of packaged robots."""
    return embodiment_distances(robots, cache=cache_folder("distances"))
