"""Robots grouped by their bodies in one figure: tree, similarities, the groups as they stand."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bodyplan.rendering.robot_images import render_lineup
from bodyplan.report.figure_style import PALETTE, use_figure_style
from bodyplan.report.run_figures import cut_level
from bodyplan.report.small_multiples import INK, MUTED, reproducible_metadata
from bodyplan.robots.robot import Robot

SHOWN = 12
"""Robots of a group that are drawn at most."""
GROUPS_SHOWN = 16
"""Groups that are drawn at most, those first in the tree."""

_SIMILAR = LinearSegmentedColormap.from_list(
    "similar", ["#f4f4f1", "#9dbfd8", "#2d6ea3", "#08304f"]
)
_HEIGHT, _TREE, _NAMES, _PANELS, _KEY = 7.0, 1.6, 1.15, 6.2, 0.62  # inches
_HEADING = 0.27  # inches
_NAMED = 64  # robots whose names can still be read
_NUMBERED = 20  # robots whose similarities can still be read
_LETTER = 14.0  # pixels of a letter in a group's heading
_DPI = 200


def draw_groups(
    robots: Sequence[Robot],
    distances: Float[np.ndarray, "R R"],
    tree: Float[np.ndarray, "merges 4"],
    groups: Sequence[Sequence[str]],
    path: Path,
) -> None:
    """Draw the tree of robots, their similarities in its order, and each group as it stands.

    Args:
        robots: two or more.
        distances: between their bodies.
        tree: merges of clusters, as SciPy writes them.
        groups: names of the robots of each group that the tree is cut to.
        path: its suffix decides the format.
    """
    from scipy.cluster.hierarchy import leaves_list

    order = [int(leaf) for leaf in leaves_list(tree)]
    names = [robot.name for robot in robots]
    group_of = {name: index for index, group in enumerate(groups) for name in group}
    labels = [group_of[names[leaf]] for leaf in order]
    shown = list(dict.fromkeys(labels))
    with use_figure_style(), rc_context({"svg.hashsalt": "kinship"}):  # equal data, equal bytes
        figure, (left, middle, key, panels) = _layout(len(shown[:GROUPS_SHOWN]))
        _draw_tree(left, tree, labels, len(groups))
        similar = body_similarities(distances)[np.ix_(order, order)]
        _draw_matrix(middle, similar, [names[leaf] for leaf in order], labels)
        _draw_key(key, distances)
        for axes, index in zip(panels, shown, strict=False):
            _draw_group(axes, index, _typical(robots, distances, groups[index]), len(groups[index]))
        figure.savefig(path, dpi=_DPI, facecolor="white", metadata=reproducible_metadata(path))


def body_similarities(distances: Float[np.ndarray, "R R"]) -> Float[np.ndarray, "R R"]:
    """1 for the nearest two robots and for a robot itself, 0 for the farthest two.

    The paper's: one minus distances brought to 0 to 1 (arXiv 2602.18025, section 5.2).
    """
    apart = distances[~np.eye(len(distances), dtype=bool)]
    low, high = apart.min(), apart.max()
    return 1.0 - np.clip((distances - low) / ((high - low) or 1.0), 0.0, 1.0)


def _layout(count: int) -> tuple[Figure, tuple[Axes, Axes, Axes, list[Axes]]]:
    """Axes for the tree, the matrix beside it, its key below, and `count` groups to the right."""
    square = _HEIGHT - _KEY
    width = _TREE + square + _NAMES + _PANELS
    figure = Figure(figsize=(width, _HEIGHT))

    def place(left: float, bottom: float, wide: float, high: float) -> Axes:
        return figure.add_axes((left / width, bottom / _HEIGHT, wide / width, high / _HEIGHT))

    columns = next(n for n, most in ((1, 5), (2, 8), (3, 12), (4, GROUPS_SHOWN)) if count <= most)
    rows = -(-count // columns)
    gap, start = 0.1, _TREE + square + _NAMES
    wide = (_PANELS - 0.05 - gap * (columns - 1)) / columns
    high = (_HEIGHT - 0.05) / rows  # of a picture with its heading
    panels = [
        place(
            start + (wide + gap) * (index % columns),
            _HEIGHT - high * (index // columns + 1),
            wide,
            high - _HEADING,
        )
        for index in range(count)
    ]
    left = place(0.08, _KEY - 0.05, _TREE - 0.13, square)
    middle = place(_TREE, _KEY - 0.05, square, square)
    key = place(_TREE + 0.62 * square, 0.3, 0.3 * square, 0.12)
    return figure, (left, middle, key, panels)


def _colour(index: int) -> str:
    return PALETTE[index % len(PALETTE)]


def _draw_tree(
    axes: Axes, tree: Float[np.ndarray, "merges 4"], labels: Sequence[int], count: int
) -> None:
    """Merges from right to left; those that the cut undoes are dashed."""
    from scipy.cluster.hierarchy import dendrogram

    level = cut_level(tree[:, 2], count)
    drawn = dendrogram(tree, no_plot=True)
    for down, across in zip(drawn["icoord"], drawn["dcoord"], strict=True):
        undone = level is not None and across[1] > level
        first = labels[min(len(labels) - 1, int(min(down) // 10.0))]
        axes.plot(
            across,
            down,
            color=MUTED if undone else _colour(first),
            linewidth=0.9 if undone else 1.5,
            linestyle=(0, (2, 2)) if undone else "-",
        )
    if level is not None:
        axes.axvline(level, color=INK, linewidth=0.8)
        foot = 10.0 * len(labels)
        axes.text(level, 1.01 * foot, f"cut to {count}", ha="center", va="top", fontsize=8.0)
    axes.set_xlim(1.03 * float(tree[-1, 2]) or 1.0, 0.0)
    axes.set_ylim(10.0 * len(labels), 0.0)
    axes.set_axis_off()


def _draw_matrix(
    axes: Axes,
    similar: Float[np.ndarray, "R R"],
    names: Sequence[str],
    labels: Sequence[int],
) -> None:
    size = len(names)
    axes.imshow(similar, cmap=_SIMILAR, vmin=0.0, vmax=1.0, interpolation="nearest")
    for row, column in np.ndindex(size, size) if size <= _NUMBERED else ():
        if row != column:
            value = similar[row, column]
            colour = "#ffffff" if value > 0.55 else "#3c3c38"
            text = f"{value:.2f}".lstrip("0") if value < 0.995 else "1"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=6.6)
    ends = [0, *(np.flatnonzero(np.diff(labels)) + 1), size]
    for begin, end in pairwise(ends):
        span = end - begin
        block = Rectangle(
            (begin - 0.5, begin - 0.5), span, span, fill=False, ec=_colour(labels[begin]), lw=2.2
        )
        block.set_clip_on(False)
        axes.add_patch(block)
    axes.yaxis.tick_right()
    axes.set_yticks(range(size) if size <= _NAMED else [])
    if size <= _NAMED:
        axes.set_yticklabels(names, fontsize=min(9.0, 160.0 / size))
        for name, label in zip(axes.get_yticklabels(), labels, strict=True):
            name.set_color(_colour(label))
    axes.set_xticks([])
    axes.tick_params(length=0, pad=6.0)
    axes.spines[:].set_visible(False)


def _draw_key(axes: Axes, distances: Float[np.ndarray, "R R"]) -> None:
    apart = distances[~np.eye(len(distances), dtype=bool)]
    axes.imshow(np.linspace(0.0, 1.0, 256)[None], cmap=_SIMILAR, aspect="auto", extent=(0, 1, 0, 1))
    axes.set_yticks([])
    axes.set_xticks([0.0, 1.0], [f"0: {apart.max():.3f} apart", f"1: {apart.min():.3f} apart"])
    axes.tick_params(length=0, colors=MUTED, labelsize=7.5)
    axes.spines[:].set_visible(False)
    axes.text(
        -0.35,
        0.5,
        "similarity of bodies",
        ha="right",
        va="center",
        color=MUTED,
        fontsize=8.0,
        transform=axes.transAxes,
    )


def _typical(
    robots: Sequence[Robot], distances: Float[np.ndarray, "R R"], group: Sequence[str]
) -> list[Robot]:
    """Up to `SHOWN` robots of a group, those nearest to the rest of it."""
    members = [index for index, robot in enumerate(robots) if robot.name in group]
    inside = distances[np.ix_(members, members)].sum(axis=0)
    nearest = sorted(np.argsort(inside, kind="stable")[:SHOWN])
    return [robots[members[index]] for index in nearest]


def _draw_group(axes: Axes, index: int, robots: Sequence[Robot], size: int) -> None:
    """The group's robots on one floor, to scale, in a frame of its colour."""
    corners = axes.transAxes.transform([(0.0, 0.0), (1.0, 1.0)])
    width, height = np.rint(np.ptp(corners, axis=0) * _DPI / axes.figure.dpi).astype(int).tolist()
    axes.imshow(render_lineup(robots, (width, height)), aspect="auto")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(_colour(index))
    axes.spines[:].set_linewidth(2.2)
    heading = f"group {index}" + (f", {len(robots)} of {size}" if len(robots) < size else "")
    named = f"{heading}: {', '.join(robot.name for robot in robots)}"
    axes.text(
        0.0,
        1.0,
        f" {named if _LETTER * len(named) < width else heading} ",
        transform=axes.transAxes,
        ha="left",
        va="bottom",
        color="#ffffff",
        fontsize=8.5,
        bbox={"facecolor": _colour(index), "edgecolor": "none", "pad": 2.5},
    )
