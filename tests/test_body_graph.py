"""Body graphs against trees drawn by hand, and what their nodes are compared by."""

from collections import deque
from pathlib import Path

import mujoco
import numpy as np
import pytest

from bodyplan.errors import BodyplanError
from bodyplan.grouping import BodyGraph, BodyMetric, body_graph
from bodyplan.grouping.body_graph import kinematic_edges
from bodyplan.grouping.body_metric import normalise_graphs
from bodyplan.grouping.node_features import node_features, pad_matched

BODIES = Path(__file__).parent / "data" / "bodies.npz"
"""Descriptors and trees of four robots, from the original environments' models."""

LIMB = """
<mujoco><worldbody><body name="trunk"><freejoint/><geom size="0.1"/>
  <body name="hip" pos="0.2 0 0">
    <joint name="yaw" axis="0 0 1"/><joint name="roll" axis="1 0 0"/><geom size="0.05"/>
    <body name="rod" pos="0 0 -0.1"><joint name="spring" axis="0 1 0"/><geom size="0.04"/>
      <body name="shank" pos="0 0 -0.1"><joint name="knee" axis="0 1 0"/><geom size="0.04"/>
        <body name="sole" pos="0 0 -0.1"><geom size="0.03"/></body></body></body></body>
  <body name="neck" pos="-0.2 0 0.1"><joint name="nod" axis="0 1 0"/><geom size="0.04"/>
    <body name="ear"><joint name="flap" axis="0 1 0"/><geom size="0.02"/></body></body>
  <body name="tail" pos="-0.2 0 0"><geom size="0.02"/></body>
</body></worldbody></mujoco>
"""


@pytest.fixture(scope="module")
def graphs():
    with np.load(BODIES) as file:
        names = sorted({key.split("/")[0] for key in file.files})
        return {name: original(name, file) for name in names}


def original(name, file):
    features = file[f"{name}/features"].astype(float)
    is_foot = ~features[:, 10:].any(axis=1)  # feet are padded with zeros there
    return BodyGraph(
        nodes=tuple(str(node) for node in file[f"{name}/nodes"]),
        edges=tuple((int(a), int(b)) for a, b in file[f"{name}/edges"]),
        joints=features[~is_foot],
        feet=features[is_foot, :10],
    )


def steps_apart(graph):
    """All-pairs path lengths by breadth-first search."""
    size = len(graph.nodes)
    neighbours = [[b for a, b in both(graph.edges) if a == node] for node in range(size)]
    lengths = np.full((size, size), np.inf)
    for start in range(size):
        lengths[start, start] = 0
        queue = deque([start])
        while queue:
            node = queue.popleft()
            for other in neighbours[node]:
                if np.isinf(lengths[start, other]):
                    lengths[start, other] = lengths[start, node] + 1
                    queue.append(other)
    return lengths


def both(edges):
    return [*edges, *((b, a) for a, b in edges)]


def drawn(rng, joints, feet):
    """A body of one chain with joints and feet as numbers fall."""
    nodes = tuple(f"part{i}" for i in range(1 + joints + feet))
    edges = tuple((i, i + 1) for i in range(joints + feet))
    tables = rng.normal(3.0, 5.0, (joints, 23)), rng.normal(-1.0, 2.0, (feet, 10))
    tables[0][:, 4] = 0.1
    return BodyGraph(nodes, edges, *tables)


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return [drawn(rng, 5, 2), drawn(rng, 9, 4)]


def test_edges_follow_the_chain_past_motorless_joints_and_through_shared_bodies():
    model = mujoco.MjModel.from_xml_string(LIMB)
    # Task order is not the model's order: knee 1, roll 2, nod 3, yaw 4, flap 5.
    joints = [model.joint(name).id for name in ("knee", "roll", "nod", "yaw", "flap")]
    feet = [model.body(name).id for name in ("sole", "hip", "tail")]
    assert kinematic_edges(model, joints, feet) == (
        (2, 1),  # knee hangs on roll: the spring has no motor
        (4, 2),  # roll turns after yaw on the same body
        (0, 3),
        (0, 4),
        (3, 5),
        (1, 6),  # sole, welded to the shank
        (2, 7),  # a foot on a body with two joints hangs on the last
        (0, 8),  # a foot on a body welded to the trunk
    )


@pytest.mark.parametrize("name", ["unitree_go1", "hexapod"])
def test_graph_of_a_packaged_robot_equals_the_original(load, graphs, name):
    graph = body_graph(load(name))
    assert graph.nodes == graphs[name].nodes
    assert graph.edges == graphs[name].edges
    for part in ("joints", "feet"):
        np.testing.assert_allclose(getattr(graph, part), getattr(graphs[name], part), atol=1e-5)


def test_path_lengths_equal_a_breadth_first_search(graphs):
    for graph in graphs.values():
        np.testing.assert_array_equal(graph.path_lengths(), steps_apart(graph))


def test_feet_are_padded_behind_or_where_joints_have_their_like(pair):
    feet = pair[0].feet
    first = node_features(pair, "zeros", "none")[0]
    np.testing.assert_array_equal(first[0], np.zeros(23))
    np.testing.assert_array_equal(first[1:6], pair[0].joints)
    np.testing.assert_array_equal(first[6:], np.hstack([feet, np.zeros((2, 13))]))
    np.testing.assert_array_equal(pad_matched(feet)[:, [0, 1, 2]], feet[:, :3])
    np.testing.assert_array_equal(pad_matched(feet)[:, 16:], feet[:, 3:])
    assert not pad_matched(feet)[:, 3:16].any()


def test_a_foot_s_own_numbers_are_the_joints_last(load):
    """Both end in what is told of the whole robot, in one order."""
    joints, feet, context = load("hexapod").descriptor
    np.testing.assert_array_equal(joints[0, 16:], context)
    np.testing.assert_array_equal(feet[0, 3:], context)


def test_over_nodes_the_torso_s_zeros_are_standardised_too(pair):
    tables = node_features(pair, "zeros", "nodes")
    stacked = np.vstack(tables)
    np.testing.assert_allclose(stacked.mean(0), 0.0, atol=1e-12)
    np.testing.assert_allclose(stacked.std(0), 1.0)
    assert np.abs(tables[0][0]).max() > 0.1
    np.testing.assert_array_equal(tables[0][0], tables[1][0])


def test_over_parts_the_torso_has_no_say_and_is_zero(pair):
    tables = node_features(pair, "zeros", "parts")
    assert not tables[0][0].any()
    parts = np.vstack([table[1:] for table in tables])
    np.testing.assert_allclose(parts.mean(0), 0.0, atol=1e-12)
    np.testing.assert_allclose(parts.std(0), 1.0)


def test_over_kinds_joints_and_feet_are_each_standardised(pair):
    tables = node_features(pair, "zeros", "kinds")
    joints = np.vstack([tables[0][1:6], tables[1][1:10]])
    feet = np.vstack([tables[0][6:], tables[1][10:]])
    np.testing.assert_allclose(joints.std(0), np.where(np.arange(23) == 4, 0.0, 1.0), atol=1e-12)
    np.testing.assert_allclose(feet.mean(0), 0.0, atol=1e-12)
    np.testing.assert_allclose(feet[:, :10].std(0), 1.0)
    assert not feet[:, 10:].any()


def test_over_robots_each_has_the_same_say(pair):
    first, second = (table[1:] for table in node_features(pair, "matched", "robots"))
    np.testing.assert_allclose(first.mean(0) + second.mean(0), 0.0, atol=1e-12)
    np.testing.assert_allclose((first**2).mean(0) + (second**2).mean(0), 2.0)


@pytest.mark.parametrize("standardisation", ["nodes", "parts", "kinds", "robots"])
def test_what_never_varies_has_no_say(standardisation):
    rng = np.random.default_rng(1)
    bodies = [drawn(rng, joints, 1) for joints in (2, 3)]
    for body in bodies:
        body.joints[:, :], body.feet[:, :] = 0.0, 0.0
        body.joints[:, 0] = np.arange(len(body.joints))
    stacked = np.vstack(node_features(bodies, "zeros", standardisation))
    assert stacked[:, 0].std() > 0.5
    assert not stacked[:, 1:].any()


def test_costs_are_divided_by_what_the_metric_says(pair):
    def largest(metric):
        bodies = normalise_graphs(pair, metric)
        return bodies.feature_costs(0, 1).max(), [tree.max() for tree in bodies.path_lengths]

    plain, _ = largest(BodyMetric(feature_scale="none"))
    assert plain > 2.0
    assert largest(BodyMetric())[0] == pytest.approx(1.0)
    assert largest(BodyMetric(feature_scale="pair"))[0] == pytest.approx(1.0)
    assert largest(BodyMetric())[1] == pytest.approx([7 / 13, 1.0])
    assert largest(BodyMetric(tree_scale="own"))[1] == pytest.approx([1.0, 1.0])
    assert largest(BodyMetric(tree_scale="none"))[1] == pytest.approx([7.0, 13.0])
    bodies = normalise_graphs(pair, BodyMetric(feature_scale="mean"))
    assert bodies.feature_costs(0, 1).mean() == pytest.approx(1.0)


def test_a_pair_s_own_scale_is_not_the_set_s(pair):
    three = [*pair, drawn(np.random.default_rng(2), 4, 1)]
    shared, own = (
        normalise_graphs(three, BodyMetric(feature_scale=scale)) for scale in ("largest", "pair")
    )
    highest = [
        [each.feature_costs(*pair).max() for pair in ((0, 1), (0, 2), (1, 2))]
        for each in (shared, own)
    ]
    assert max(highest[0]) == pytest.approx(1.0)
    assert min(highest[0]) < 0.99
    assert highest[1] == pytest.approx([1.0] * 3)


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("alpha", 1.5, "0 to 1"),
        ("alpha", float("nan"), "nan"),
        ("padding", "ones", "matched"),
        ("standardisation", "robot", "kinds"),
        ("start", "random", "several"),
    ],
)
def test_an_unknown_metric_is_refused_with_the_known_ones(option, value, named):
    metric = BodyMetric()
    object.__setattr__(metric, option, value)  # the tests' own type checker would be first
    with pytest.raises(BodyplanError, match=named):
        metric.__post_init__()
