"""Numbers of groups: found where they are known, and scores equal to scikit-learn's."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics import silhouette_samples

from bodyplan.grouping.clustering import LINKAGES, cut_tree, merge_tree
from bodyplan.grouping.number_of_groups import (
    score_group_counts,
    silhouettes,
    suggested_by_gap,
    suggested_by_silhouette,
)


def clouds(count, size=8, apart=10.0, seed=0):
    """Distances between points around so many places, each farther from the last."""
    rng = np.random.default_rng(seed)
    middles = apart * np.column_stack([np.arange(count) ** 1.5, np.zeros(count)])
    points = np.repeat(middles, size, axis=0) + rng.normal(size=(count * size, 2))
    return squareform(pdist(points))


@pytest.mark.parametrize("linkage", LINKAGES)
@pytest.mark.parametrize("count", [2, 3, 5])
def test_clouds_are_counted(count, linkage):
    found = score_group_counts(clouds(count), linkage, references=20)
    assert suggested_by_silhouette(found) == count
    if count < 5:  # the rule overlooks many groups alike: two of them are no better than one
        assert suggested_by_gap(found) == count


def test_points_without_groups_are_one_group():
    points = np.random.default_rng(1).uniform(size=(40, 3))
    assert suggested_by_gap(score_group_counts(squareform(pdist(points)), references=20)) == 1


def test_silhouettes_equal_scikit_learn_s():
    distances = clouds(3, size=5, apart=1.0)
    tree = merge_tree(distances, [str(i) for i in range(15)])
    for count in range(2, 15):
        labels = cut_tree(tree, count)
        np.testing.assert_allclose(
            silhouettes(distances, labels),
            silhouette_samples(distances, labels, metric="precomputed"),
            atol=1e-12,
        )


def test_the_gap_is_to_the_mean_of_references_of_the_same_extent():
    """Written out for two places on a line, at which all references fall too."""
    distances = np.abs(np.subtract.outer([0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]))
    one = score_group_counts(distances, references=2000)[0]
    rng = np.random.default_rng(7)
    logs = np.log(4 * rng.uniform(size=(20_000, 4)).var(axis=1))
    assert one.gap == pytest.approx(logs.mean() - np.log(1.0), abs=0.05)
    assert one.gap_error == pytest.approx(logs.std(), rel=0.1)


def test_equal_seeds_give_equal_numbers():
    distances = clouds(2)
    first, again, other = (
        score_group_counts(distances, seed=seed, references=10) for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_robots_are_no_trouble(count):
    distances = 1.0 - np.eye(count)
    found = score_group_counts(distances)
    assert [each.count for each in found] == list(range(1, max(2, count)))
    assert 1 <= suggested_by_silhouette(found) <= count
    assert np.isfinite([each.gap for each in found]).all()


def test_no_more_groups_are_scored_than_asked_for():
    distances = clouds(3, size=12)
    assert score_group_counts(distances, references=2)[-1].count == 20
    assert score_group_counts(distances, references=2, max_groups=5)[-1].count == 5
