"""Whole episodes of recorded data: their number, falls and mean return.

A recording also ends episodes: where its segment ends, or its time. Such fragments earn less than
an episode would, so that they do not compare with an evaluation. The falls between two such ends
do not either: an episode that began with 300 steps left can be seen whole only if it falls. An
episode therefore counts if it had a full horizon left when it began. It then fell, or went all the
way. Each phase of the expert's run counts by its share of the steps, so that the mean is what an
evaluation of the policies that acted would find. A phase without a whole episode leaves no mean.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.format import WholeEpisodes
from bodyplan.envs.walking_task import HORIZON

WHOLE = "whole_episodes"
"""The key of a robot's entry in the card."""
BEST_PHASES = ("late", "expert")
"""Phases of an expert's run in which the best policies of the data acted."""


def whole_episodes(episodes: Episodes, segments: Sequence[Mapping[str, Any]] = ()) -> WholeEpisodes:
    """Count the whole episodes of a robot and average their returns.

    Args:
        episodes: of one robot.
        segments: of the robot's card entry, each with its `phase` and number of `steps`.
    """
    whole, returns = is_whole(episodes), episodes.returns
    fell = episodes.terminated[episodes.episode_ends - 1]
    shares, phases = _phases(episodes, segments)
    of_phase = {phase: whole & (phases == phase) for phase in shares}
    best = np.any([of_phase[phase] for phase in BEST_PHASES if phase in shares], axis=0)
    mean = None
    if all(chosen.any() for chosen in of_phase.values()):
        mean = sum(shares[phase] * returns[chosen].mean() for phase, chosen in of_phase.items())
    return WholeEpisodes(
        episodes=int(whole.sum()),
        falls=int((whole & fell).sum()),
        return_mean=None if mean is None else float(mean),
        best_episodes=int(best.sum()),
        best_return_mean=float(returns[best].mean()) if best.any() else None,
    )


def is_whole(episodes: Episodes) -> Bool[np.ndarray, "E"]:
    """Whether each episode had a full horizon left when its recording began.

    A log whose longest episodes were all cut at one length has a shorter horizon. Nothing in it is
    whole, for it would be the falls alone.
    """
    ends, lengths = episodes.episode_ends, episodes.lengths
    cut = episodes.truncated[ends - 1]
    longest = lengths == lengths.max()
    if lengths.max() < HORIZON and longest.sum() > 1 and cut[longest].all():
        return np.zeros(len(ends), bool)
    cuts = np.append(
        ends[cut], ends[-1]
    )  # where a recording's piece ended, if not by chance a fall
    starts = ends - lengths
    return cuts[np.searchsorted(cuts, starts, side="right")] - starts >= HORIZON


def _phases(
    episodes: Episodes, segments: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, float], np.ndarray]:
    """Each phase's share of the steps, and the phase in which each episode began."""
    segments = segments or [{"phase": "unknown", "steps": episodes.num_steps}]
    names = np.array([segment["phase"] for segment in segments])
    steps = np.array([segment["steps"] for segment in segments])
    starts = episodes.episode_ends - episodes.lengths
    shares = {str(name): float(steps[names == name].sum() / steps.sum()) for name in names}
    index = np.searchsorted(np.cumsum(steps), starts, side="right")
    return shares, names[np.minimum(index, len(names) - 1)]
