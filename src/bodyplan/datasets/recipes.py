"""Recipes: how much of a training run goes into a dataset, and from which part of it.

Snapshot i stands for the training steps after snapshot i - 1 up to its own: the interval that it
closes. A recipe names parts of the run and draws its steps from the intervals there in proportion
to their length, so that a dataset is a thinned copy of the run's own replay.

    expert          the last snapshot alone
    expert_replay   the run from its start until its return first reaches 90 % of the final one
    suboptimal<k>   k % from the early phase, before the return first reaches 50 % of the final
                    one, and the rest from the late phase, after it first reached 90 %

Expert replay and the 70:30 split of `suboptimal70` are the paper's (arXiv 2602.18025, appendix on
data). Where its early and late phases end is not recoverable; the shares here are ours.

To be simulated side by side, consecutive steps of a run are laid out in slots.
"""

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from bodyplan.datasets.policy_snapshots import Snapshots
from bodyplan.envs.walking_task import HORIZON
from bodyplan.errors import BodyplanError

EARLY = 0.5
"""Share of the final return whose first crossing ends the early phase."""
LATE = 0.9
"""Share of the final return whose first crossing ends expert replay and starts the late phase."""
MAX_SLOTS = 256
"""Robots simulated side by side."""
SLOT_STEPS = HORIZON
"""Steps that one of them lives: an episode's length, so that who does not fall finishes one."""

Phase = Literal["early", "late", "expert", "replay"]
_SUBOPTIMAL = re.compile(r"suboptimal([1-9][0-9]?)")


@dataclass(frozen=True)
class Segment:
    """Consecutive control steps of one snapshot."""

    snapshot: int
    steps: int
    phase: Phase


@dataclass(frozen=True)
class Recipe:
    """A named selection of a training run."""

    name: str
    early_percent: int | None = None
    """k of `suboptimal<k>`; none for the other recipes."""

    @classmethod
    def parse(cls, name: str) -> "Recipe":
        """Reads `expert`, `expert_replay` or `suboptimal<k>` with k from 1 to 99.

        Raises:
            BodyplanError: anything else.
        """
        if name in ("expert", "expert_replay"):
            return cls(name)
        if match := _SUBOPTIMAL.fullmatch(name):
            return cls(name, int(match[1]))
        raise BodyplanError(
            f"there is no recipe '{name}'; choose expert, expert_replay or suboptimal<k> with k "
            "from 1 to 99, such as suboptimal70."
        )


@dataclass(frozen=True, eq=False)
class Slots:
    """N consecutive steps of a run, laid out for S robots side by side.

    Each slot lives a stretch of consecutive steps; the rows of a dataset are slot after slot.
    """

    lengths: Int[np.ndarray, "S"]
    """Equal but for one step; longer ones come first."""
    offsets: Int[np.ndarray, "S"]
    """First row of each slot."""
    snapshot: Int[np.ndarray, "N"]
    """Who acts."""
    cut: Bool[np.ndarray, "N"]
    """Whether an episode must end after this row, with its segment or its slot."""


def schedule_rollouts(run: list[Segment], start: int, stop: int) -> Slots:
    """Lays out the steps from `start` to `stop` of a run of segments."""
    steps = stop - start
    count = min(MAX_SLOTS, -(-steps // SLOT_STEPS))
    lengths = steps // count + (np.arange(count) < steps % count)
    ends = np.cumsum([segment.steps for segment in run])
    index = np.searchsorted(ends, np.arange(start, stop), side="right")
    cut = np.diff(index, append=index[-1]) != 0
    cut[np.cumsum(lengths) - 1] = True
    acting = np.array([segment.snapshot for segment in run])[index]
    return Slots(lengths, np.cumsum(lengths) - lengths, acting, cut)


def segments(recipe: Recipe, snapshots: Snapshots, steps: int) -> list[Segment]:
    """The segments of a dataset of `steps` control steps, in order of training.

    Each interval gets its proportional share to within one step, and the steps add up exactly.

    Raises:
        BodyplanError: the run has nothing in a phase that the recipe needs.
    """
    if recipe.name == "expert":
        return [Segment(len(snapshots) - 1, steps, "expert")]
    end = snapshots.steps[-1]
    late_start = first_crossing(snapshots, LATE)
    if recipe.early_percent is None:
        return _spread(snapshots, 0.0, late_start, steps, "replay")
    early_steps = round(steps * recipe.early_percent / 100)
    early_end = first_crossing(snapshots, EARLY)
    return [
        *_spread(snapshots, 0.0, early_end, early_steps, "early"),
        *_spread(snapshots, late_start, end, steps - early_steps, "late"),
    ]


def first_crossing(snapshots: Snapshots, share: float) -> float:
    """The training step at which the return first reaches `share` of the final one.

    Between snapshots returns are interpolated linearly. Before the first one they rise from zero,
    which no return is below.
    """
    steps = np.array([0, *snapshots.steps], float)
    returns = np.array([0.0, *snapshots.return_mean])
    threshold = share * returns[-1]
    after = 1 + int(np.argmax(returns[1:] >= threshold))
    low, high = returns[after - 1], returns[after]
    part = (threshold - low) / (high - low) if high > low else 0.0
    return float(steps[after - 1] + part * (steps[after] - steps[after - 1]))


def _spread(
    snapshots: Snapshots, start: float, end: float, steps: int, phase: Phase
) -> list[Segment]:
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
    return [Segment(i, int(n), phase) for i, n in enumerate(counts) if n]


def _overlaps(snapshots: Snapshots, start: float, end: float) -> Float[np.ndarray, "S"]:
    closes = np.array(snapshots.steps, float)
    opens = np.concatenate([[0.0], closes[:-1]])
    return np.maximum(np.minimum(closes, end) - np.maximum(opens, start), 0.0)
