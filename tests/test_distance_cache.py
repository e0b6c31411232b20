"""Kept distances: found again, never wrong, and no cause of failure."""

from dataclasses import replace

import numpy as np
import pytest

from bodyplan.grouping import BodyMetric, body_graph
from bodyplan.grouping.distance_cache import cache_key, read_or_compute
from bodyplan.grouping.embodiment_distances import embodiment_distances
from bodyplan.locking import writer_lock

NAMES = ["unitree_go1", "hexapod", "badger"]
MATRIX = np.array([[0.0, 2.0], [2.0, 0.0]])


@pytest.fixture
def graphs(load):
    return [body_graph(load(name)) for name in NAMES]


def never():
    raise AssertionError("computed again")


def test_what_was_computed_is_found_again(tmp_path):
    path = tmp_path / "new" / "a.safetensors"
    np.testing.assert_array_equal(read_or_compute(path, 2, lambda: MATRIX), MATRIX)
    np.testing.assert_array_equal(read_or_compute(path, 2, never), MATRIX)
    assert [file.name for file in path.parent.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("place", [0, 40, -1])
def test_a_damaged_file_is_computed_again_and_mended(tmp_path, place):
    path = tmp_path / "a.safetensors"
    read_or_compute(path, 2, lambda: MATRIX)
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)
    np.testing.assert_array_equal(read_or_compute(path, 2, lambda: MATRIX), MATRIX)
    np.testing.assert_array_equal(read_or_compute(path, 2, never), MATRIX)


def test_a_cut_file_and_one_of_other_robots_are_computed_again(tmp_path):
    path = tmp_path / "a.safetensors"
    read_or_compute(path, 2, lambda: MATRIX)
    other = read_or_compute(path, 3, lambda: np.zeros((3, 3)))
    assert other.shape == (3, 3)
    path.write_bytes(path.read_bytes()[:-9])
    np.testing.assert_array_equal(read_or_compute(path, 3, lambda: other), other)


def test_where_nothing_can_be_written_distances_are_still_given(tmp_path):
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "a.safetensors"
    np.testing.assert_array_equal(read_or_compute(path, 2, lambda: MATRIX), MATRIX)


def test_while_another_process_writes_nothing_is_kept(tmp_path):
    path = tmp_path / "a.safetensors"
    with writer_lock(path):
        np.testing.assert_array_equal(read_or_compute(path, 2, lambda: MATRIX), MATRIX)
    assert not path.exists()


def test_whatever_decides_distances_decides_the_name(graphs):
    own = cache_key(graphs, BodyMetric(), None)
    moved = replace(graphs[0], joints=graphs[0].joints + 1e-9)
    hung = replace(graphs[0], edges=((0, 1), (0, 2), *graphs[0].edges[2:]))
    assert hung.edges != graphs[0].edges
    others = [
        cache_key(graphs[::-1], BodyMetric(), None),
        cache_key(graphs[:2], BodyMetric(), None),
        cache_key([moved, *graphs[1:]], BodyMetric(), None),
        cache_key([hung, *graphs[1:]], BodyMetric(), None),
        cache_key(graphs, BodyMetric(alpha=0.5), None),
        cache_key(graphs, BodyMetric(), 2),
    ]
    assert len({own, *others}) == 7
    renamed = [replace(graph, nodes=tuple(node + "x" for node in graph.nodes)) for graph in graphs]
    assert cache_key(renamed, BodyMetric(), None) == own


def test_distances_between_robots_are_kept_where_a_folder_is_given(tmp_path):
    plain = embodiment_distances(NAMES)
    assert not list(tmp_path.iterdir())
    first = embodiment_distances(NAMES, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    again = embodiment_distances(NAMES, cache=tmp_path)
    assert file.stat().st_mtime_ns == written
    for matrix in (first, again):
        np.testing.assert_array_equal(matrix, plain)
    assert (embodiment_distances(NAMES, landmarks=1, cache=tmp_path) != plain).any()
    assert len(list(tmp_path.iterdir())) == 2
