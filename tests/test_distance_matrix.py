"""Distances between bodies against POT, under relabelling and mirrors, and as published."""

import multiprocessing
import os
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import combinations

import numpy as np
import ot
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from bodyplan.grouping import (
    BodyGraph,
    BodyMetric,
    body_graph,
    distance_matrix,
    fused_gromov_wasserstein,
)
from bodyplan.grouping.clustering import cluster
from bodyplan.robots.registry import packaged_robots

PUBLISHED = {
    "unitree_go1": 0.0222,
    "barkour_vb": 0.0838,
    "hexapod": 0.1858,
    "unitree_h1": 0.2821,
}
"""Distances from a1 in the matrix of the authors' release."""

posix = pytest.mark.skipif(os.name == "nt", reason="sends signals")
few = settings(max_examples=60, derandomize=True, deadline=None)


@pytest.fixture(scope="module")
def all_bodies(load):
    return [body_graph(load(name)) for name in packaged_robots()]


def relabelled(graph, rng):
    """The same body with joints and feet numbered otherwise."""
    joints, feet = rng.permutation(len(graph.joints)), rng.permutation(len(graph.feet))
    order = np.concatenate([[0], 1 + joints, 1 + len(joints) + feet])
    place = np.argsort(order)
    return BodyGraph(
        nodes=tuple(graph.nodes[i] for i in order),
        edges=tuple((int(place[a]), int(place[b])) for a, b in graph.edges),
        joints=graph.joints[joints],
        feet=graph.feet[feet],
    )


def mirrored(graph):
    """The body with left and right exchanged: y and angles change their sign.

    A turn by q about an axis is in the mirror a turn by -q about the axis that is reflected as if
    it were a place.
    """
    joints, feet = graph.joints.copy(), graph.feet.copy()
    joints[:, [1, 4, 7]] *= -1.0  # y of place and axis, nominal angle
    joints[:, 14:16] = -joints[:, 15:13:-1]  # range
    feet[:, 1] *= -1.0
    return replace(graph, joints=joints, feet=feet)


def symmetrise(graph):
    """The body with each part moved halfway to the mirror image of its counterpart."""

    def halfway(parts, others):
        return (parts + others[linear_sum_assignment(cdist(parts, others))[1]]) / 2.0

    image = mirrored(graph)
    return replace(
        graph,
        joints=halfway(graph.joints, image.joints),
        feet=halfway(graph.feet, image.feet),
    )


def random_tree(rng, size):
    """Path lengths within a tree of which each node hangs on one before it, at random lengths."""
    lengths = np.zeros((size, size))
    for node in range(1, size):
        above, edge = rng.integers(node), rng.uniform(0.5, 1.5)
        lengths[node, :node] = lengths[:node, node] = lengths[above, :node] + edge
    return lengths


@given(
    seed=st.integers(0, 2**32),
    sizes=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    alpha=st.sampled_from([0.0, 0.1, 0.55, 0.9]),  # of trees alone many corners are equal
)
@few
def test_values_equal_pot_s_on_any_graphs(seed, sizes, alpha):
    rng = np.random.default_rng(seed)
    features = rng.uniform(size=sizes)
    first, second = (random_tree(rng, size) for size in sizes)
    with np.errstate(divide="ignore", invalid="ignore"):  # POT divides by values of zero
        expected = ot.gromov.fused_gromov_wasserstein2(
            features, first, second, *map(ot.unif, sizes), alpha=alpha, symmetric=True
        )
    own = fused_gromov_wasserstein(features, first, second, alpha)
    assert own == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert fused_gromov_wasserstein(features, first, second, alpha, "several") <= own
    turned = fused_gromov_wasserstein(features.T, second, first, alpha)
    assert turned == pytest.approx(own, rel=1e-6)


def test_distances_equal_pot_on_independently_computed_costs(all_bodies):
    tables = [
        np.vstack([np.zeros(23), graph.joints, np.pad(graph.feet, ((0, 0), (0, 13)))])
        for graph in all_bodies
    ]
    pooled = np.vstack(tables)
    varying = [c for c in range(23) if len(set(pooled[:, c])) > 1]
    mean, deviation = pooled[:, varying].mean(0), pooled[:, varying].std(0)
    nodes = [(table[:, varying] - mean) / deviation for table in tables]
    trees = [graph.path_lengths() for graph in all_bodies]
    longest = max(tree.max() for tree in trees)
    pairs = list(combinations(range(len(nodes)), 2))
    costs = {pair: ot.dist(*(nodes[i] for i in pair), metric="euclidean") for pair in pairs}
    largest = max(cost.max() for cost in costs.values())
    distances = distance_matrix(all_bodies)
    for (r, s), cost in costs.items():
        expected = ot.gromov.fused_gromov_wasserstein2(
            cost / largest, trees[r] / longest, trees[s] / longest, alpha=0.55
        )
        assert distances[r, s] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "metric", [BodyMetric(), BodyMetric(alpha=1.0), BodyMetric(start="several")]
)
def test_order_and_numbering_change_nothing(all_bodies, metric):
    distances = distance_matrix(all_bodies, metric)
    np.testing.assert_array_equal(distances, distances.T)
    assert not np.diagonal(distances).any()
    rng = np.random.default_rng(1)
    order = rng.permutation(len(all_bodies))
    shuffled = distance_matrix([relabelled(all_bodies[i], rng) for i in order], metric)
    np.testing.assert_allclose(shuffled, distances[np.ix_(order, order)], atol=1e-12)


def test_mirror_images_are_as_far_apart_as_the_bodies(all_bodies):
    even = [symmetrise(graph) for graph in all_bodies]
    images = [mirrored(graph) for graph in even]
    count = len(even)
    distances = distance_matrix(even + images)
    np.testing.assert_allclose(distances[count:, count:], distances[:count, :count], atol=1e-9)
    np.testing.assert_allclose(distances[:count, count:], distances[:count, :count], atol=1e-9)


def test_packaged_robots_are_nearly_their_own_mirror_images(all_bodies):
    """Not quite: axes and ranges are written as their makers wrote them."""
    count = len(all_bodies)
    distances = distance_matrix([*all_bodies, *map(mirrored, all_bodies)])
    assert np.diagonal(distances[:count, count:]).max() < 0.02
    assert distances[count:, count:] == pytest.approx(distances[:count, :count], abs=0.003)


def test_published_distances_are_met(all_bodies):
    distances = dict(
        zip(
            packaged_robots(),
            distance_matrix(all_bodies)[packaged_robots().index("unitree_a1")],
            strict=True,
        )
    )
    found = [distances[name] for name in PUBLISHED]
    assert found == sorted(found)
    assert found == pytest.approx(list(PUBLISHED.values()), abs=0.005)


def test_of_two_groups_one_is_a1_s(all_bodies):
    groups = cluster(distance_matrix(all_bodies), packaged_robots(), 2)
    (own,) = (group for group in groups if "unitree_a1" in group)
    assert {"unitree_go1", "barkour_vb", "hexapod"} <= set(own)
    assert "unitree_h1" not in own


def test_copies_are_no_way_apart(all_bodies):
    body, other = all_bodies[:2]
    copies = distance_matrix([body, body, other])
    assert copies[0, 1] == pytest.approx(0.0, abs=1e-12)
    assert copies[0, 2] == copies[1, 2] > 0.0


@pytest.mark.slow
def test_workers_give_the_same_bits(all_bodies):
    bodies, reported = all_bodies * 3, []

    def report(task, done, total):
        reported.append((done, total))

    parallel = distance_matrix(bodies, workers=2, progress=report)
    np.testing.assert_array_equal(parallel, distance_matrix(bodies, workers=1))
    assert reported == [(376, 1128), (752, 1128), (1128, 1128)]


def test_few_pairs_report_no_progress(all_bodies):
    def report(task, done, total):
        raise AssertionError("reported")

    distance_matrix(all_bodies, progress=report)


@posix
def test_killed_workers_change_nothing(all_bodies):
    killed = []

    def kill_workers(task, done, total):
        for process in multiprocessing.active_children():
            os.kill(process.pid, signal.SIGKILL)
            killed.append(process.pid)

    bodies = all_bodies * 3
    distances = distance_matrix(bodies, workers=2, progress=kill_workers)
    assert killed
    np.testing.assert_array_equal(distances, distance_matrix(bodies, workers=1))


SCRIPT = """
import multiprocessing
import signal
import threading
import time
import numpy as np
from bodyplan.grouping import BodyGraph, distance_matrix

# A shell's background jobs ignore SIGINT, and hand that on.
signal.signal(signal.SIGINT, signal.default_int_handler)

def print_workers(*progress):
    print(*(process.pid for process in multiprocessing.active_children()), flush=True)

def print_workers_and_wait(*progress):
    print_workers()
    time.sleep(120)  # until it is interrupted

def print_workers_once_they_start():
    while len(multiprocessing.active_children()) < 2:
        time.sleep(0.01)
    print_workers()

rng = np.random.default_rng(0)
edges = tuple((i, i + 1) for i in range(21))
graphs = [
    BodyGraph(("part",) * 22, edges, rng.normal(size=(20, 23)), rng.normal(size=(1, 10)))
    for _ in range(150)
]
"""


def workers_after(signal_number, script, folder):
    """Stop a script once it has printed its workers; it ends when no process holds its output."""
    path = folder / "script.py"
    path.write_text(SCRIPT + script)
    with subprocess.Popen(
        [sys.executable, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        workers = process.stdout.readline().split()
        process.send_signal(signal_number)
        process.communicate(timeout=60)
    assert process.returncode != 0
    return workers


@posix
@pytest.mark.slow
def test_an_interrupted_script_without_a_main_guard_leaves_no_workers(tmp_path):
    script = "distance_matrix(graphs, workers=2, progress=print_workers_and_wait)"
    assert len(workers_after(signal.SIGINT, script, tmp_path)) == 2


@posix
def test_a_killed_script_leaves_no_workers(tmp_path):
    script = """
threading.Thread(target=print_workers_once_they_start, daemon=True).start()
distance_matrix(graphs, workers=2)
"""
    assert len(workers_after(signal.SIGKILL, script, tmp_path)) == 2


def test_a_single_body_has_a_matrix_of_one_zero(all_bodies):
    np.testing.assert_array_equal(distance_matrix(all_bodies[:1]), [[0.0]])
