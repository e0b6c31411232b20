"""Figure of transfer: the return of each robot trained alone, together, and fine-tuned."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from bodyplan.report.figure_style import DATA, EXPERT, POLICY, use_figure_style
from bodyplan.report.small_multiples import INK, MUTED, reproducible_metadata, style_axes

_KINDS = {
    "alone": DATA,
    "together": POLICY,
    "scratch": DATA,
    "finetuned": EXPERT,
}
_LABELS = {"scratch": "from scratch", "finetuned": "fine-tuned"}


def draw_transfer(answer: Mapping[str, Any], path: Path) -> None:
    """Write the figure.

    Args:
        answer: what `transfer` returns.
        path: the file to write; its suffix decides the format.
    """
    late = {name: row for name, row in answer["robots"].items() if "finetuned" in row}
    with use_figure_style(), rc_context({"svg.hashsalt": "transfer"}):
        columns = 2 if late else 1
        height = 1.1 + 0.27 * len(answer["robots"])
        figure = Figure(
            figsize=(4.2 * columns, height), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.05)
        )
        panels = figure.subplots(1, columns, squeeze=False)[0]
        _compare(panels[0], answer["robots"], ("alone", "together"), "training together")
        if late:
            _compare(panels[1], late, ("scratch", "finetuned"), "pre-training")
        for axes in panels:
            style_axes(axes)
        figure.savefig(path, dpi=200, facecolor="white", metadata=reproducible_metadata(path))


def _compare(
    axes: Axes, rows: Mapping[str, Mapping[str, Any]], kinds: Sequence[str], title: str
) -> None:
    """Draw two kinds of run for each robot, joined by a line."""
    first, second = kinds
    places = np.arange(len(rows))
    for place, row in enumerate(rows.values()):
        ends = [row[first]["mean"], row[second]["mean"]]
        colour = _KINDS[second] if ends[1] >= ends[0] else MUTED
        axes.plot(ends, [place, place], color=colour, linewidth=2.2, alpha=0.45, zorder=1)
    for kind in kinds:
        means = [row[kind]["mean"] for row in rows.values()]
        errors = [row[kind]["interval"] or 0.0 for row in rows.values()]
        axes.errorbar(
            means,
            places,
            xerr=errors,
            fmt="o",
            color=_KINDS[kind],
            markersize=4.5,
            elinewidth=0.8,
            label=_LABELS.get(kind, kind),
        )
    known = [(row["data_return"], i) for i, row in enumerate(rows.values()) if row["data_return"]]
    if known:
        axes.plot(*zip(*known, strict=True), "|", color=INK, markersize=7.0, label="the data")
    axes.set_yticks(places, list(rows))
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(left=0.0)  # no return is negative
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_title(title)
    axes.set_xlabel("return of an episode")
    axes.legend(frameon=False, fontsize=7.0, labelcolor=INK, loc="best")
