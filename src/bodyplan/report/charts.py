"""Charts of a page, declared from Python data in Vega-Lite's grammar.

A `Chart` is a Vega-Lite specification with a title, a caption and what a reader has instead of
seeing it: a description and a table of numbers. The macro `chart` of `figures.html.j2` puts it into
a page, and `page.js` draws it. Functions below declare the usual kinds; any other is a `Chart` with
a specification of its own. In that, two parameters are lists of names that the reader has switched
off: `hidden` of the chart's series, `robots` of the page's robots.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from bodyplan.report.label_spacing import space_labels
from bodyplan.report.series_styles import SeriesStyle

Curve = tuple[Sequence[float], Sequence[float]]
"""Places and values, such as updates and losses."""
Spec = dict[str, Any]
"""A part of a Vega-Lite specification."""

WITHOUT_HIDDEN: Spec = {
    "filter": "indexof(hidden, datum.series) < 0 && indexof(robots, datum.series) < 0"
}
"""The transform that leaves out the rows whose `series` the reader has switched off."""
WITHOUT_HIDDEN_ROWS: Spec = {"filter": "indexof(robots, datum.row) < 0"}
"""The same for rows whose `row` is a robot."""

_HEIGHT = 220
_POINTS = 200  # of a curve; more cannot be seen at a page's width
_LABEL_GAP = 14.0  # pixels from one label to the next below it
_LETTER = 6.5  # pixels
_LABELLED = 18  # series at most that have a label each
_FEW = 16  # points of a curve at most that are marked
_CELLS = 290  # pixels across all cells on half a page
_DIGITS = 6


@dataclass(frozen=True)
class NumbersTable:
    """A table that says in numbers what a chart shows."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Chart:
    """A chart of a page."""

    name: str
    """Different for each chart of a page: letters, digits and hyphens."""
    title: str
    spec: Spec
    """In Vega-Lite, without what `page.js` adds: width, theme, parameters `hidden` and `robots`."""
    description: str
    """What it shows, for readers who do not see it."""
    unit: str = ""
    """Of the vertical axis, shown behind the title."""
    caption: str = ""
    legend: Mapping[str, SeriesStyle] = field(default_factory=dict)
    """Series by name. They colour the tooltip, and are buttons above a chart that is not `filtered`
    where there are two or more."""
    points: bool = False
    """Whether its series are points, and not lines."""
    filtered: bool = False
    """Whether its series are the page's robots, which the filter of the page switches."""
    robot: str | None = None
    """The only robot that it shows; it is hidden with that robot."""
    numbers: NumbersTable | None = None
    wide: bool = False
    """Whether it takes the width of the page and not half of it."""

    @property
    def data(self) -> Markup:
        """What `page.js` reads, as JSON that is safe inside of HTML."""
        entries = [
            {
                "name": name,
                "colour": style.colour,
                "dash": () if self.points else style.dash,
                "sample": style.sample(self.points),
            }
            for name, style in self.legend.items()
        ]
        document = {"spec": _plain(self.spec), "legend": entries}
        text = json.dumps(document, separators=(",", ":"), allow_nan=False)
        return Markup(text.replace("<", "\\u003c").replace("&", "\\u0026"))


@dataclass(frozen=True)
class Interval:
    """A value with its interval, of one series in one row of a chart."""

    row: str
    series: str
    value: float | None
    low: float | None = None
    high: float | None = None


def style_channels(styles: Mapping[str, SeriesStyle], *channels: str) -> Spec:
    """Encodings of `series` by its style: of `color`, `strokeDash` and `shape`, as asked for."""
    ranges = {
        "color": [style.colour for style in styles.values()],
        "strokeDash": [list(style.dash) or [1, 0] for style in styles.values()],
        "shape": [style.marker for style in styles.values()],
    }
    return {
        channel: {
            "field": "series",
            "type": "nominal",
            "scale": {"domain": list(styles), "range": ranges[channel]},
            "legend": None,
        }
        for channel in channels
    }


def line_chart(
    name: str,
    title: str,
    series: Mapping[str, Curve],
    styles: Mapping[str, SeriesStyle],
    *,
    unit: str = "",
    x_title: str = "updates",
    log: bool = False,
    zero: bool = False,
    filtered: bool = False,
    caption: str = "",
    height: int = _HEIGHT,
    digits: int = 3,
) -> Chart:
    """Lines of several series, each labelled at its end.

    Args:
        name: of the chart, for `Chart`.
        title: what the values are.
        series: curves by name; a name without points is left out.
        styles: of each name.
        unit: of the values.
        x_title: what the places are.
        log: a logarithmic scale, if all values are positive.
        zero: whether the scale begins at zero.
        filtered: whether the series are the page's robots.
        caption: below the chart.
        height: of the plot, pixels.
        digits: of values in the tooltip and the table.
    """
    shown = {key: thinned(*curve) for key, curve in series.items() if len(curve[0])}
    legend = {key: styles[key] for key in shown}
    log = log and all(min(y) > 0.0 for _, y in shown.values())
    low, high = _domain([y for _, y in shown.values()], zero, log)
    scale = {"domain": [low, high], "nice": False, "type": "log" if log else "linear"}
    x: Spec = {"field": "x", "type": "quantitative", "title": x_title}
    x["scale"] = {"nice": False, "zero": False}
    y: Spec = {"field": "y", "type": "quantitative", "title": None, "scale": scale}
    if log:
        y["axis"] = {"values": _log_ticks(low, high)}
    rows = [{"series": key, "x": list(xs), "y": list(ys)} for key, (xs, ys) in shown.items()]
    few = all(len(xs) <= _FEW for xs, _ in shown.values())
    layers: list[Spec] = [
        {
            "mark": {"type": "line", "clip": True},
            "encoding": {"x": x, "y": y} | style_channels(legend, "color", "strokeDash"),
        },
        _reading(x, list(shown), x_title, digits),
    ]
    if few:
        layers.append(
            {
                "mark": {"type": "point", "filled": True, "size": 26, "opacity": 1},
                "encoding": {"x": x, "y": y} | style_channels(legend, "color", "shape"),
            }
        )
    spec: Spec = {
        "height": height,
        "data": {"values": rows},
        "transform": [{"flatten": ["x", "y"]}, WITHOUT_HIDDEN],
        "layer": layers,
    }
    if 1 < len(shown) <= _LABELLED:
        ends = {key: ys[-1] for key, (_, ys) in shown.items()}
        layers += _end_labels(ends, legend, (low, high), log, height)
    text = "; ".join(
        f"{key} from {decimal_text(ys[0], digits)} to {decimal_text(ys[-1], digits)}"
        for key, (_, ys) in list(shown.items())[:_LABELLED]
    )
    table = NumbersTable(
        ("", "first", "last", "least", "most"),
        tuple(
            (key, *(decimal_text(value, digits) for value in (ys[0], ys[-1], min(ys), max(ys))))
            for key, (_, ys) in shown.items()
        ),
    )
    return Chart(
        name,
        title,
        spec,
        f"{title} over {x_title}: {text}.",
        unit="log scale" if log and not unit else unit,
        caption=caption,
        legend=legend,
        filtered=filtered,
        numbers=table,
    )


def interval_chart(
    name: str,
    title: str,
    values: Sequence[Interval],
    styles: Mapping[str, SeriesStyle],
    *,
    unit: str = "",
    zero: bool = True,
    caption: str = "",
    row_height: int = 26,
    separate: bool = True,
    digits: int = 3,
    wide: bool = False,
) -> Chart:
    """Points with intervals, a row for each name: returns by robot, scores by method.

    Args:
        name: of the chart, for `Chart`.
        title: what the values are.
        values: in the order of rows; those without a value are left out.
        styles: of each series.
        unit: of the values.
        zero: whether the scale begins at zero.
        caption: below the chart.
        row_height: pixels.
        separate: whether the series of a row are one below the other, and not on one line.
        digits: of values in the tooltip and the table.
        wide: whether it takes the width of the page.
    """
    known = [own for own in values if own.value is not None]
    rows = list(dict.fromkeys(own.row for own in known))
    legend = {key: styles[key] for key in styles if any(own.series == key for own in known)}
    y: Spec = {"field": "row", "type": "nominal", "title": None, "sort": rows}
    y["axis"] = {"labelColor": "var(--ink)", "grid": True}
    offset: Spec = {}
    if separate and len(legend) > 1:
        offset = {"yOffset": {"field": "series", "sort": list(legend), "scale": {"padding": 0.4}}}
    x = {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": zero}}
    colour = style_channels(legend, "color")
    tip = [
        {"field": "row", "title": "row"},
        {"field": "series", "title": "series"},
        {"field": "value", "format": f".{digits}~g", "title": title},
        {"field": "interval", "title": "interval"},
    ]
    spec: Spec = {
        "height": max(row_height * len(rows) * (max(1, len(legend)) / 2 if offset else 1), 40),
        "data": {
            "values": [
                {
                    "row": own.row,
                    "series": own.series,
                    "value": own.value,
                    "low": own.low,
                    "high": own.high,
                    "interval": _interval_text(own, digits),
                }
                for own in known
            ]
        },
        "transform": [WITHOUT_HIDDEN, WITHOUT_HIDDEN_ROWS],
        "layer": [
            {
                "transform": [{"filter": "isValid(datum.low)"}],
                "mark": {"type": "rule", "strokeWidth": 1.4},
                "encoding": {"y": y, "x": x | {"field": "low"}, "x2": {"field": "high"}}
                | offset
                | colour,
            },
            {
                "mark": {"type": "point", "filled": True, "size": 58, "opacity": 1},
                "encoding": {"y": y, "x": x, "tooltip": tip}
                | offset
                | style_channels(legend, "color", "shape"),
            },
        ],
    }
    sentences = [f"{own.row}, {own.series}: {decimal_text(own.value, digits)}" for own in known]
    table = NumbersTable(
        ("", "series", "value", "interval"),
        tuple(
            (
                own.row,
                own.series,
                decimal_text(own.value, digits),
                _interval_text(own, digits) or "–",
            )
            for own in known
        ),
    )
    return Chart(
        name,
        title,
        spec,
        f"{title}. {'; '.join(sentences[:_LABELLED])}.",
        unit=unit,
        caption=caption,
        legend=legend,
        points=True,
        numbers=table,
        wide=wide,
    )


def heat_map(
    name: str,
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Float[np.ndarray, "R C"],
    *,
    colours: Sequence[str] = ("#08406b", "#5b9bc8", "#e9eff3"),
    limits: tuple[float, float] | None = None,
    form: str = ".2f",
    unit: str = "",
    caption: str = "",
    cell: int = 26,
    filtered: bool = False,
    digits: int = 3,
) -> Chart:
    """A matrix as coloured cells, with numbers where there is room.

    Args:
        name: of the chart, for `Chart`.
        title: what the values are.
        rows: names, from top to bottom.
        columns: names, from left to right.
        values: a number for each cell; NaN for none.
        colours: of the lowest value, between, and of the highest.
        limits: values of the first and the last colour; the least and the most by default.
        form: format of the numbers in cells, as d3-format has it.
        unit: of the values.
        caption: below the chart.
        cell: height of a row in pixels.
        filtered: whether rows and columns are the page's robots, which the filter fades.
        digits: of values in the tooltip and the table.
    """
    matrix = np.asarray(values, float)
    known = matrix[np.isfinite(matrix)]
    limits = limits or ((float(known.min()), float(known.max())) if known.size else (0.0, 1.0))
    steps = np.linspace(limits[0], limits[1], len(colours)).tolist()
    cells = [
        {"row": row, "column": column, "value": float(matrix[i, j])}
        for i, row in enumerate(rows)
        for j, column in enumerate(columns)
        if np.isfinite(matrix[i, j])
    ]
    y: Spec = {"field": "row", "type": "nominal", "sort": list(rows), "title": None}
    x: Spec = {"field": "column", "type": "nominal", "sort": list(columns), "title": None}
    across = _LETTER * max(map(len, columns), default=0) * len(columns) > _CELLS
    axis: Spec = {"labelColor": "var(--ink)", "grid": False, "ticks": False}
    y["axis"] = axis
    x["axis"] = axis | {"labelAngle": -90 if across else 0}
    shade: Spec = {"field": "value", "type": "quantitative", "legend": None}
    shade["scale"] = colour_scale(steps, colours)
    faded: Spec = {"value": 1}
    if filtered:
        test = "indexof(robots, datum.row) >= 0 || indexof(robots, datum.column) >= 0"
        faded = {"condition": {"test": test, "value": 0.08}, "value": 1}
    tip = [
        {"field": "row", "title": "row"},
        {"field": "column", "title": "column"},
        {"field": "value", "format": f".{digits}~g", "title": title},
    ]
    layers: list[Spec] = [
        {
            "mark": {"type": "rect", "stroke": "var(--paper)", "strokeWidth": 1},
            "encoding": {"x": x, "y": y, "color": shade, "opacity": faded, "tooltip": tip},
        }
    ]
    if len(columns) <= 8:
        light = _is_dark_test(colours, steps)
        layers.append(
            {
                "mark": {"type": "text", "fontSize": 12, "tooltip": None},
                "encoding": {
                    "x": x,
                    "y": y,
                    "opacity": faded,
                    "text": {"field": "value", "type": "quantitative", "format": form},
                    "color": {"condition": {"test": light, "value": "#fff"}, "value": "#1a1a1a"},
                },
            }
        )
    spec: Spec = {"height": cell * len(rows), "data": {"values": cells}, "layer": layers}
    table = NumbersTable(
        ("", *columns),
        tuple(
            (row, *(decimal_text(float(value), digits) for value in matrix[i]))
            for i, row in enumerate(rows)
        ),
    )
    extent = "unknown"
    if known.size:
        ends = [decimal_text(float(end), digits) for end in (known.min(), known.max())]
        extent = " to ".join(ends)
    description = f"{title} of {', '.join(rows)}: values {extent}."
    return Chart(
        name,
        title,
        spec,
        description,
        unit=unit,
        caption=caption,
        filtered=filtered,
        numbers=table,
    )


def colour_scale(values: Sequence[float], colours: Sequence[str]) -> Spec:
    """A scale of colours that are at these values, and mixed between them."""
    mixed = {"domain": list(values), "range": list(colours), "clamp": True}
    return mixed | {"interpolate": "rgb"}


def thinned(x: Sequence[float], y: Sequence[float]) -> Curve:
    """Average neighbouring points if there are more than can be seen."""
    if len(x) <= _POINTS:
        return x, y
    size = -(-len(x) // _POINTS)
    starts = np.arange(0, len(x), size)
    counts = np.diff(np.append(starts, len(x)))
    xs, ys = (np.add.reduceat(np.asarray(own, float), starts) / counts for own in (x, y))
    return xs.tolist(), ys.tolist()


def _reading(x: Spec, names: Sequence[str], x_title: str, digits: int) -> Spec:
    """A vertical line at the place under the pointer, with all values there."""
    values = [
        {"field": _escaped(name), "type": "quantitative", "format": f".{digits}~g", "title": name}
        for name in names
    ]
    place = {"field": "x", "type": "quantitative", "format": ",.0f", "title": x_title}
    nearest = {"type": "point", "fields": ["x"], "nearest": True, "on": "pointermove"}
    return {
        "transform": [{"pivot": "series", "value": "y", "groupby": ["x"]}],
        "params": [{"name": "reading", "select": nearest | {"clear": "pointerout"}}],
        "mark": {"type": "rule", "color": "var(--muted)", "strokeWidth": 1},
        "encoding": {
            "x": x,
            "opacity": {
                "condition": {"param": "reading", "empty": False, "value": 0.6},
                "value": 0,
            },
            "tooltip": [place, *values],
        },
    }


def _end_labels(
    ends: Mapping[str, float],
    legend: Mapping[str, SeriesStyle],
    domain: tuple[float, float],
    log: bool,
    height: int,
) -> list[Spec]:
    """A piece of the line and its name at the right of the plot, none over another."""
    low, high = (math.log(edge) if log else edge for edge in domain)
    scale = height / ((high - low) or 1.0)
    heights = [((math.log(value) if log else value) - low) * scale for value in ends.values()]
    places = [height - place for place in space_labels(heights, _LABEL_GAP, 0.0, height)]
    rows = [{"series": key, "place": place} for key, place in zip(ends, places, strict=True)]
    own = {"data": {"values": rows}, "transform": [WITHOUT_HIDDEN]}
    y: Spec = {"y": {"value": {"expr": "datum.place"}}}
    piece = {"x": {"value": {"expr": "width + 6"}}, "x2": {"value": {"expr": "width + 22"}}}
    text = {"x": {"value": {"expr": "width + 26"}}, "text": {"field": "series"}}
    return [
        own
        | {
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": y | piece | style_channels(legend, "color", "strokeDash"),
        },
        own
        | {
            "mark": {"type": "text", "align": "left", "fontSize": 12},
            "encoding": y | text,
        },
    ]


_LARGEST = 1e150


def _domain(columns: Sequence[Sequence[float]], zero: bool, log: bool) -> tuple[float, float]:
    """Limits of the vertical scale, with a little room."""
    values = [value for column in columns for value in column if value > 0.0 or not log]
    low, high = (min(values), max(values)) if values else (float(log), 1.0)
    low, high = max(low, -_LARGEST), min(high, _LARGEST)  # a scale that ends before floats do
    if log:
        low = max(low, 1.0 / _LARGEST)
        room = (high / low) ** 0.04 if high > low else 2.0
        return low / room, high * room
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    room = 0.04 * (high - low) or 0.5 * abs(high) or 1.0
    return low - room if low or not zero else 0.0, high + room


def _log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten, and multiples of these where there would be fewer than three."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0)):
        ticks = [factor * 10.0**n for n in exponents for factor in factors]
        kept = [tick for tick in ticks if low <= tick <= high]
        if len(kept) > 2:
            break
    return kept


def _is_dark_test(colours: Sequence[str], steps: Sequence[float]) -> str:
    """The expression that is true where a cell's colour is dark, so that its number is white."""
    dark = [_lightness(colour) < 0.4 for colour in colours]
    parts = []
    for index, own in enumerate(dark):
        if not own:
            continue
        low = (steps[index - 1] + steps[index]) / 2.0 if index else -math.inf
        high = (steps[index] + steps[index + 1]) / 2.0 if index + 1 < len(steps) else math.inf
        edges = [f"datum.value >= {low}"] if low > -math.inf else []
        edges += [f"datum.value < {high}"] if high < math.inf else []
        parts.append(f"({' && '.join(edges) or 'true'})")
    return " || ".join(parts) or "false"


def _lightness(colour: str) -> float:
    red, green, blue = (int(colour[at : at + 2], 16) / 255.0 for at in (1, 3, 5))
    return 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2


def _interval_text(own: Interval, digits: int) -> str | None:
    if own.low is None or own.high is None:
        return None
    return f"{decimal_text(own.low, digits)} to {decimal_text(own.high, digits)}"


def decimal_text(value: float | None, digits: int = 3) -> str:
    """A number in plain digits, for tables and descriptions."""
    if value is None or not math.isfinite(value):
        return "–"
    if value and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.{digits - 1}e}".replace("-", "−")
    rounded = float(f"{value:.{digits}g}")
    text = f"{rounded:z,.{max(0, digits - 1 - _magnitude(rounded))}f}"
    return text.replace("-", "−")


def _magnitude(value: float) -> int:
    return math.floor(math.log10(abs(value))) if value else 0


def _escaped(name: str) -> str:
    """A name as a field of Vega-Lite, in which points and brackets are paths."""
    for sign in ("\\", ".", "[", "]"):
        name = name.replace(sign, f"\\{sign}")
    return name


def _plain(value: Any) -> Any:
    """The same with rounded numbers, and null for those that JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        rounded = float(f"{value:.{_DIGITS}g}")
        return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded
    return value
