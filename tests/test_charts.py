"""Charts declared from Python data, and what a reader has instead of seeing them."""

import json
import re

import numpy as np
import pytest

from bodyplan.report.charts import (
    Chart,
    Interval,
    heat_map,
    interval_chart,
    line_chart,
    thinned,
)
from bodyplan.report.series_styles import series_styles

NAMES = ("ant", "bee", "cow")
STYLES = series_styles(NAMES)
CURVES = {
    "ant": ([1.0, 2.0, 3.0], [0.5, 1.0, 2.0]),
    "bee": ([1.0, 2.0, 3.0], [4.0, 4.0, 3.9]),
    "cow": ([], []),
}


def document(chart):
    return json.loads(str(chart.data))


def find(tree, key):
    """All values under a key, wherever they are."""
    if isinstance(tree, dict):
        own = [tree[key]] if key in tree else []
        return own + [found for part in tree.values() for found in find(part, key)]
    return [found for part in tree for found in find(part, key)] if isinstance(tree, list) else []


def test_a_line_chart_has_the_curves_and_says_them_in_words_and_numbers():
    chart = line_chart("loss", "Loss", CURVES, STYLES)
    (rows,) = (values for values in find(document(chart), "values") if "x" in values[0])
    assert {row["series"]: row["y"] for row in rows} == {"ant": [0.5, 1, 2], "bee": [4, 4, 3.9]}
    assert "ant from 0.500 to 2.00" in chart.description
    assert "cow" not in chart.description
    assert chart.numbers.rows[1] == ("bee", "4.00", "3.90", "3.90", "4.00")
    assert list(chart.legend) == ["ant", "bee"]


def test_lines_are_labelled_at_their_ends_in_the_order_of_their_values():
    places = {
        row["series"]: row["place"]
        for values in find(document(line_chart("a", "A", CURVES, STYLES)), "values")
        for row in values
        if isinstance(row, dict) and "place" in row
    }
    assert places["bee"] < places["ant"]  # pixels count downwards
    alone = line_chart("a", "A", {"ant": CURVES["ant"]}, STYLES)
    assert "place" not in str(alone.data)


def test_a_log_scale_gives_way_to_values_that_are_not_positive():
    assert "log" in find(document(line_chart("a", "A", CURVES, STYLES, log=True)), "type")
    with_zero = {**CURVES, "bee": ([1.0], [0.0])}
    assert "log" not in find(document(line_chart("a", "A", with_zero, STYLES, log=True)), "type")


def test_long_curves_are_thinned_to_their_means():
    x = np.arange(20_000.0).tolist()
    places, values = thinned(x, x)
    assert len(places) == len(values) == 200
    assert values[0] == pytest.approx(np.mean(x[:100]))
    assert len(str(line_chart("a", "A", {"ant": (x, x)}, STYLES).data)) < 8_000


def test_what_json_or_html_cannot_hold_does_no_harm():
    spec = {"title": "</script><b>&", "value": float("nan"), "many": np.float32(1.5)}
    text = str(Chart("a", "A", spec, "a chart").data)
    assert not re.search("[<&]", text)
    assert json.loads(text)["spec"] == {"title": "</script><b>&", "value": None, "many": 1.5}


def test_intervals_that_are_unknown_are_left_out():
    values = [
        Interval("go1", "ant", 40.0, 38.0, 42.0),
        Interval("go1", "bee", 12.5),
        Interval("b1", "cow", None),
    ]
    chart = interval_chart("r", "Return", values, STYLES)
    (rows,) = (found for found in find(document(chart), "values") if "low" in found[0])
    assert [(row["value"], row["low"]) for row in rows] == [(40, 38), (12.5, None)]
    assert chart.numbers.rows[0] == ("go1", "ant", "40.0", "38.0 to 42.0")
    assert "b1" not in str(chart.data)


@pytest.mark.parametrize("size", [1, 4, 16])
def test_a_matrix_names_all_rows_and_has_numbers_where_there_is_room(size):
    names = [f"robot{i}" for i in range(size)]
    chart = heat_map("d", "Distance", names, names, np.eye(size))
    assert len(chart.numbers.rows) == size
    assert (".2f" in find(document(chart), "format")) == (size <= 8)


def test_eighteen_series_have_styles_of_their_own():
    styles = series_styles(str(index) for index in range(18)).values()
    assert len({(style.colour, style.dash) for style in styles}) == 18
    assert len({(style.colour, style.marker) for style in styles}) == 18


@pytest.mark.parametrize("log", [True, False])
def test_values_near_the_end_of_floats_are_drawn(log):
    curves = {"ant": ([1.0, 2.0], [1e-300, 1.7e308]), "bee": ([1.0, 2.0], [3.0, 4.0])}
    spec = line_chart("losses", "Losses", curves, STYLES, log=log).spec
    json.dumps(spec, allow_nan=False)
