"""Bootstrap intervals against rliable's, and against all samples there are where these are few.

tests/data/rliable/make_figures.py says how rliable's figures were made.
"""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, trim_mean

from bodyplan.evaluation.stratified_bootstrap import (
    interquartile_mean,
    interquartile_means_of_robots,
    percentile_interval,
    probability_of_improvement,
    resample,
)

FIGURES = json.loads((Path(__file__).parent / "data" / "rliable" / "figures.json").read_text())


@pytest.mark.parametrize("case", FIGURES)
def test_figures_are_those_of_rliable(case):
    figures, rng = FIGURES[case], np.random.default_rng(1)
    first, second = (np.array(figures[name]) for name in ("first", "second"))
    drawn = resample(first, 20_000, rng)
    probability = probability_of_improvement(
        resample(first, 20_000, rng), resample(second, 20_000, rng)
    )
    for name, value, samples in (
        ("mean", first.mean(), drawn.mean(axis=(1, 2))),
        ("iqm", interquartile_mean(first), interquartile_mean(drawn)),
        (
            "probability",
            probability_of_improvement(first, second).mean(),
            probability.mean(axis=1),
        ),
    ):
        assert value == pytest.approx(figures[name], rel=1e-12)
        # Values are few, so bounds of either may be one value apart. What must agree is how many
        # samples are below rliable's bounds, to three errors of both samples' sizes.
        for bound, share in zip(figures[f"{name}_interval"], (0.025, 0.975), strict=True):
            assert np.mean(samples < bound - 1e-9) < share + 0.007, name
            assert np.mean(samples < bound + 1e-9) > share - 0.007, name


def test_samples_are_as_frequent_as_all_that_there_are():
    scores = np.array([[0.0, 10.0], [1.0, 14.0]])
    drawn = resample(scores, 40_000, np.random.default_rng(0)).reshape(-1, 4)
    every = [
        (scores[a, 0], scores[b, 1], scores[c, 0], scores[d, 1])
        for a, b, c, d in product(range(2), repeat=4)
    ]
    for own in every:
        assert np.mean((drawn == own).all(axis=1)) == pytest.approx(1 / 16, abs=0.005)
    assert len(np.unique(drawn, axis=0)) == len(every)


@pytest.mark.parametrize(("seeds", "robots"), [(1, 1), (1, 3), (3, 1), (3, 4), (5, 16), (10, 7)])
def test_the_middle_half_is_that_of_scipy(seeds, robots):
    scores = np.random.default_rng(seeds).normal(size=(6, seeds, robots))
    expected = [trim_mean(own, 0.25, axis=None) for own in scores]
    np.testing.assert_allclose(interquartile_mean(scores), expected)
    expected = np.array([trim_mean(own, 0.25, axis=0) for own in scores])
    np.testing.assert_allclose(interquartile_means_of_robots(scores), expected)


def test_improvement_is_counted_over_pairs_and_ties_count_half():
    first, second = np.array([[1.0, 5.0], [3.0, 5.0]]), np.array([[2.0, 5.0], [0.0, 5.0]])
    # Robot by robot: 1 > 0, 3 > 2 and 3 > 0 of four pairs; all equal.
    np.testing.assert_array_equal(probability_of_improvement(first, second), [0.75, 0.5])
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 5, (7, 3)) * 1.0, rng.integers(0, 5, (4, 3)) * 1.0
    expected = mannwhitneyu(first, second).statistic / 28
    np.testing.assert_allclose(probability_of_improvement(first, second), expected)


def test_an_interval_leaves_a_fortieth_out_on_either_side():
    values = np.arange(1001.0)[:, None] * [1.0, 2.0]
    np.testing.assert_allclose(percentile_interval(values), [[25.0, 50.0], [975.0, 1950.0]])
