"""Figure of how often gradients conflict under several conditions: shares, and cosines."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from bodyplan.evaluation.significance import SeedMean
from bodyplan.learn.conflicts import Conflicts
from bodyplan.report.figure_style import PALETTE, use_figure_style
from bodyplan.report.small_multiples import INK, MUTED, reproducible_metadata, style_axes

_BINS = 40


def draw_conflict_shares(
    measured: Mapping[str, Sequence[Conflicts]],
    shares: Mapping[str, SeedMean],
    reported: Mapping[str, float],
    path: Path,
) -> None:
    """Write the figure: shares of negative cosines, and below them all cosines.

    Args:
        measured: by condition, the measurements of each seed.
        shares: by condition, the share of negative cosines.
        reported: the paper's shares, of the conditions that it has.
        path: the file to write; its suffix decides the format.
    """
    with use_figure_style(), rc_context({"svg.hashsalt": "shares"}):
        layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.05)
        figure = Figure(figsize=(7.0, 3.0), layout=layout)
        left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.35))
        _shares(left, shares, reported)
        for index, (name, runs) in enumerate(measured.items()):
            _cosines(right, name, runs, PALETTE[index % len(PALETTE)])
        right.axvline(0.0, color=MUTED, linewidth=0.6)
        right.set_ylim(bottom=0.0)
        right.set_title("cosines of all pairs and measurements")
        right.set_xlabel("cosine between gradients")
        right.set_ylabel("share, %")
        right.legend(frameon=False, fontsize=7.0, labelcolor=INK, loc="upper left")
        for axes in (left, right):
            style_axes(axes)
        figure.savefig(path, dpi=200, facecolor="white", metadata=reproducible_metadata(path))


def _shares(axes: Axes, shares: Mapping[str, SeedMean], reported: Mapping[str, float]) -> None:
    for place, (name, own) in enumerate(shares.items()):
        axes.errorbar(
            place,
            100.0 * own["mean"],
            yerr=100.0 * (own["interval"] or 0.0),
            fmt="o",
            color=PALETTE[place % len(PALETTE)],
            markersize=5.5,
            elinewidth=0.9,
        )
        if name in reported:
            label = None if axes.get_legend_handles_labels()[1] else "the paper"
            level = 100.0 * reported[name]
            axes.plot(place, level, "D", color=INK, markerfacecolor="none", label=label)
    axes.set_xticks(range(len(shares)), [name.replace("-", "\n") for name in shares])
    axes.set_xlim(-0.5, len(shares) - 0.5)
    axes.set_ylim(0.0, min(axes.get_ylim()[1], 102.0))
    axes.set_title("negative cosines, %")
    if reported:
        axes.legend(frameon=False, fontsize=7.0, labelcolor=INK)


def _cosines(axes: Axes, name: str, runs: Sequence[Conflicts], colour: str) -> None:
    pairs = np.concatenate([run.pairs.ravel() for run in runs])
    counts, edges = np.histogram(pairs, bins=_BINS, range=(-1.0, 1.0))
    axes.stairs(100.0 * counts / len(pairs), edges, color=colour, linewidth=1.2, label=name)
