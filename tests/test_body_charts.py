"""The chart of bodies: every robot is named, and the cut separates the groups."""

import numpy as np
import pytest

from bodyplan.grouping.clustering import cluster, merge_tree
from bodyplan.report.body_charts import cut_level, distance_chart


def tree_of(size, seed=0):
    points = np.random.default_rng(seed).normal(size=(size, 3))
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    names = [f"robot{i}" for i in range(size)]
    return names, distances, merge_tree(distances, names)


@pytest.mark.parametrize("size", [2, 4, 16])
def test_every_pair_has_its_distance_beside_the_names(size):
    names, distances, tree = tree_of(size)
    chart = distance_chart(names, distances, tree, 2)
    cells = chart.spec["layer"][0]["data"]["values"]
    assert len(cells) == size**2
    for cell in cells:
        i, j = names.index(cell["row"]), names.index(cell["column"])
        assert cell["value"] == pytest.approx(distances[i, j])
    assert all(name in chart.description for name in names)
    assert "cut into 2 groups" in chart.caption


def test_merges_above_the_cut_are_marked():
    names, distances, tree = tree_of(9, seed=5)
    for count in range(2, 10):
        chart = distance_chart(names, distances, tree, count)
        points = next(
            layer["data"]["values"]
            for layer in chart.spec["layer"]
            if "merge" in layer["data"]["values"][0]
        )
        dashed = {point["merge"] for point in points if not point["kept"]}
        assert len(dashed) == count - 1


def test_the_cut_separates_the_merges_of_as_many_groups():
    names, distances, tree = tree_of(9, seed=5)
    assert cut_level(tree[:, 2], 1) is None
    for count in range(2, 10):
        level = cut_level(tree[:, 2], count)
        assert (tree[:, 2] > level).sum() == count - 1 == len(cluster(distances, names, count)) - 1
