"""Figures as SVG that can stand side by side in a page."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from bodyplan.grouping.clustering import cluster, merge_tree
from bodyplan.report.figure_style import PAGE_INK, PAGE_MUTED, PALETTE
from bodyplan.report.run_figures import (
    ReturnRow,
    cut_level,
    plot_curves,
    plot_distances,
    plot_histograms,
    plot_returns,
    robot_colours,
)

NAMES = ("ant", "bee", "cow", "dog")
SVG = "{http://www.w3.org/2000/svg}"


def texts(svg):
    return [
        "".join(node.itertext()).strip() for node in ElementTree.fromstring(svg).iter(SVG + "text")
    ]


def tree_of(size, seed=0):
    points = np.random.default_rng(seed).normal(size=(size, 3))
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    names = [f"robot{i}" for i in range(size)]
    return names, distances, merge_tree(distances, names)


def test_figures_are_self_contained_take_the_colours_of_the_page_and_share_no_ids():
    names, distances, tree = tree_of(4)
    rows = [ReturnRow("ant", 40.0, 1.0, 15.0, 50.0)]
    drawn = [
        plot_curves("Loss", "loss", {"ant": ([1.0, 2.0], [3.0, 4.0])}, {}),
        plot_curves("Q", "value", {"ant": ([1.0, 2.0], [3.0, 4.0])}, {}),
        plot_returns(rows),
        plot_distances(names, distances, tree, 2),
        plot_histograms("ant", np.arange(9.0), np.arange(90.0), 4.0, 8.0),
    ]
    ids = re.findall(r'\bid="([^"]+)"', "".join(drawn))
    assert len(ids) == len(set(ids)) > 10
    for svg in drawn:
        root = ElementTree.fromstring(svg)
        assert root.tag == SVG + "svg"
        assert root.get("viewBox")
        assert root.get("width") is None
        assert root.get("aria-label")
        assert "currentColor" in svg
        assert PAGE_INK not in svg
        assert PAGE_MUTED not in svg
        assert not re.search(r'(href|src)="(?!#)', svg)
        targets = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
        assert targets <= set(re.findall(r'\bid="([^"]+)"', svg))


def test_equal_figures_are_equal_bytes():
    rows = [ReturnRow("ant", 40.0, 1.0, 15.0, 50.0)]
    assert plot_returns(rows) == plot_returns(rows)


def test_curves_are_labelled_where_there_are_several():
    series = {"ant": ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]), "bee": ([1.0, 2.0, 3.0], [1.0, 1.0, 1.0])}
    assert {"ant", "bee", "Loss", "updates"} <= set(texts(plot_curves("Loss", "loss", series, {})))
    alone = {"ant": series["ant"], "none": ([], [])}
    assert "ant" not in texts(plot_curves("Loss", "loss", alone, {}))


def test_labels_stand_at_the_height_of_their_lines_ends():
    series = {"low": ([0.0, 1.0], [0.0, 0.0]), "high": ([0.0, 1.0], [0.0, 10.0])}
    root = ElementTree.fromstring(plot_curves("Loss", "loss", series, {}))
    places = {"".join(text.itertext()): text.get("y") for text in root.iter(SVG + "text")}
    ticks = {"low": places["0.0"], "high": places["10.0"]}
    for name, height in ticks.items():
        assert float(places[name]) == pytest.approx(float(height), abs=3.0)


def test_a_log_scale_gives_way_to_values_that_are_not_positive():
    positive = {"ant": ([1.0, 2.0], [1e-4, 1e-2])}
    exponent = re.compile(r">[-−]<")
    assert exponent.search(plot_curves("Loss", "loss", positive, {}, log=True))
    zero = {"ant": ([1.0, 2.0], [0.0, 1e-2])}
    assert not exponent.search(plot_curves("Loss", "loss", zero, {}, log=True))


def test_long_curves_are_thinned_to_what_can_be_seen():
    x = np.arange(20_000.0).tolist()
    assert len(plot_curves("Loss", "loss", {"ant": (x, x)}, {})) < 30_000


def test_only_known_returns_are_labelled():
    rows = [ReturnRow("ant", 41.25, 2.0, 15.5, None), ReturnRow("bee", None, None, 7.75, 33.0)]
    shown = texts(plot_returns(rows))
    assert {"ant", "bee", "41.2 policy", "15.5 data", "7.8", "33.0 expert"} <= set(shown)
    assert not any("0.0" in text for text in shown)


def test_bars_are_as_long_as_their_returns():
    svg = plot_returns([ReturnRow("ant", 40.0, None, 10.0, None)])
    data, policy = (
        re.search(rf'd="([^"]+)"[^>]*{colour}', svg)[1] for colour in ("#9a9a94", PALETTE[0])
    )
    widths = [
        np.ptp([float(x) for x in re.findall(r"[ML] (\S+)", path)]) for path in (data, policy)
    ]
    assert widths[1] / widths[0] == pytest.approx(4.0, rel=1e-3)


@pytest.mark.parametrize("size", [1, 2, 4, 16])
def test_the_matrix_names_every_robot_at_any_size(size):
    names, distances, tree = tree_of(size)
    for count in {1, min(2, size), size}:
        shown = texts(plot_distances(names, distances, tree, count))
        assert all(shown.count(name) == 2 for name in names)
        assert (f"cut: {count} groups" in shown) == (count > 1)


def test_the_cut_separates_the_merges_of_as_many_groups():
    names, distances, tree = tree_of(9, seed=5)
    assert cut_level(tree[:, 2], 1) is None
    for count in range(2, 10):
        level = cut_level(tree[:, 2], count)
        assert (tree[:, 2] > level).sum() == count - 1 == len(cluster(distances, names, count)) - 1


def test_every_robot_has_a_colour_of_its_own_until_they_run_out():
    assert len(set(robot_colours(NAMES, [NAMES]).values())) == 4
    many = [f"robot{i}" for i in range(16)]
    by_group = robot_colours(many, [many[:10], many[10:]])
    assert set(by_group.values()) == set(PALETTE[:2])
    assert len({by_group[name] for name in many[:10]}) == 1


def test_histograms_stand_without_policy_expert_or_reward():
    shown = texts(plot_histograms("ant", np.zeros(3), np.zeros(30), None, None))
    assert "ant" in shown
    assert "policy" not in shown
