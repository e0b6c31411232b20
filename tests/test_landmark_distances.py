"""Landmark distances: bounds hold, distances to landmarks are exact, errors are small."""

import numpy as np
import pytest

from bodyplan.errors import BodyplanError
from bodyplan.grouping import BodyMetric, body_graph, distance_matrix, landmark_distances
from bodyplan.grouping.body_metric import normalise_graphs
from bodyplan.grouping.landmark_distances import farthest_point_sampling, lower_bounds
from bodyplan.robots.procedural import generate_robots


@pytest.fixture(scope="module")
def graphs():
    return [body_graph(robot) for robot in generate_robots(24, seed=1)]


@pytest.fixture(scope="module")
def exact(graphs):
    return distance_matrix(graphs)


@pytest.mark.parametrize(
    "metric",
    [BodyMetric(alpha=0.1, feature_scale="none"), BodyMetric(0.9, tree_scale="own")],
)
def test_no_distance_is_below_its_bound(graphs, metric):
    distances = distance_matrix(graphs, metric)
    bounds = lower_bounds(normalise_graphs(graphs, metric))
    assert (bounds <= distances + 1e-9).all()
    apart = ~np.eye(len(graphs), dtype=bool)
    assert np.median(bounds[apart] / distances[apart]) > 0.3


def test_estimates_are_near_and_no_less_than_the_bound(graphs, exact):
    estimates = landmark_distances(graphs, 10)
    np.testing.assert_array_equal(estimates, estimates.T)
    assert not np.diagonal(estimates).any()
    bounds = lower_bounds(normalise_graphs(graphs, BodyMetric()))
    assert (bounds <= exact + 1e-9).all()
    assert (estimates >= bounds - 1e-12).all()
    errors = np.abs(estimates - exact)
    assert 0.0 < errors.mean() < 0.1 * exact.mean()
    assert np.corrcoef(estimates.ravel(), exact.ravel())[0, 1] > 0.97


def test_distances_of_landmarks_are_exact(graphs, exact):
    estimates = landmark_distances(graphs, 6)
    whole = [i for i in range(24) if np.array_equal(estimates[i], exact[i])]
    assert len(whole) == 6


def test_with_all_as_landmarks_every_distance_is_exact(graphs, exact):
    np.testing.assert_array_equal(landmark_distances(graphs, 99), exact)


def test_landmarks_lie_far_from_each_other():
    line = np.array([0.0, 1.0, 2.0, 3.0, 10.0])
    chosen = farthest_point_sampling(np.abs(line[:, None] - line), 3)
    assert chosen.tolist() == [2, 4, 0]
    assert sorted(farthest_point_sampling(np.zeros((4, 4)), 4)) == [0, 1, 2, 3]


def test_copies_can_be_estimated(graphs):
    alike = landmark_distances(graphs[:1] * 5, 2)
    np.testing.assert_allclose(alike, 0.0, atol=1e-12)


def test_what_cannot_be_estimated_is_said(graphs):
    with pytest.raises(BodyplanError, match="landmarks"):
        landmark_distances(graphs, 0)
    with pytest.raises(BodyplanError, match="feature_scale"):
        landmark_distances(graphs, 8, BodyMetric(feature_scale="pair"))
