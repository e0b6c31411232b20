"""Discounted returns of recorded steps: what the data went on to earn after each of them.

They are what a value function of the data's own behaviour should say (Monte Carlo). A recording
ends episodes that would have gone on. So a step counts only if so much time was left before the
next such end that what is missing is a small share. Whether the robot fell in that time does not
decide. To keep all steps before falls, and of the others a few, would be unfair.
"""

import math

import numpy as np
from jaxtyping import Bool, Float

from bodyplan.datasets.episodes import Episodes

MISSING_SHARE = 0.05
"""Of a step's return, what may lie beyond the end of the recording at most."""


def discounted_returns(episodes: Episodes, gamma: float) -> Float[np.ndarray, "N"]:
    """The discounted sum of rewards from each step to the end of its episode."""
    ends, lengths = episodes.episode_ends, episodes.lengths
    rewards = np.asarray(episodes.rewards, np.float64)
    returns, after = np.zeros(len(rewards)), np.zeros(len(ends))
    for back in range(1, int(lengths.max()) + 1):  # from the last steps on, of all episodes at once
        longer = lengths >= back
        steps = ends[longer] - back
        after[longer] = rewards[steps] + gamma * after[longer]
        returns[steps] = after[longer]
    return returns


def known_returns(episodes: Episodes, gamma: float) -> Bool[np.ndarray, "N"]:
    """Whether nearly all of a step's return is recorded, whatever became of the robot."""
    ends = episodes.episode_ends
    cut = np.append(ends[episodes.truncated[ends - 1]], ends[-1])
    steps = np.arange(len(episodes.rewards))
    left = cut[np.searchsorted(cut, steps, side="right")] - steps
    return left >= steps_to_know(gamma)


def steps_to_know(gamma: float) -> float:
    """Steps after which all but `MISSING_SHARE` of an even reward's discounted return is earned."""
    if not 0.0 < gamma < 1.0:
        return 1.0 if gamma <= 0.0 else math.inf
    return math.log(MISSING_SHARE) / math.log(gamma)
