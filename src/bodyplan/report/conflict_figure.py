"""Figure of gradient conflict: similarity of bodies, cosines of gradients, their correlation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from bodyplan.learn.conflicts import Conflicts
from bodyplan.report.figure_style import EXPERT, POLICY, use_figure_style
from bodyplan.report.small_multiples import MUTED, reproducible_metadata, style_axes

_SIMILARITY_COLOURS = LinearSegmentedColormap.from_list(
    "similarity", ["#f4f4f1", "#8fb9d6", "#08406b"]
)
_COSINE_COLOURS = LinearSegmentedColormap.from_list("cosine", ["#b2480e", "#f4f4f1", "#08406b"])
_BINS = 40


def draw_conflicts(summary: Mapping[str, Any], measured: Sequence[Conflicts], path: Path) -> None:
    """Write the figure.

    The upper panels show the similarity of bodies and the mean cosine of gradients, with robots in
    the order of the dendrogram of bodies. The lower panels show one against the other for all
    pairs, the histogram of cosines, and the share of negative cosines over training.

    Args:
        summary: what `summarise_conflicts` returns for these runs.
        measured: the measurements of the runs.
        path: the file to write; its suffix decides the format.
    """
    with use_figure_style(), rc_context({"svg.hashsalt": "conflicts"}):
        figure = Figure(figsize=(7.6, 6.4), layout=ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.05))
        above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(3.4, 2.1))[:, 0]
        left, right = above.subplots(1, 2, squeeze=False)[0]
        scatter, histogram, over_training = below.subplots(1, 3, squeeze=False)[0]
        names: list[str] = summary["order"]
        order = [summary["robots"].index(name) for name in names]
        cosines = np.array(summary["cosines"])[np.ix_(order, order)]
        bodies = summary.get("embodiment")
        if bodies:
            similarities = np.array(bodies["similarity"])
            shown = similarities[np.ix_(order, order)]
            _matrix(left, "similarity of bodies", names, shown, _SIMILARITY_COLOURS, (0.0, 1.0))
            _scatter(scatter, similarities, np.array(summary["cosines"]), bodies)
        else:
            left.remove()
            scatter.remove()
        most = float(np.abs(cosines - np.eye(len(names))).max())
        _matrix(right, "cosine between gradients", names, cosines, _COSINE_COLOURS, (-most, most))
        _histogram(histogram, summary, measured)
        _over_training(over_training, measured)
        for axes in figure.get_axes():
            style_axes(axes)
        figure.savefig(path, dpi=200, facecolor="white", metadata=reproducible_metadata(path))


def _matrix(
    axes: Axes,
    title: str,
    names: Sequence[str],
    values: Float[np.ndarray, "R R"],
    colours: LinearSegmentedColormap,
    limits: tuple[float, float],
) -> None:
    image = axes.imshow(values, cmap=colours, vmin=limits[0], vmax=limits[1])
    places = np.arange(len(names))
    axes.set_xticks(places, names, rotation=90.0)
    axes.set_yticks(places, names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title)
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.72, pad=0.02, aspect=28)
    bar.outline.set_visible(False)
    bar.ax.locator_params(nbins=5)


def _scatter(
    axes: Axes,
    similarities: Float[np.ndarray, "R R"],
    cosines: Float[np.ndarray, "R R"],
    bodies: Mapping[str, Any],
) -> None:
    places = np.triu_indices(len(similarities), 1)
    x, y = similarities[places], cosines[places]
    axes.axhline(0.0, color=MUTED, linewidth=0.6)
    axes.plot(x, y, "o", color=POLICY, markersize=3.2, alpha=0.75, markeredgewidth=0.0)
    slope, level = np.polyfit(x, y, 1)
    ends = np.array([0.0, 1.0])
    axes.plot(ends, level + slope * ends, color=EXPERT, linewidth=1.1)
    axes.set_title(f"r = {bodies['r']:.2f}, Mantel p = {bodies['mantel_p']:.2g}")
    axes.set_xlabel("similarity of bodies")
    axes.set_ylabel("cosine between gradients")


def _histogram(axes: Axes, summary: Mapping[str, Any], measured: Sequence[Conflicts]) -> None:
    pairs = np.concatenate([run.pairs.ravel() for run in measured])
    counts, edges = np.histogram(pairs, bins=_BINS, range=(-1.0, 1.0))
    colours = [EXPERT if edge < -1e-9 else POLICY for edge in edges[:-1]]
    shares = 100.0 * counts / len(pairs)
    axes.bar(edges[:-1], shares, width=2.0 / _BINS, align="edge", color=colours)
    axes.set_title(f"{100.0 * summary['negative_share']['mean']:.1f} % negative")
    axes.set_xlabel("cosine, all pairs and measurements")
    axes.set_ylabel("share, %")


def _over_training(axes: Axes, measured: Sequence[Conflicts]) -> None:
    if any(len(np.unique(run.updates)) < 2 for run in measured):
        axes.remove()
        return
    for run in measured:
        shares = 100.0 * (run.pairs < 0.0).mean(axis=1)
        axes.plot(run.updates, shares, color=EXPERT, linewidth=0.9, alpha=0.8)
    axes.set_ylim(0.0)
    axes.set_title("over training")
    axes.set_xlabel("updates")
    axes.set_ylabel("negative cosines, %")
    axes.locator_params(axis="x", nbins=4)
