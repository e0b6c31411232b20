"""The statistics of a comparison: each arm's scores over seeds, and differences between arms.

Columns of scores are robots, and one more is their mean, because a mean over robots is what one
seed has. Robots count alike.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bodyplan.evaluation import stratified_bootstrap as bootstrap
from bodyplan.evaluation.comparison import MEAN, ArmDifference, Bounds, Difference, SeedScores
from bodyplan.evaluation.comparison_sentences import Outcome, outcome_sentence
from bodyplan.evaluation.significance import holm, mean_differences

CHANCE = 0.05
"""Of calling any robot better or worse by mistake, among those of a comparison."""


class ArmScores(NamedTuple):
    """The scores of an arm's seeds on all robots."""

    name: str
    seeds: tuple[int, ...]
    scores: Float[np.ndarray, "S R"]


def seed_scores(
    arm: ArmScores, robots: Sequence[str], samples: int, seed: int
) -> dict[str, SeedScores]:
    """Means and interquartile means of an arm, by robot and over robots.

    Args:
        arm: the scores.
        robots: names of the R robots.
        samples: bootstrap samples.
        seed: seed of the bootstrap.
    """
    count = len(arm.seeds)
    columns = with_mean(arm.scores)
    means = columns.mean(axis=0)
    errors = columns.std(axis=0, ddof=1) / np.sqrt(count) if count > 1 else None
    iqms = _iqms(arm.scores)
    bounds = None
    if count > 1:
        drawn = bootstrap.resample(arm.scores, samples, np.random.default_rng(seed))
        bounds = bootstrap.percentile_interval(_iqms(drawn))
    return {
        name: SeedScores(
            seeds=tuple(columns[:, place].tolist()),
            mean=float(means[place]),
            se=None if errors is None else float(errors[place]),
            iqm=float(iqms[place]),
            iqm_interval=_interval(bounds, place),
        )
        for place, name in enumerate((*robots, MEAN))
    }


def arm_difference(
    arm: ArmScores, baseline: ArmScores, robots: Sequence[str], score: str, samples: int, seed: int
) -> ArmDifference:
    """An arm against the baseline.

    Seeds are paired where all seeds of one arm are in the other, and the rest of the other is left
    out of the difference. Otherwise all seeds count, unpaired.

    Args:
        arm: its scores.
        baseline: those of the baseline.
        robots: names of the R robots.
        score: what is compared, for the sentence.
        samples: bootstrap samples.
        seed: seed of the bootstrap.
    """
    pairs = paired_seeds(arm.seeds, baseline.seeds)
    own, other = (_of_seeds(one, pairs) for one in (arm, baseline))
    found = mean_differences(with_mean(own), with_mean(other), paired=bool(pairs))
    half_width, p = found.half_width, found.p
    adjusted = None if p is None else holm(p[:-1])
    probabilities = _with_mean_of(bootstrap.probability_of_improvement(arm.scores, baseline.scores))
    bounds = None
    if half_width is not None:
        rng = np.random.default_rng(seed)
        drawn = [bootstrap.resample(one.scores, samples, rng) for one in (arm, baseline)]
        bounds = bootstrap.percentile_interval(
            _with_mean_of(bootstrap.probability_of_improvement(*drawn))
        )
    differences = {}
    for place, name in enumerate((*robots, MEAN)):
        mean = float(found.mean[place])
        width = None if half_width is None else float(half_width[place])
        differences[name] = Difference(
            mean=mean,
            interval=None if width is None else (mean - width, mean + width),
            p=None if p is None else float(p[place]),
            p_holm=None if adjusted is None or name == MEAN else float(adjusted[place]),
            probability=float(probabilities[place]),
            probability_interval=_interval(bounds, place),
        )
    better, worse = (_certain(differences, robots, sign) for sign in (1, -1))
    outcome = Outcome(
        arm=arm.name,
        baseline=baseline.name,
        robots=robots,
        better=better,
        worse=worse,
        difference=differences[MEAN].mean,
        interval=differences[MEAN].interval,
        seeds=(len(arm.seeds), len(baseline.seeds)),
        pairs=len(pairs) or None,
        score=score,
    )
    return ArmDifference(
        arm.name,
        baseline.name,
        outcome.pairs,
        differences,
        better,
        worse,
        outcome_sentence(outcome),
    )


def paired_seeds(first: Sequence[int], second: Sequence[int]) -> tuple[int, ...]:
    """The seeds that make pairs: two or more, and all of at least one arm."""
    common = tuple(seed for seed in first if seed in second)
    enough = len(common) > 1 and len(common) == min(len(first), len(second))
    return common if enough else ()


def best_arms(arms: Sequence[ArmScores], robots: Sequence[str]) -> list[dict[str, bool]]:
    """For each arm and robot, whether it is the best there or cannot be told from the best.

    The best has the highest mean. Where no arm can be told from it, none is marked.
    """
    means = np.stack([with_mean(arm.scores).mean(axis=0) for arm in arms])
    marked = np.zeros(means.shape, bool)
    for column, best in enumerate(means.argmax(axis=0)):
        for place, arm in enumerate(arms):
            low, high = _interval_between(arms[best], arm, column)
            marked[place, column] = place == best or low <= 0.0 <= high
        marked[:, column] &= not marked[:, column].all()
    return [dict(zip((*robots, MEAN), row, strict=True)) for row in marked.tolist()]


def _interval_between(first: ArmScores, second: ArmScores, column: int) -> Bounds:
    """The interval of the difference of two arms in one column."""
    pairs = paired_seeds(first.seeds, second.seeds)
    own, other = (with_mean(_of_seeds(arm, pairs))[:, [column]] for arm in (first, second))
    found = mean_differences(own, other, paired=bool(pairs))
    width = np.inf if found.half_width is None else float(found.half_width[0])
    return float(found.mean[0]) - width, float(found.mean[0]) + width


def with_mean(scores: Float[np.ndarray, "S R"]) -> Float[np.ndarray, "S columns"]:
    """Scores with one more column, the mean over robots."""
    return np.column_stack([scores, scores.mean(axis=1)])


def _with_mean_of(values: Float[np.ndarray, "*samples R"]) -> Float[np.ndarray, "*samples columns"]:
    return np.concatenate([values, values.mean(axis=-1, keepdims=True)], axis=-1)


def _iqms(scores: Float[np.ndarray, "*samples S R"]) -> Float[np.ndarray, "*samples columns"]:
    """Of each robot over seeds, and over seeds and robots."""
    each = bootstrap.interquartile_means_of_robots(scores)
    return np.concatenate([each, bootstrap.interquartile_mean(scores)[..., None]], axis=-1)


def _of_seeds(arm: ArmScores, seeds: Sequence[int]) -> Float[np.ndarray, "S R"]:
    """The scores of some seeds in their order; of all where none is named."""
    return arm.scores[[arm.seeds.index(seed) for seed in seeds]] if seeds else arm.scores


def _interval(bounds: Float[np.ndarray, "2 columns"] | None, place: int) -> Bounds | None:
    return None if bounds is None else (float(bounds[0, place]), float(bounds[1, place]))


def _certain(
    differences: Mapping[str, Difference], robots: Sequence[str], sign: int
) -> tuple[str, ...]:
    """Robots whose difference has this sign for certain."""
    found = []
    for name in robots:
        own = differences[name]
        if own.p_holm is not None and own.p_holm < CHANCE and own.mean * sign > 0.0:
            found.append(name)
    return tuple(found)
