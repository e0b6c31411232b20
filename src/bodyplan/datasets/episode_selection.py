"""Selects the episodes of a recipe from a replay log, up to an exact number of steps.

The paper (arXiv 2602.18025, appendix on data) logs one robot of its run and keeps what lies in the
phases of a recipe. It then drops whole episodes at equal spacing in cumulative steps until the
wanted size is left. A phase ends where the moving average of episode returns first reaches a share
of its final value. The paper does not publish its window; ours is `AVERAGE_WINDOW`.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from bodyplan.datasets.descriptor_sets import merge_sets
from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.recipes import EARLY_END, LATE_START, Phase, Recipe
from bodyplan.datasets.replay_log import ReplayLog
from bodyplan.errors import BodyplanError

AVERAGE_WINDOW = 100
"""Number of episodes in the moving average of returns."""


class EpisodeSelection(NamedTuple):
    """The episodes that were selected in one phase."""

    phase: Phase
    chosen: Int[np.ndarray, "M"]
    """Their numbers in the log, in order of training."""
    lengths: Int[np.ndarray, "M"]
    """Steps kept of each episode. All are whole but one, which is cut to make the sum exact."""


def select_episodes(recipe: Recipe, log: ReplayLog, steps: int) -> list[EpisodeSelection]:
    """Selects the episodes of a dataset of `steps` steps, phase by phase.

    Raises:
        BodyplanError: the recipe is `expert`, which no log has, or a phase has too few steps.
    """
    if recipe.name == "expert":
        raise BodyplanError(
            "a log has no `expert` data, because its policy changes until the end; build them from "
            "snapshots, without --replay."
        )
    order = np.argsort(log.ends, kind="stable")
    averages = moving_average(log.episodes.returns[order])
    late = order[first_reaching(averages, LATE_START) :]
    if recipe.early_percent is None:
        return [_subsample("replay", order[: len(order) - len(late)], log, steps)]
    early = order[: first_reaching(averages, EARLY_END)]
    early_steps = round(steps * recipe.early_percent / 100)
    return [
        _subsample("early", early, log, early_steps),
        _subsample("late", late, log, steps - early_steps),
    ]


def moving_average(returns: Float[np.ndarray, "E"]) -> Float[np.ndarray, "E"]:
    """For each episode, the mean return of the last `AVERAGE_WINDOW` episodes up to it."""
    sums = np.cumsum(np.concatenate([[0.0], returns]))
    last = np.arange(1, len(sums))
    first = np.maximum(0, last - AVERAGE_WINDOW)
    return (sums[last] - sums[first]) / (last - first)


def first_reaching(averages: Float[np.ndarray, "E"], share: float) -> int:
    """The first episode with a complete window whose average reaches `share` of the final one."""
    complete = min(AVERAGE_WINDOW, len(averages)) - 1
    return complete + int(np.argmax(averages[complete:] >= share * averages[-1]))


def take_episodes(episodes: Episodes, selections: list[EpisodeSelection]) -> Episodes:
    """Copies the selected episodes, one selection after the other."""
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


def _subsample(
    phase: Phase, episodes: Int[np.ndarray, "_"], log: ReplayLog, steps: int
) -> EpisodeSelection:
    """Drops whole episodes at equal spacing in cumulative steps."""
    lengths = log.episodes.lengths[episodes]
    total = int(lengths.sum())
    if total < steps:
        raise BodyplanError(
            f"the log's {phase} phase has {total:,} steps, but {steps:,} are needed; log more "
            "environments (--log-replay), or build fewer steps."
        )
    if not steps:
        return EpisodeSelection(phase, episodes[:0], lengths[:0])
    kept = np.zeros_like(lengths)
    kept_steps = 0
    for index, target in enumerate(np.cumsum(lengths) * (steps / total)):
        if (
            kept_steps + lengths[index] / 2 <= target
        ):  # with the episode, the sum is nearer its target
            kept[index] = min(lengths[index], steps - kept_steps)
            kept_steps += int(kept[index])
    for index in np.flatnonzero(kept == 0)[::-1]:
        kept[index] = min(lengths[index], steps - kept_steps)
        kept_steps += int(kept[index])
    chosen = np.flatnonzero(kept)
    return EpisodeSelection(phase, episodes[chosen], kept[chosen])
