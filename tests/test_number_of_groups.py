"""How many groups there are, where one can tell, and against scikit-learn."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics import silhouette_samples

from bodyplan.grouping import number_of_groups
from bodyplan.grouping.number_of_groups import (
    separations,
    silhouettes,
    suggested_by_gap,
    suggested_by_silhouette,
)
from bodyplan.grouping.robot_groups import LINKAGES, cut, merge_tree


def clouds(count, size=8, apart=10.0, seed=0):
    """Distances between points around so many places, each farther from the last."""
    rng = np.random.default_rng(seed)
    middles = apart * np.column_stack([np.arange(count) ** 1.5, np.zeros(count)])
    points = np.repeat(middles, size, axis=0) + rng.normal(size=(count * size, 2))
    return squareform(pdist(points))


@pytest.mark.parametrize("linkage", LINKAGES)
@pytest.mark.parametrize("count", [2, 3, 5])
def test_clouds_are_counted(count, linkage):
    found = separations(clouds(count), linkage)
    assert suggested_by_silhouette(found) == count
    if count < 5:  # the rule overlooks many groups alike: two of them are no better than one
        assert suggested_by_gap(found) == count


def test_points_without_groups_are_one_group():
    points = np.random.default_rng(1).uniform(size=(40, 3))
    assert suggested_by_gap(separations(squareform(pdist(points)))) == 1


def test_silhouettes_equal_scikit_learn_s():
    distances = clouds(3, size=5, apart=1.0)
    tree = merge_tree(distances, [str(i) for i in range(15)])
    for count in range(2, 15):
        labels = cut(tree, count)
        np.testing.assert_allclose(
            silhouettes(distances, labels),
            silhouette_samples(distances, labels, metric="precomputed"),
            atol=1e-12,
        )


def test_the_gap_is_to_the_mean_of_references_of_the_same_extent(monkeypatch):
    """Written out for two places on a line, at which all references fall too."""
    monkeypatch.setattr(number_of_groups, "REFERENCES", 2000)
    distances = np.abs(np.subtract.outer([0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]))
    one = separations(distances)[0]
    rng = np.random.default_rng(7)
    logs = np.log(4 * rng.uniform(size=(20_000, 4)).var(axis=1))
    assert one.gap == pytest.approx(logs.mean() - np.log(1.0), abs=0.05)
    assert one.gap_error == pytest.approx(logs.std(), rel=0.1)


def test_equal_seeds_give_equal_numbers():
    distances = clouds(2)
    assert separations(distances, seed=3) == separations(distances, seed=3)
    assert separations(distances, seed=3) != separations(distances, seed=4)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_robots_are_no_trouble(count):
    distances = 1.0 - np.eye(count)
    found = separations(distances)
    assert [each.count for each in found] == list(range(1, max(2, count)))
    assert 1 <= suggested_by_silhouette(found) <= count
    assert np.isfinite([each.gap for each in found]).all()


def test_many_robots_are_split_into_twenty_groups_at_most():
    found = separations(clouds(3, size=12))
    assert found[-1].count == number_of_groups.MOST == 20
