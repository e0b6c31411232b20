"""The figure of groups: similarities, groups, names, and equal bytes each time."""

import numpy as np
import pytest
from PIL import Image

from bodyplan.grouping.clustering import cluster, merge_tree
from bodyplan.report.groups_figure import body_similarities, draw_groups

NAMES = ("unitree_go1", "hexapod", "cassie", "nao_v5")


@pytest.fixture
def distances():
    points = np.array([[0.0, 0.0], [1.0, 0.0], [5.0, 0.0], [5.0, 2.0]])
    return np.linalg.norm(points[:, None] - points, axis=2)


class FakeRender:
    """Draws robots as a grey box of the right size and notes their names."""

    def __init__(self):
        self.names = []

    def __call__(self, robots, size):
        self.names.append([robot.name for robot in robots])
        return np.full((size[1], size[0], 3), 128, np.uint8)


@pytest.fixture
def render():
    return FakeRender()


def draw(load, distances, names, count, path, **options):
    tree = merge_tree(distances, names)
    robots = [load(name) for name in names]
    draw_groups(robots, distances, tree, cluster(distances, names, count), path, dpi=60, **options)


def test_similarity_is_one_for_the_nearest_and_zero_for_the_farthest(distances):
    similar = body_similarities(distances)
    np.testing.assert_array_equal(np.diagonal(similar), 1.0)
    assert similar[0, 1] == 1.0
    assert similar[0, 3] == 0.0
    assert similar[2, 3] == pytest.approx(1.0 - 1.0 / (np.sqrt(29.0) - 1.0))


def test_equally_far_robots_have_a_similarity_too():
    np.testing.assert_array_equal(body_similarities(1.0 - np.eye(3)), np.ones((3, 3)))


def test_each_group_is_drawn_once_in_the_order_of_the_tree(load, distances, render, tmp_path):
    path = tmp_path / "groups.svg"
    draw(load, distances, NAMES, 2, path, render=render)
    assert render.names == [["unitree_go1", "hexapod"], ["cassie", "nao_v5"]]
    text = path.read_text()
    headings = " group 0: unitree_go1, hexapod ", " group 1: cassie, nao_v5 "
    for word in (*NAMES, *headings, "cut to 2"):
        assert word in text
    again = tmp_path / "again.svg"
    draw(load, distances, NAMES, 2, again, render=render)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("count", [1, 4])
def test_one_group_and_one_a_robot_can_be_drawn(load, distances, render, tmp_path, count):
    path = tmp_path / "groups.png"
    draw(load, distances, NAMES, count, path, render=render)
    assert len(render.names) == count
    with Image.open(path) as picture:
        assert np.asarray(picture).std() > 10.0


def test_of_large_groups_the_most_typical_robots_are_shown(load, render, tmp_path):
    line = np.array([0.0, 10.0, 11.0, 30.0])
    path = tmp_path / "groups.svg"
    draw(load, np.abs(line[:, None] - line), NAMES, 1, path, max_robots=2, render=render)
    assert render.names == [["hexapod", "cassie"]]
    assert " group 0, 2 of 4" in path.read_text()


def test_robots_really_are_in_the_picture(load, distances, tmp_path):
    path = tmp_path / "groups.png"
    draw(load, distances[:2, :2], NAMES[:2], 1, path)
    with Image.open(path) as picture:
        right = np.asarray(picture.convert("RGB"))[:, -330:].reshape(-1, 3).astype(int)
    blue = (right[:, 2] - right[:, 0] > 40).mean()
    assert 0.01 < blue < 0.5
