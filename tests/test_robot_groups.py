"""Groups against partitions made by hand and by SciPy's own cut."""

import copy
import json

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist, squareform

import bodyplan
from bodyplan.errors import BodyplanError
from bodyplan.grouping.clustering import LINKAGES, cluster, merge_tree
from bodyplan.grouping.embodiment_distances import embodiment_distances
from bodyplan.grouping.robot_groups import (
    RobotGroups,
    embodiment_groups,
    group_robots,
    heuristic_groups,
    random_groups,
    read_groups,
)
from bodyplan.robots.registry import packaged_robots

NAMES = ("ant", "bee", "cow", "dog")
PAIRS = np.array(  # ant-cow and bee-dog are near
    [[0.0, 9.0, 1.0, 8.0], [9.0, 0.0, 8.0, 2.0], [1.0, 8.0, 0.0, 9.0], [8.0, 2.0, 9.0, 0.0]]
)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, (NAMES,)),
        (2, (("ant", "cow"), ("bee", "dog"))),
        (3, (("ant", "cow"), ("bee",), ("dog",))),
        (4, (("ant",), ("bee",), ("cow",), ("dog",))),
    ],
)
def test_clusters_of_a_matrix_one_can_check_by_eye(count, expected):
    for kind in LINKAGES:
        assert cluster(PAIRS, NAMES, count, kind) == expected


@pytest.mark.parametrize("kind", LINKAGES)
def test_clusters_equal_scipys_cut(kind):
    distances = squareform(pdist(np.random.default_rng(3).normal(size=(9, 4))))
    names = [f"robot{i}" for i in range(9)]
    tree = linkage(squareform(distances), kind)
    np.testing.assert_array_equal(merge_tree(distances, names, kind), tree)
    for count in range(1, 10):
        labels = fcluster(tree, count, "maxclust")
        theirs = {tuple(names[i] for i in np.flatnonzero(labels == k)) for k in set(labels)}
        assert set(cluster(distances, names, count, kind)) == theirs


def test_ties_still_give_exactly_as_many_groups_as_asked_for():
    distances = 1.0 - np.eye(5)
    for count in range(1, 6):
        groups = cluster(distances, list("abcde"), count)
        assert len(groups) == count
        assert sorted("".join(sum(groups, ()))) == list("abcde")


def test_robots_are_grouped_by_name_or_as_loaded(load):
    names = ["unitree_go1", "anymal_c", "badger", "hexapod"]
    distances = embodiment_distances(names)
    np.testing.assert_array_equal(distances, embodiment_distances([load(n) for n in names]))
    # The two small quadrupeds are the nearest pair, so three groups leave the others alone.
    groups = embodiment_groups(names, 3)
    assert groups == (("unitree_go1", "badger"), ("anymal_c",), ("hexapod",))
    assert groups == cluster(distances, names, 3)


def test_a_single_robot_is_a_group():
    assert cluster(np.zeros((1, 1)), ["ant"], 1) == (("ant",),)


@pytest.mark.parametrize(
    ("distances", "names", "count", "kind", "message"),
    [
        (PAIRS, NAMES, 0, "ward", "1 to 4"),
        (PAIRS, NAMES, 5, "ward", "5 groups"),
        (PAIRS, NAMES, 2, "single", "ward"),
        (PAIRS[:3], NAMES, 2, "ward", "shape"),
        (PAIRS + np.triu(np.ones(4), 1), NAMES, 2, "ward", "symmetric"),
        (PAIRS + np.eye(4), NAMES, 2, "ward", "zero diagonal"),
        (np.full((4, 4), np.nan), NAMES, 2, "ward", "finite"),
        (PAIRS, ("ant", "ant", "cow", "dog"), 2, "ward", "twice"),
        (np.zeros((0, 0)), (), 1, "ward", "no robots"),
    ],
)
def test_what_cannot_be_grouped_is_named(distances, names, count, kind, message):
    with pytest.raises(BodyplanError, match=message):
        cluster(distances, names, count, kind)


def test_the_heuristic_sorts_by_legs_and_what_is_above_them():
    # The paper's four groups: bipeds, quadrupeds, hexapod, torso-less bipeds.
    groups = heuristic_groups(packaged_robots())
    assert groups == group_robots(packaged_robots(), by="heuristic")
    assert sorted(map(len, groups)) == [1, 1, 5, 9]
    assert ("cassie",) in groups
    assert ("hexapod",) in groups
    bipeds = next(group for group in groups if len(group) == 5)
    assert set(bipeds) == {"unitree_h1", "unitree_g1", "talos", "robotis_op3", "nao_v5"}


def test_random_groups_have_the_sizes_asked_for_and_follow_the_seed():
    names = [f"robot{i}" for i in range(10)]
    first = random_groups(names, (5, 3, 2), seed=4)
    assert [len(group) for group in first] == [5, 3, 2]
    assert sorted(sum(first, ())) == sorted(names)
    assert first == random_groups(names, (5, 3, 2), seed=4)
    assert len({random_groups(names, (5, 3, 2), seed) for seed in range(20)}) > 15


@pytest.mark.parametrize("sizes", [(5, 4), (11,), (10, 0), ()])
def test_random_groups_of_wrong_sizes_are_refused(sizes):
    with pytest.raises(BodyplanError, match="add up"):
        random_groups([f"robot{i}" for i in range(10)], sizes, seed=0)


@pytest.mark.parametrize("wrap", [lambda groups: groups, lambda groups: {"groups": groups}])
def test_groups_are_read_as_they_stand(tmp_path, wrap):
    path = tmp_path / "groups.json"
    path.write_text(json.dumps(wrap([["dog", "ant"], ["bee", "cow"]])))
    assert read_groups(path, NAMES) == (("dog", "ant"), ("bee", "cow"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[", "JSON"),
        ("3", "no groups"),
        ('{"clusters": [["ant"]]}', "no groups"),
        ('[["ant", "bee", "cow", "dog"], []]', "no groups"),
        ('[["ant", 1, "cow", "dog"]]', "no groups"),
        ('[["ant", "bee"], ["cow"]]', "missing: dog"),
        ('[["ant", "bee"], ["cow", "dog", "eel"]]', "unknown: eel"),
        ('[["ant", "bee"], ["cow", "dog", "ant"]]', "repeated: ant"),
    ],
)
def test_faulty_group_files_are_explained(tmp_path, text, message):
    path = tmp_path / "groups.json"
    path.write_text(text)
    with pytest.raises(BodyplanError, match=message) as caught:
        read_groups(path, NAMES)
    assert str(path) in str(caught.value)


def test_a_missing_group_file_is_named(tmp_path):
    with pytest.raises(BodyplanError, match=r"nowhere\.json"):
        read_groups(tmp_path / "nowhere.json", NAMES)


FOUR = ["unitree_go1", "anymal_c", "badger", "hexapod"]


def test_groups_are_a_tuple_of_names_with_the_distances_they_follow_from():
    groups = bodyplan.group_robots(FOUR, groups=3)
    assert isinstance(groups, RobotGroups)
    assert groups == embodiment_groups(FOUR, 3)
    assert groups[0] == ("unitree_go1", "badger")
    assert [len(group) for group in groups] == [2, 1, 1]
    assert groups.robots == tuple(FOUR)
    np.testing.assert_array_equal(groups.distances, embodiment_distances(FOUR))
    assert [groups.group_of(robot) for robot in FOUR] == [0, 1, 0, 2]
    assert json.loads(json.dumps(groups)) == [list(group) for group in groups]
    again = copy.deepcopy(groups)
    assert again == groups
    np.testing.assert_array_equal(again.distances, groups.distances)


def test_random_groups_have_the_sizes_of_embodiment_groups():
    chosen = [group_robots(FOUR, groups=2, by="random", seed=seed) for seed in range(4)]
    sizes = [len(group) for group in group_robots(FOUR, groups=2)]
    assert all([len(group) for group in groups] == sizes for groups in chosen)
    assert all(groups.robots == tuple(FOUR) for groups in chosen)
    assert chosen[0] == group_robots(FOUR, groups=2, by="random", seed=0)
    assert len(set(chosen)) > 1


def test_groups_are_a_table_with_one_row_for_each_robot():
    table = RobotGroups([["dog", "ant"], ["bee"]], robots=["ant", "bee", "dog"]).to_dataframe()
    assert table.index.tolist() == ["ant", "bee", "dog"]
    assert table["group"].tolist() == [0, 1, 0]


def test_groups_of_any_size_have_a_short_repr():
    text = repr(RobotGroups([["dog", "ant"], ["bee"]]))
    assert "3 robots in 2 groups" in text
    assert "dog, ant" in text
    many = repr(RobotGroups([[f"robot{i}_{j}" for j in range(50)] for i in range(50)]))
    assert many.count("\n") < 15
    assert max(map(len, many.split("\n"))) <= 100


@pytest.mark.parametrize(
    ("robots", "options", "message"),
    [
        (FOUR, {"by": "colour"}, "heuristic"),
        (FOUR, {"groups": 5}, "5 groups"),
        (FOUR, {"linkage": "single"}, "linkage"),
        (FOUR[:1] * 2, {"groups": 1}, "twice"),
        (FOUR[:1] * 2, {"by": "heuristic"}, "twice"),
        (["no_such_robot"], {"groups": 1}, "no_such_robot"),
    ],
)
def test_options_that_do_not_fit_are_refused(robots, options, message):
    with pytest.raises(BodyplanError, match=message):
        group_robots(robots, **options)


def test_a_robot_in_no_group_is_named():
    with pytest.raises(BodyplanError, match="eel"):
        RobotGroups([["ant"], ["bee"]]).group_of("eel")
