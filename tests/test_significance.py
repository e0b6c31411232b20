"""Differences against SciPy, Holm by hand, Mantel's test against a loop over all permutations."""

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import ttest_ind, ttest_rel

from bodyplan.errors import BodyplanError
from bodyplan.evaluation.significance import (
    half_width,
    holm,
    mantel,
    mean_differences,
    pearson,
    seed_mean,
)


def symmetric(seed, robots):
    matrix = np.random.default_rng(seed).normal(size=(robots, robots))
    return matrix + matrix.T


def off_diagonal(matrix):
    return np.array([matrix[i, j] for i in range(len(matrix)) for j in range(i)])


@pytest.mark.parametrize("seed", range(5))
def test_every_order_is_counted_where_there_are_few(seed):
    first, second = symmetric(seed, 5), symmetric(seed + 100, 5)
    found = mantel(first, second)
    rs = []
    for order in permutations(range(5)):
        moved = second[list(order)][:, list(order)]
        rs.append(np.corrcoef(off_diagonal(first), off_diagonal(moved))[0, 1])
    r = np.corrcoef(off_diagonal(first), off_diagonal(second))[0, 1]
    assert found.r == pytest.approx(r, abs=1e-12)
    assert found.mantel_p == pytest.approx(np.mean(np.abs(rs) >= abs(r) - 1e-9))
    assert found.points == 10


def test_random_orders_estimate_what_all_of_them_would_give():
    first = symmetric(0, 7)
    second = first + symmetric(1, 7)
    exact = mantel(first, second, permutations=5040)
    sampled = mantel(first, second, permutations=3000, seed=3)
    assert exact.mantel_p < 0.05
    assert sampled.mantel_p == pytest.approx(exact.mantel_p, abs=0.01)
    assert sampled.r == exact.r


def test_unrelated_matrices_are_as_often_surprising_as_chance_has_it():
    ps = [mantel(symmetric(s, 8), symmetric(s + 500, 8), 199).mantel_p for s in range(300)]
    assert np.mean(np.array(ps) <= 0.1) == pytest.approx(0.1, abs=0.05)


def test_pairs_that_share_a_robot_are_not_taken_for_independent():
    """One robot unlike all others, in both matrices: a line through two clouds of points."""
    first, second = symmetric(0, 8) * 0.01, symmetric(1, 8) * 0.01
    for matrix in (first, second):
        matrix[0], matrix[:, 0] = 1.0, 1.0
    found = mantel(first, second)
    assert found.p < 1e-15
    assert found.mantel_p > 0.05


def test_too_few_or_constant_points_are_refused():
    with pytest.raises(BodyplanError, match="2 points"):
        pearson(np.array([1.0, 2.0]), np.array([1.0, 3.0]))
    with pytest.raises(BodyplanError, match="not all equal"):
        mantel(np.ones((4, 4)), symmetric(0, 4))


def test_intervals_cover_the_truth_as_often_as_they_say():
    draws = np.random.default_rng(0).normal(3.0, 2.0, (4000, 4))
    found = [seed_mean(row) for row in draws.tolist()]
    covered = [abs(own["mean"] - 3.0) <= own["interval"] for own in found]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.012)
    assert seed_mean([1.0])["interval"] is None
    assert half_width(1.0, 0) == pytest.approx(1.96)


@pytest.mark.parametrize("paired", [True, False])
def test_differences_are_those_of_scipy(paired):
    rng = np.random.default_rng(0)
    first = rng.normal(1.0, [1.0, 2.0, 0.1], (5, 3))
    second = rng.normal(0.0, [3.0, 2.0, 0.2], (5 if paired else 4, 3))
    found = mean_differences(first, second, paired)
    test = ttest_rel(first, second) if paired else ttest_ind(first, second, equal_var=False)
    low, high = test.confidence_interval()
    np.testing.assert_allclose(found.mean - found.half_width, low)
    np.testing.assert_allclose(found.mean + found.half_width, high)
    np.testing.assert_allclose(found.p, test.pvalue)


@pytest.mark.parametrize("paired", [True, False])
def test_differences_without_spread_are_beyond_doubt(paired):
    found = mean_differences(np.array([[1.0, 2.0]] * 3), np.array([[1.0, 1.5]] * 3), paired)
    np.testing.assert_array_equal(found.half_width, [0.0, 0.0])
    np.testing.assert_array_equal(found.p, [1.0, 0.0])


def test_a_single_value_has_no_interval():
    found = mean_differences(np.ones((1, 2)), np.array([[0.0, 1.0], [1.0, 3.0]]), paired=False)
    np.testing.assert_allclose(found.mean, [0.5, -1.0])
    assert found.half_width is None
    assert found.p is None


def test_holm_steps_down_from_the_smallest():
    # By hand: 0.01 x 4, then 0.02 x 3, then 0.03 x 2 no less than before, then 0.5 x 1.
    np.testing.assert_allclose(holm(np.array([0.03, 0.01, 0.5, 0.02])), [0.06, 0.04, 0.5, 0.06])
    np.testing.assert_allclose(holm(np.array([0.9, 0.8])), [1.0, 1.0])


def test_holm_names_a_difference_by_mistake_in_one_of_twenty_experiments():
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(2, 1000, 4, 16))
    ps = np.array([mean_differences(*pair, paired=True).p for pair in draws.swapaxes(0, 1)])
    assert np.mean((ps < 0.05).any(axis=1)) > 0.5
    mistaken = [(holm(row) < 0.05).any() for row in ps]
    assert np.mean(mistaken) == pytest.approx(0.05, abs=0.02)
