"""The chart of bodies: distances in the order of their dendrogram, and its cut into groups."""

import json
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from bodyplan.report.charts import Chart, NumbersTable, Spec, colour_scale, decimal_text

_COLOURS = ("#08406b", "#5b9bc8", "#e9eff3")
_NUMBERED = 8  # robots at most whose distances are written into the cells
_CELL = {True: 40, False: 21}  # pixels, with and without numbers


def distance_chart(
    names: Sequence[str],
    distances: Float[np.ndarray, "R R"],
    tree: Float[np.ndarray, "merges 4"],
    count: int,
) -> Chart:
    """Distances between bodies as a matrix below their dendrogram, which is cut into groups.

    Args:
        names: of the robots.
        distances: between their bodies.
        tree: merges of clusters in SciPy's format.
        count: number of groups that the tree is cut into.
    """
    from scipy.cluster.hierarchy import leaves_list

    order: list[int] = leaves_list(tree).tolist() if len(tree) else [0]
    ordered = [names[index] for index in order]
    matrix = np.asarray(distances, float)[np.ix_(order, order)]
    size, largest = len(order), float(matrix.max()) or 1.0
    numbered = size <= _NUMBERED
    rise = 0.45 * max(size, 3) if len(tree) else 0.0  # height of the tree, in cells
    cells = [
        {"row": row, "column": column, "value": float(matrix[i, j])}
        | {"x": j, "x2": j + 1, "middle": j + 0.5, "y": i, "y2": i + 1, "centre": i + 0.5}
        for i, row in enumerate(ordered)
        for j, column in enumerate(ordered)
    ]
    axis: Spec = {
        "values": [index + 0.5 for index in range(size)],
        "labelExpr": f"{json.dumps(ordered)}[floor(datum.value)]",
        "labelColor": "var(--ink)",
        "grid": False,
        "ticks": False,
        "domain": False,
        "labelOverlap": False,
        "labelFlush": False,
        "tickCount": size,
    }
    x: Spec = {"field": "x", "type": "quantitative", "title": None}
    x |= {"scale": {"domain": [0, size], "nice": False}}
    x |= {"axis": axis | {"labelAngle": 0 if numbered and size <= 4 else -90}}
    y: Spec = {"field": "y", "type": "quantitative", "title": None, "axis": axis}
    y["scale"] = {"domain": [-1.1 * rise - 0.1, size], "nice": False, "reverse": True}
    hidden = "indexof(robots, datum.row) >= 0 || indexof(robots, datum.column) >= 0"
    faded = {"condition": {"test": hidden, "value": 0.08}, "value": 1}
    shade: Spec = {"field": "value", "type": "quantitative", "legend": None}
    shade["scale"] = colour_scale([0.0, largest / 2.0, largest], _COLOURS)
    layers: list[Spec] = [
        {
            "data": {"values": cells},
            "mark": {"type": "rect", "stroke": "var(--paper)", "strokeWidth": 1},
            "encoding": {
                "x": x,
                "x2": {"field": "x2"},
                "y": y,
                "y2": {"field": "y2"},
                "color": shade,
                "opacity": faded,
                "tooltip": [
                    {"field": "row", "title": "robot"},
                    {"field": "column", "title": "and"},
                    {"field": "value", "title": "distance", "format": ".3f"},
                ],
            },
        }
    ]
    if numbered:
        white = {"condition": {"test": f"datum.value < {0.62 * largest}", "value": "#fff"}}
        layers.append(
            {
                "data": {"values": cells},
                "mark": {"type": "text", "fontSize": 12, "tooltip": None},
                "encoding": {
                    "x": x | {"field": "middle"},
                    "y": y | {"field": "centre"},
                    "opacity": faded,
                    "text": {"field": "value", "type": "quantitative", "format": ".2f"},
                    "color": white | {"value": "#1a1a1a"},
                },
            }
        )
    layers += _tree_layers(tree, count, rise, size, x, y)
    spec: Spec = {"height": int((size + 1.1 * rise + 0.1) * _CELL[numbered]), "layer": layers}
    cut = f", cut into {count} groups" if count > 1 else ""
    return Chart(
        "body-distances",
        "Distances between bodies",
        spec,
        f"Distances between the bodies of {', '.join(ordered)}, in the order of their "
        f"dendrogram{cut}. The largest is {decimal_text(largest)}.",
        caption=f"Distances and their dendrogram by Ward's method{cut}. Dark is near.",
        numbers=NumbersTable(
            ("", *ordered),
            tuple(
                (name, *(f"{value:.2f}" for value in matrix[index]))
                for index, name in enumerate(ordered)
            ),
        ),
    )


def cut_level(heights: Float[np.ndarray, "merges"], count: int) -> float | None:
    """Height at which a dendrogram is cut into `count` groups; None for a single group."""
    kept = len(heights) + 1 - count
    if kept >= len(heights):
        return None
    return float(heights[kept] + (heights[kept - 1] if kept else 0.0)) / 2.0


def _tree_layers(
    tree: Float[np.ndarray, "merges 4"], count: int, rise: float, size: int, x: Spec, y: Spec
) -> list[Spec]:
    """The dendrogram above the matrix; merges above the cut are dashed."""
    from scipy.cluster.hierarchy import dendrogram

    if not len(tree):
        return []
    heights = tree[:, 2]
    scale, level = rise / (float(heights[-1]) or 1.0), cut_level(heights, count)
    drawn = dendrogram(tree, no_plot=True)
    merges = list(zip(drawn["icoord"], drawn["dcoord"], strict=True))
    points = [
        {
            "merge": index,
            "x": across / 10.0,
            "y": -0.1 - scale * up,
            "order": place,
            "kept": level is None or ups[1] <= level,
        }
        for index, (acrosses, ups) in enumerate(merges)
        for place, (across, up) in enumerate(zip(acrosses, ups, strict=True))
    ]
    layers: list[Spec] = [
        {
            "data": {"values": points},
            "mark": {"type": "line", "strokeWidth": 1.1, "color": "var(--ink)"},
            "encoding": {
                "x": x,
                "y": y,
                "detail": {"field": "merge"},
                "order": {"field": "order"},
                "strokeDash": {
                    "field": "kept",
                    "type": "nominal",
                    "legend": None,
                    "scale": {"domain": [True, False], "range": [[1, 0], [2, 3]]},
                },
            },
        }
    ]
    if level is not None:
        line = [{"x": 0, "x2": size, "y": -0.1 - scale * level}]
        layers.append(
            {
                "data": {"values": line},
                "mark": {"type": "rule", "color": "var(--series-1)", "strokeWidth": 1},
                "encoding": {"x": x, "x2": {"field": "x2"}, "y": y},
            }
        )
    return layers
