"""Recipes of datasets: which part of an expert's PPO run the steps come from.

Snapshot i stands for the training steps between snapshot i - 1 and itself. A recipe selects parts
of the run. It takes steps from the intervals there in proportion to their lengths, so that a
dataset resembles a subsample of the run's own replay buffer.

    expert          the last snapshot alone
    expert_replay   the run from its start until its return first reaches 90 % of the final one
    suboptimal<k>   k % from the early phase, before the return first reaches 50 % of the final
                    one, and the rest from the late phase, after it first reached 90 %

Expert replay and the 70:30 split of `suboptimal70` are those of the paper (arXiv 2602.18025,
appendix on data). It does not say where its early and late phases end; these bounds are ours.
"""

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from bodyplan.datasets.policy_snapshots import Snapshots
from bodyplan.errors import BodyplanError

EARLY_END = 0.5
"""Share of the final return at which the early phase ends, when it is reached first."""
LATE_START = 0.9
"""Share of the final return at which expert replay ends and the late phase starts."""

Phase = Literal["early", "late", "expert", "replay"]
_SUBOPTIMAL = re.compile(r"suboptimal([1-9][0-9]?)")


@dataclass(frozen=True)
class RecipeSegment:
    """Consecutive control steps in which one snapshot acts."""

    snapshot: int
    steps: int
    phase: Phase


@dataclass(frozen=True)
class Recipe:
    """A named selection from an expert's run."""

    name: str
    early_percent: int | None = None
    """k of `suboptimal<k>`; None for the other recipes."""

    @classmethod
    def parse(cls, name: str) -> "Recipe":
        """Reads `expert`, `expert_replay` or `suboptimal<k>` with k from 1 to 99.

        Raises:
            BodyplanError: the name is none of these.
        """
        if name in ("expert", "expert_replay"):
            return cls(name)
        if match := _SUBOPTIMAL.fullmatch(name):
            return cls(name, int(match[1]))
        raise BodyplanError(
            f"there is no recipe '{name}'; choose expert, expert_replay or suboptimal<k> with k "
            "from 1 to 99, such as suboptimal70."
        )


def recipe_segments(recipe: Recipe, snapshots: Snapshots, steps: int) -> list[RecipeSegment]:
    """The segments of a dataset of `steps` control steps, in order of training.

    Each interval gets its proportional share to within one step, and the steps add up exactly.

    Raises:
        BodyplanError: the run has no snapshots in a phase that the recipe needs.
    """
    if recipe.name == "expert":
        return [RecipeSegment(len(snapshots) - 1, steps, "expert")]
    end = snapshots.steps[-1]
    late_start = first_crossing(snapshots, LATE_START)
    if recipe.early_percent is None:
        return _share_steps(snapshots, 0.0, late_start, steps, "replay")
    early_steps = round(steps * recipe.early_percent / 100)
    early_end = first_crossing(snapshots, EARLY_END)
    return [
        *_share_steps(snapshots, 0.0, early_end, early_steps, "early"),
        *_share_steps(snapshots, late_start, end, steps - early_steps, "late"),
    ]


def first_crossing(snapshots: Snapshots, share: float) -> float:
    """The training step at which the return first reaches `share` of the final return.

    Returns are interpolated linearly between snapshots. Before the first snapshot they rise from
    zero, the least possible return.
    """
    steps = np.array([0, *snapshots.steps], float)
    returns = np.array([0.0, *snapshots.return_mean])
    threshold = share * returns[-1]
    after = 1 + int(np.argmax(returns[1:] >= threshold))
    low, high = returns[after - 1], returns[after]
    part = (threshold - low) / (high - low) if high > low else 0.0
    return float(steps[after - 1] + part * (steps[after] - steps[after - 1]))


def _share_steps(
    snapshots: Snapshots, start: float, end: float, steps: int, phase: Phase
) -> list[RecipeSegment]:
    """Shares `steps` among the intervals within (start, end], in proportion to their overlap."""
    lengths = _overlaps(snapshots, start, end)
    if steps and lengths.sum() <= 0.0:
        raise BodyplanError(
            f"the run of {snapshots.robot} has no {phase} phase between its snapshots; train the "
            "expert again with snapshots from the start of training on, or choose another recipe."
        )
    if not steps:
        return []
    shared = np.rint(np.cumsum(lengths) / lengths.sum() * steps).astype(int)
    counts = np.diff(shared, prepend=0)
    return [RecipeSegment(i, int(n), phase) for i, n in enumerate(counts) if n]


def _overlaps(snapshots: Snapshots, start: float, end: float) -> Float[np.ndarray, "S"]:
    """Training steps of each snapshot's interval that are between `start` and `end`."""
    interval_ends = np.array(snapshots.steps, float)
    interval_starts = np.concatenate([[0.0], interval_ends[:-1]])
    return np.maximum(np.minimum(interval_ends, end) - np.maximum(interval_starts, start), 0.0)
