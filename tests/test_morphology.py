"""Body graphs against trees drawn by hand, distances against POT called directly."""

from collections import deque
from pathlib import Path

import mujoco
import numpy as np
import ot
import pytest

from bodyplan.robots.morphology import (
    BodyGraph,
    body_graph,
    chain_edges,
    distance_matrix,
    fused_gromov_wasserstein,
    stack_descriptors,
    standardise,
)

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
        return {
            name: BodyGraph(
                nodes=tuple(str(node) for node in file[f"{name}/nodes"]),
                edges=tuple((int(a), int(b)) for a, b in file[f"{name}/edges"]),
                features=file[f"{name}/features"].astype(float),
            )
            for name in names
        }


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


def relabelled(graph, rng):
    """The same body with joints and feet numbered otherwise."""
    order = [0, *(1 + rng.permutation(len(graph.nodes) - 1))]
    place = np.argsort(order)
    return BodyGraph(
        nodes=tuple(graph.nodes[i] for i in order),
        edges=tuple((int(place[a]), int(place[b])) for a, b in graph.edges),
        features=graph.features[np.array(order[1:]) - 1],
    )


def test_edges_follow_the_chain_past_motorless_joints_and_through_shared_bodies():
    model = mujoco.MjModel.from_xml_string(LIMB)
    # Task order is not the model's order: knee 1, roll 2, nod 3, yaw 4, flap 5.
    joints = [model.joint(name).id for name in ("knee", "roll", "nod", "yaw", "flap")]
    feet = [model.body(name).id for name in ("sole", "hip", "tail")]
    assert chain_edges(model, joints, feet) == (
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
    np.testing.assert_allclose(graph.features, graphs[name].features, atol=1e-5)


def test_path_lengths_equal_a_breadth_first_search(graphs):
    for graph in graphs.values():
        np.testing.assert_array_equal(graph.path_lengths(), steps_apart(graph))


def test_foot_descriptors_are_padded_behind():
    table = stack_descriptors(np.ones((2, 23)), np.full((1, 10), 2.0))
    np.testing.assert_array_equal(table[2], [2.0] * 10 + [0.0] * 13)
    np.testing.assert_array_equal(table[:2], 1.0)


def test_features_are_standardised_over_all_parts_and_the_torso_is_zero():
    rng = np.random.default_rng(0)
    tables = [rng.normal(3.0, 5.0, (size, 4)) for size in (6, 9)]
    for table in tables:
        table[:, 2] = 0.1
    first, second = standardise(tables)
    assert first.shape == (7, 3)
    assert second.shape == (10, 3)
    assert not first[0].any()
    assert not second[0].any()
    parts = np.vstack([first[1:], second[1:]])
    np.testing.assert_allclose(parts.mean(0), 0.0, atol=1e-12)
    np.testing.assert_allclose(parts.std(0), 1.0)


def test_distances_equal_pot_on_independently_computed_costs(graphs):
    bodies = list(graphs.values())
    pooled = np.vstack([graph.features for graph in bodies])
    varying = [c for c in range(pooled.shape[1]) if len(set(pooled[:, c])) > 1]
    mean, deviation = pooled[:, varying].mean(0), pooled[:, varying].std(0)
    nodes = [
        np.vstack([np.zeros(len(varying)), (graph.features[:, varying] - mean) / deviation])
        for graph in bodies
    ]
    structures = [steps_apart(graph) for graph in bodies]
    longest = max(structure.max() for structure in structures)
    costs = {
        (r, s): np.array([[np.linalg.norm(a - b) for b in nodes[s]] for a in nodes[r]])
        for r in range(len(bodies))
        for s in range(len(bodies))
        if r != s
    }
    largest = max(cost.max() for cost in costs.values())
    expected = np.zeros((len(bodies), len(bodies)))
    for (r, s), cost in costs.items():
        weights = ot.unif(cost.shape[0]), ot.unif(cost.shape[1])
        expected[r, s] = ot.gromov.fused_gromov_wasserstein2(
            cost / largest, structures[r] / longest, structures[s] / longest, *weights, alpha=0.5
        )
    np.testing.assert_allclose(distance_matrix(bodies), (expected + expected.T) / 2, rtol=1e-9)


def test_distances_are_symmetric_with_a_zero_diagonal_and_ignore_numbering(graphs):
    bodies = list(graphs.values())
    distances = distance_matrix(bodies)
    np.testing.assert_array_equal(distances, distances.T)
    assert not np.diagonal(distances).any()
    assert (distances[~np.eye(len(bodies), dtype=bool)] > 0).all()
    rng = np.random.default_rng(1)
    shuffled = [relabelled(graph, rng) for graph in bodies]
    np.testing.assert_allclose(distance_matrix(shuffled), distances, atol=1e-9)


def test_bodies_that_look_alike_are_near(graphs):
    names = ["unitree_go1", "hexapod", "unitree_h1", "cassie"]
    distances = distance_matrix([graphs[name] for name in names])
    assert distances[0, 1] < distances[0, 2]
    copies = distance_matrix([graphs["unitree_go1"], graphs["unitree_go1"], graphs["hexapod"]])
    assert copies[0, 1] == pytest.approx(0.0, abs=1e-12)
    assert copies[0, 2] == pytest.approx(copies[1, 2])


def test_without_structure_the_distance_is_optimal_transport():
    rng = np.random.default_rng(2)
    cost = rng.uniform(size=(3, 5))
    plain = ot.emd2(ot.unif(3), ot.unif(5), cost)
    structures = 1.0 - np.eye(3), 1.0 - np.eye(5)
    assert fused_gromov_wasserstein(cost, *structures, alpha=0.0) == pytest.approx(plain)


def test_a_single_body_has_no_distance_to_speak_of(graphs):
    np.testing.assert_array_equal(distance_matrix([graphs["cassie"]]), [[0.0]])
