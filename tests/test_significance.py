"""Pearson's r and Mantel's test against a loop over every order of the robots."""

from itertools import permutations

import numpy as np
import pytest

from bodyplan.errors import BodyplanError
from bodyplan.evaluation.significance import half_width, mantel, pearson, seed_mean


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
