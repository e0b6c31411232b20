"""Interquartile means and probabilities of improvement, with stratified bootstrap intervals.

As rliable has them (Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the
Statistical Precipice", section 4). Robots are the tasks and seeds the runs. A sample draws as many
seeds as there are, with replacement, for each robot on its own. Intervals are from the 2.5th to the
97.5th percentile of the samples.
"""

import numpy as np
from jaxtyping import Float

BOOTSTRAP_SAMPLES = 2000
"""Bootstrap samples of an interval."""


def resample(
    scores: Float[np.ndarray, "S R"], samples: int, rng: np.random.Generator
) -> Float[np.ndarray, "samples S R"]:
    """Draw seeds with replacement, for each robot on its own.

    Args:
        scores: of S seeds and R robots.
        samples: how many to draw.
        rng: the source of chance.
    """
    seeds, robots = scores.shape
    drawn = rng.integers(seeds, size=(samples, seeds, robots))
    return scores[drawn, np.arange(robots)]


def interquartile_mean(scores: Float[np.ndarray, "*samples S R"]) -> Float[np.ndarray, "*samples"]:
    """The mean of the middle half of all seeds' and robots' scores.

    A quarter of the scores, rounded down, is left out at either end.
    """
    pooled = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)
    count = pooled.shape[-1]
    return np.asarray(pooled[..., count // 4 : count - count // 4].mean(axis=-1))


def interquartile_means_of_robots(
    scores: Float[np.ndarray, "*samples S R"],
) -> Float[np.ndarray, "*samples R"]:
    """The interquartile mean of each robot's own scores."""
    return interquartile_mean(np.swapaxes(scores, -1, -2)[..., None])


def probability_of_improvement(
    first: Float[np.ndarray, "*samples S R"], second: Float[np.ndarray, "*samples T R"]
) -> Float[np.ndarray, "*samples R"]:
    """For each robot, how probable it is that a seed of the first scores more than of the second.

    Equal scores count half. This is the Mann-Whitney U statistic, divided by the number of pairs.
    The probability over robots is the mean of the robots'.
    """
    own, other = first[..., :, None, :], second[..., None, :, :]
    return (own > other).mean(axis=(-3, -2)) + 0.5 * (own == other).mean(axis=(-3, -2))


def percentile_interval(
    values: Float[np.ndarray, "samples *columns"],
) -> Float[np.ndarray, "2 *columns"]:
    """The bounds between which 95 % of bootstrap samples are."""
    return np.percentile(values, [2.5, 97.5], axis=0)
