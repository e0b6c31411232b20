"""Histograms of returns in datasets: one panel per robot, datasets overlaid.

A bar is the share of steps whose episode has that return, as in Figure 8 of the paper (arXiv
2602.18025). All panels share the vertical scale, and a line marks the return of the expert.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bodyplan.datasets.statistics import RobotStatistics
from bodyplan.report.figure_style import PALETTE
from bodyplan.report.small_multiples import INK, MUTED, new_panels, set_panel_title

_DASHES = {"expert": (0, (3, 2)), "best tenth": (0, (1, 2))}


def draw_return_histograms(sets: Mapping[str, Sequence[RobotStatistics]], path: Path) -> None:
    """Write the figure of one or more datasets; a robot may be missing from some of them.

    Args:
        sets: by the dataset's name for the legend, the statistics of its robots.
        path: the file to write; its suffix decides the format.
    """
    colours = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(sets)}
    robots = list(dict.fromkeys(row.robot for rows in sets.values() for row in rows))
    with new_panels(len(robots), path) as panels:
        for axes, robot in zip(panels.axes, robots, strict=True):
            present = {
                name: row for name, rows in sets.items() for row in rows if row.robot == robot
            }
            _panel(axes, robot, present, colours)
        shares = [max(row.histogram.steps) / row.steps for rows in sets.values() for row in rows]
        panels.axes[0].set_ylim(0.0, 106.0 * max(shares))  # the other panels share it
        panels.legend(_keys(colours, sets))
        panels.label("return of the episode that a step belongs to", "share of steps, %")


def _panel(
    axes: Axes, robot: str, present: Mapping[str, RobotStatistics], colours: Mapping[str, str]
) -> None:
    alpha = 0.55 if len(present) > 1 else 0.8
    for name, row in present.items():
        shares = 100.0 * np.array(row.histogram.steps) / row.steps
        edges, colour = np.array(row.histogram.edges), colours[name]
        axes.stairs(shares, edges, fill=True, color=colour, alpha=alpha, linewidth=0.0)
        axes.stairs(shares, edges, color=colour, linewidth=0.8)
    for name, row in present.items():
        axes.plot(
            row.full_return_mean,
            -0.035,
            marker="^",
            markersize=4.5,
            color=colours[name],
            transform=axes.get_xaxis_transform(),
            clip_on=False,
            zorder=5,
        )
    for name, row in present.items():
        reference = row.reference
        known = reference.source == "expert"
        axes.axvline(
            reference.value,
            color=INK if known else colours[name],
            linewidth=0.9,
            linestyle=_DASHES[reference.source],
        )
    set_panel_title(axes, robot)
    axes.set_xlim(0.0, max(row.histogram.edges[-1] for row in present.values()))
    axes.locator_params(axis="x", nbins=4)
    axes.tick_params(axis="x", pad=4.0)


def _keys(
    colours: Mapping[str, str], sets: Mapping[str, Sequence[RobotStatistics]]
) -> list[Patch | Line2D]:
    """Entries of the legend."""
    sources = {row.reference.source for rows in sets.values() for row in rows}
    keys: list[Patch | Line2D] = [
        Patch(facecolor=colour, alpha=0.7, label=name) for name, colour in colours.items()
    ]
    mean = Line2D([], [], color=MUTED, marker="^", linestyle="", markersize=4.5)
    mean.set_label("mean of the steps")
    keys.append(mean)
    keys += [
        Line2D([], [], color=INK, linewidth=0.9, linestyle=dashes, label=f"return of the {source}")
        for source, dashes in _DASHES.items()
        if source in sources
    ]
    return keys
