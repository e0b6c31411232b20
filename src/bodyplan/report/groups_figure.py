"""The figure of robot groups: the merge tree, body similarities, and images of each group."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bodyplan.rendering.camera import RGBImage
from bodyplan.rendering.robot_images import render_lineup
from bodyplan.report.body_charts import cut_level
from bodyplan.report.figure_style import PALETTE, use_figure_style
from bodyplan.report.small_multiples import INK, MUTED, reproducible_metadata
from bodyplan.robots.robot import Robot

_GROUPS_SHOWN = 16  # at most, those first in the tree
_SIMILARITY_COLOURS = LinearSegmentedColormap.from_list(
    "similarity", ["#f4f4f1", "#9dbfd8", "#2d6ea3", "#08304f"]
)
# Widths in inches of the tree, of names and of group images; heights of all and of the colour bar.
_TREE, _NAMES, _IMAGES = 1.6, 1.15, 6.2
_HEIGHT, _COLOUR_BAR, _HEADING = 7.0, 0.62, 0.27
_MAX_NAMES = 64  # robots whose names are still legible
_MAX_NUMBERS = 20  # robots whose similarities are still legible
_LETTER_WIDTH = 0.07  # inches, in the heading of a group


def draw_groups(
    robots: Sequence[Robot],
    distances: Float[np.ndarray, "R R"],
    tree: Float[np.ndarray, "merges 4"],
    groups: Sequence[Sequence[str]],
    path: str | Path,
    max_robots: int = 12,
    dpi: int = 200,
    render: Callable[[Sequence[Robot], tuple[int, int]], RGBImage] = render_lineup,
) -> None:
    """Draw the tree of robots, their similarities in the tree's order, and images of each group.

    Args:
        robots: two or more.
        distances: between their bodies.
        tree: merges of clusters in SciPy's format.
        groups: names of the robots of each group that the tree is cut to.
        path: the figure; its suffix decides the format.
        max_robots: number of robots of a group that are shown at most.
        dpi: pixels per inch.
        render: makes an image of some robots of a size (width, height) in pixels.
    """
    from scipy.cluster.hierarchy import leaves_list

    order = [int(leaf) for leaf in leaves_list(tree)]
    names = [robot.name for robot in robots]
    group_of = {name: index for index, group in enumerate(groups) for name in group}
    labels = [group_of[names[leaf]] for leaf in order]
    path, shown = Path(path), list(dict.fromkeys(labels))
    with use_figure_style(), rc_context({"svg.hashsalt": "groups"}):  # equal data, equal bytes
        figure, (left, middle, bar, panels) = _layout(len(shown[:_GROUPS_SHOWN]))
        _draw_tree(left, tree, labels, len(groups))
        similarities = body_similarities(distances)[np.ix_(order, order)]
        _draw_matrix(middle, similarities, [names[leaf] for leaf in order], labels)
        _draw_colour_bar(bar, distances)
        for axes, index in zip(panels, shown, strict=False):
            typical = _typical_robots(robots, distances, groups[index], max_robots)
            width, height = _size_in_pixels(axes, dpi)
            axes.imshow(render(typical, (width, height)), aspect="auto")
            heading_letters = int(width / dpi / _LETTER_WIDTH)
            _label_group(axes, index, typical, len(groups[index]), heading_letters)
        figure.savefig(path, dpi=dpi, facecolor="white", metadata=reproducible_metadata(path))


def body_similarities(distances: Float[np.ndarray, "R R"]) -> Float[np.ndarray, "R R"]:
    """Similarities from 0 for the farthest two robots to 1 for the nearest two.

    One minus min-max normalised distances (arXiv 2602.18025, section 5.2). The similarity of a
    robot with itself is 1.
    """
    others = distances[~np.eye(len(distances), dtype=bool)]
    low, high = others.min(), others.max()
    return 1.0 - np.clip((distances - low) / ((high - low) or 1.0), 0.0, 1.0)


def _layout(count: int) -> tuple[Figure, tuple[Axes, Axes, Axes, list[Axes]]]:
    """Axes of the tree, the matrix, its colour bar below, and `count` groups at the right."""
    square = _HEIGHT - _COLOUR_BAR
    width = _TREE + square + _NAMES + _IMAGES
    figure = Figure(figsize=(width, _HEIGHT))

    def place(left: float, bottom: float, wide: float, high: float) -> Axes:
        return figure.add_axes((left / width, bottom / _HEIGHT, wide / width, high / _HEIGHT))

    columns = next(n for n, most in ((1, 5), (2, 8), (3, 12), (4, _GROUPS_SHOWN)) if count <= most)
    rows = -(-count // columns)
    gap, start = 0.1, _TREE + square + _NAMES
    wide = (_IMAGES - 0.05 - gap * (columns - 1)) / columns
    high = (_HEIGHT - 0.05) / rows  # of an image with its heading
    panels = [
        place(
            start + (wide + gap) * (index % columns),
            _HEIGHT - high * (index // columns + 1),
            wide,
            high - _HEADING,
        )
        for index in range(count)
    ]
    left = place(0.08, _COLOUR_BAR - 0.05, _TREE - 0.13, square)
    middle = place(_TREE, _COLOUR_BAR - 0.05, square, square)
    bar = place(_TREE + 0.62 * square, 0.3, 0.3 * square, 0.12)
    return figure, (left, middle, bar, panels)


def _colour(index: int) -> str:
    return PALETTE[index % len(PALETTE)]


def _draw_tree(
    axes: Axes, tree: Float[np.ndarray, "merges 4"], labels: Sequence[int], count: int
) -> None:
    """Merges from right to left; those above the cut are dashed."""
    from scipy.cluster.hierarchy import dendrogram

    level = cut_level(tree[:, 2], count)
    drawn = dendrogram(tree, no_plot=True)
    for down, across in zip(drawn["icoord"], drawn["dcoord"], strict=True):
        above_cut = level is not None and across[1] > level
        first = labels[min(len(labels) - 1, int(min(down) // 10.0))]
        axes.plot(
            across,
            down,
            color=MUTED if above_cut else _colour(first),
            linewidth=0.9 if above_cut else 1.5,
            linestyle=(0, (2, 2)) if above_cut else "-",
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
    similarities: Float[np.ndarray, "R R"],
    names: Sequence[str],
    labels: Sequence[int],
) -> None:
    size = len(names)
    axes.imshow(similarities, cmap=_SIMILARITY_COLOURS, vmin=0.0, vmax=1.0, interpolation="nearest")
    for row, column in np.ndindex(size, size) if size <= _MAX_NUMBERS else ():
        if row != column:
            value = similarities[row, column]
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
    axes.set_yticks(range(size) if size <= _MAX_NAMES else [])
    if size <= _MAX_NAMES:
        axes.set_yticklabels(names, fontsize=min(9.0, 160.0 / size))
        for name, label in zip(axes.get_yticklabels(), labels, strict=True):
            name.set_color(_colour(label))
    axes.set_xticks([])
    axes.tick_params(length=0, pad=6.0)
    axes.spines[:].set_visible(False)


def _draw_colour_bar(axes: Axes, distances: Float[np.ndarray, "R R"]) -> None:
    others = distances[~np.eye(len(distances), dtype=bool)]
    axes.imshow(
        np.linspace(0.0, 1.0, 256)[None],
        cmap=_SIMILARITY_COLOURS,
        aspect="auto",
        extent=(0, 1, 0, 1),
    )
    axes.set_yticks([])
    axes.set_xticks([0.0, 1.0], [f"0: {others.max():.3f} apart", f"1: {others.min():.3f} apart"])
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


def _typical_robots(
    robots: Sequence[Robot],
    distances: Float[np.ndarray, "R R"],
    group: Sequence[str],
    count: int,
) -> list[Robot]:
    """Up to `count` robots of a group, those nearest to the rest of it."""
    members = [index for index, robot in enumerate(robots) if robot.name in group]
    to_others = distances[np.ix_(members, members)].sum(axis=0)
    nearest = sorted(np.argsort(to_others, kind="stable")[:count])
    return [robots[members[index]] for index in nearest]


def _size_in_pixels(axes: Axes, dpi: int) -> tuple[int, int]:
    corners = axes.transAxes.transform([(0.0, 0.0), (1.0, 1.0)])
    width, height = np.rint(np.ptp(corners, axis=0) * dpi / axes.figure.dpi).astype(int).tolist()
    return width, height


def _label_group(
    axes: Axes, index: int, shown: Sequence[Robot], size: int, max_letters: int
) -> None:
    """A frame and a heading in the group's colour; names where they fit."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(_colour(index))
    axes.spines[:].set_linewidth(2.2)
    heading = f"group {index}" + (f", {len(shown)} of {size}" if len(shown) < size else "")
    with_names = f"{heading}: {', '.join(robot.name for robot in shown)}"
    axes.text(
        0.0,
        1.0,
        f" {with_names if len(with_names) < max_letters else heading} ",
        transform=axes.transAxes,
        ha="left",
        va="bottom",
        color="#ffffff",
        fontsize=8.5,
        bbox={"facecolor": _colour(index), "edgecolor": "none", "pad": 2.5},
    )
