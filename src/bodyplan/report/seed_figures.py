"""Figures of means over seeds with their 95 % intervals: in rows, or as curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bodyplan.evaluation.significance import SeedMean
from bodyplan.report.figure_style import PALETTE, use_figure_style
from bodyplan.report.small_multiples import (
    INK,
    new_panels,
    reproducible_metadata,
    set_panel_title,
    style_axes,
)

_MARKERS = "osv^Dp"


@dataclass(frozen=True)
class SeedCurve:
    """Means over seeds at some places."""

    x: Sequence[float]
    values: Sequence[SeedMean]


def draw_rows(
    rows: Mapping[str, Mapping[str, SeedMean]],
    label: str,
    path: Path,
    reported: Mapping[str, Mapping[str, float]] | None = None,
) -> None:
    """A row for each of several things, with a dot and an interval for each series.

    Args:
        rows: means by row and series.
        label: of the axis.
        path: the file to write; its suffix decides the format.
        reported: values of the paper by row and series, drawn as hollow dots.
    """
    names = list(dict.fromkeys(name for own in rows.values() for name in own))
    with use_figure_style(), rc_context({"svg.hashsalt": "rows"}):
        figure = _figure(5.6, 1.0 + len(rows) * max(0.28, 0.13 * len(names)))
        axes = figure.subplots()
        for index, name in enumerate(names):
            offset = 0.22 * (index - (len(names) - 1) / 2) / max(1, (len(names) - 1) / 2)
            _dots(axes, rows, reported or {}, name, index, offset)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(left=0.0)  # neither returns nor times are negative
        axes.grid(axis="y", color="#e6e5e0", linewidth=0.5)
        axes.set_axisbelow(True)
        axes.set_xlabel(label)
        style_axes(axes)
        if len(names) > 1 or reported:
            _legend(figure, axes)
        figure.savefig(path, dpi=200, facecolor="white", metadata=reproducible_metadata(path))


def draw_curves(
    curves: Mapping[str, SeedCurve],
    labels: tuple[str, str],
    path: Path,
    ticks: Sequence[float] | None = None,
) -> None:
    """A line with a band for each series.

    Args:
        curves: by name.
        labels: of both axes.
        path: the file to write; its suffix decides the format.
        ticks: places of the horizontal axis that are named, where these are few.
    """
    with use_figure_style(), rc_context({"svg.hashsalt": "curves"}):
        figure = _figure(5.6, 3.3)
        axes = figure.subplots()
        for index, (name, curve) in enumerate(curves.items()):
            _line(axes, curve, index, name)
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        axes.set_ylim(bottom=0.0)
        if ticks is not None:
            axes.set_xticks(ticks)
        style_axes(axes)
        if len(curves) > 1:
            _legend(figure, axes)
        figure.savefig(path, dpi=200, facecolor="white", metadata=reproducible_metadata(path))


def draw_curve_panels(
    panels: Mapping[str, Mapping[str, SeedCurve]], labels: tuple[str, str], path: Path
) -> None:
    """A panel for each robot, with a line for each series.

    Args:
        panels: curves by robot and series.
        labels: of both axes.
        path: the file to write; its suffix decides the format.
    """
    with new_panels(len(panels), path) as drawn:
        for axes, (robot, curves) in zip(drawn.axes, panels.items(), strict=True):
            keys: list[Patch | Line2D] = [
                _line(axes, own, index, name) for index, (name, own) in enumerate(curves.items())
            ]
            set_panel_title(axes, robot)
            axes.locator_params(axis="x", nbins=3)
            axes.set_ylim(bottom=0.0)
        drawn.legend(keys)
        drawn.label(*labels)


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.05))


def _dots(
    axes: Axes,
    rows: Mapping[str, Mapping[str, SeedMean]],
    reported: Mapping[str, Mapping[str, float]],
    name: str,
    index: int,
    offset: float,
) -> None:
    colour, marker = PALETTE[index % len(PALETTE)], _MARKERS[index % len(_MARKERS)]
    found = [(place, own[name]) for place, own in enumerate(rows.values()) if name in own]
    axes.errorbar(
        [own["mean"] for _, own in found],
        [place + offset for place, _ in found],
        xerr=[own["interval"] or 0.0 for _, own in found],
        fmt=marker,
        color=colour,
        markersize=4.5,
        elinewidth=0.9,
        label=name,
    )
    known = [
        (reported[row][name], place + offset)
        for place, row in enumerate(rows)
        if name in reported.get(row, {})
    ]
    if known:
        axes.plot(
            *zip(*known, strict=True),
            "D",
            color=colour,
            markerfacecolor="white",
            markersize=5.5,
            label=f"{name}, the paper",
            zorder=3,
        )


def _line(axes: Axes, curve: SeedCurve, index: int, name: str) -> Line2D:
    colour = PALETTE[index % len(PALETTE)]
    means = np.array([own["mean"] for own in curve.values])
    half = np.array([own["interval"] or 0.0 for own in curve.values])
    low, high = np.maximum(means - half, 0.0), means + half
    axes.fill_between(curve.x, low, high, color=colour, alpha=0.15, linewidth=0.0)
    (line,) = axes.plot(
        curve.x,
        means,
        color=colour,
        marker=_MARKERS[index % len(_MARKERS)],
        markersize=4.0,
        label=name,
    )
    return line


def _legend(figure: Figure, axes: Axes) -> None:
    """Above the axes; the paper's numbers come last."""
    found = zip(*axes.get_legend_handles_labels(), strict=True)
    ordered = sorted(found, key=lambda own: own[1].endswith("the paper"))
    figure.legend(
        *zip(*ordered, strict=True),
        loc="outside upper left",
        ncols=4,
        frameon=False,
        fontsize=8.0,
        labelcolor=INK,
        handlelength=1.6,
    )
