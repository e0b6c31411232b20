"""Thinning: a recipe's episodes out of the log of a PPO run, whole, and as many as are asked for.

The paper (arXiv 2602.18025, appendix on data) logs one robot of its run, keeps what lies in the
phases of a recipe, and drops whole episodes at equal spacing in cumulative steps until the wanted
size is left. Phases end where the moving average of episode returns first reaches a share of its
final value; the paper's window is not published, ours is `AVERAGE_WINDOW`.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from bodyplan.datasets.descriptor_sets import merge_sets
from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.recipes import EARLY, LATE, Phase, Recipe
from bodyplan.datasets.replay_log import ReplayLog
from bodyplan.errors import BodyplanError

AVERAGE_WINDOW = 100
"""Episodes in the moving average of returns."""


class EpisodeSelection(NamedTuple):
    """The episodes of one phase."""

    phase: Phase
    chosen: Int[np.ndarray, "M"]
    """Episodes of the log, in order of training."""
    lengths: Int[np.ndarray, "M"]
    """What is kept of each: all of it, but for one that is cut so that the steps are exact."""


def select_episodes(recipe: Recipe, log: ReplayLog, steps: int) -> list[EpisodeSelection]:
    """The episodes of a dataset of `steps` steps, phase by phase.

    Raises:
        BodyplanError: the recipe is `expert`, which a run's log does not have, or the log has too
            few steps in a phase.
    """
    if recipe.name == "expert":
        raise BodyplanError(
            "a run's log has no `expert` data, its policy changes to the end; build them from "
            "snapshots, that is without --replay."
        )
    order = np.argsort(log.ends, kind="stable")
    averages = moving_average(log.episodes.returns[order])
    late = order[first_reaching(averages, LATE) :]
    if recipe.early_percent is None:
        return [_thin("replay", order[: len(order) - len(late)], log, steps)]
    early = order[: first_reaching(averages, EARLY)]
    early_steps = round(steps * recipe.early_percent / 100)
    return [
        _thin("early", early, log, early_steps),
        _thin("late", late, log, steps - early_steps),
    ]


def moving_average(returns: Float[np.ndarray, "E"]) -> Float[np.ndarray, "E"]:
    """Mean of each episode's return and those of up to `AVERAGE_WINDOW` - 1 before it."""
    sums = np.cumsum(np.concatenate([[0.0], returns]))
    last = np.arange(1, len(sums))
    first = np.maximum(0, last - AVERAGE_WINDOW)
    return (sums[last] - sums[first]) / (last - first)


def first_reaching(averages: Float[np.ndarray, "E"], share: float) -> int:
    """The first episode after which the average, over a whole window, is at `share` of its last."""
    whole = min(AVERAGE_WINDOW, len(averages)) - 1
    return whole + int(np.argmax(averages[whole:] >= share * averages[-1]))


def take_episodes(episodes: Episodes, selections: list[EpisodeSelection]) -> Episodes:
    """The selected episodes, one selection after the other."""
    chosen, lengths = (np.concatenate(parts) for parts in list(zip(*selections, strict=True))[1:])
    starts = (episodes.episode_ends - episodes.lengths)[chosen]
    ends = np.cumsum(lengths)
    within = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
    rows = np.repeat(starts, lengths) + within
    frame_ends = ends + np.arange(1, len(ends) + 1)
    within = np.arange(frame_ends[-1]) - np.repeat(frame_ends - lengths - 1, lengths + 1)
    frames = np.repeat(starts + chosen, lengths + 1) + within
    terminated = episodes.terminated[rows]
    truncated = np.zeros_like(terminated)
    truncated[ends - 1] = ~terminated[ends - 1]
    table, ids = episodes.descriptors, episodes.descriptor_ids
    if ids is not None:
        table, ids = merge_sets([table], [ids[frames]])
    return Episodes(
        joints=episodes.joints[frames],
        feet=episodes.feet[frames],
        general=episodes.general[frames],
        actions=episodes.actions[rows],
        rewards=episodes.rewards[rows],
        terminated=terminated,
        truncated=truncated,
        episode_ends=ends,
        descriptors=table,
        descriptor_ids=ids,
    )


def _thin(
    phase: Phase, episodes: Int[np.ndarray, "_"], log: ReplayLog, steps: int
) -> EpisodeSelection:
    """Drops whole episodes at equal spacing in cumulative steps."""
    lengths = log.episodes.lengths[episodes]
    total = int(lengths.sum())
    if total < steps:
        raise BodyplanError(
            f"the log's {phase} phase has {total:,} steps where {steps:,} are wanted; log more "
            "robots (--log-replay), or ask for fewer steps."
        )
    if not steps:
        return EpisodeSelection(phase, episodes[:0], lengths[:0])
    kept = np.zeros_like(lengths)
    left = 0
    for index, target in enumerate(np.cumsum(lengths) * (steps / total)):
        if left + lengths[index] / 2 <= target:  # nearer to what should be left with it
            kept[index] = min(lengths[index], steps - left)
            left += int(kept[index])
    for index in np.flatnonzero(kept == 0)[::-1]:
        kept[index] = min(lengths[index], steps - left)
        left += int(kept[index])
    chosen = np.flatnonzero(kept)
    return EpisodeSelection(phase, episodes[chosen], kept[chosen])
