"""Figures of a run: curves, returns, body distances and histograms, each as inline SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import MaxNLocator

from bodyplan.report.charts import Curve
from bodyplan.report.figure_style import (
    DATA,
    EXPERT,
    PAGE_INK,
    PAGE_MUTED,
    PALETTE,
    POLICY,
    as_svg,
    new_figure,
    use_figure_style,
)
from bodyplan.report.label_spacing import space_labels

_NEARNESS = LinearSegmentedColormap.from_list("nearness", ["#08406b", "#5b9bc8", "#e9eff3"])
_POINTS = 300  # more cannot be seen at this width
_MANY = 8  # larger matrices have no numbers in them


@dataclass(frozen=True)
class ReturnRow:
    """Returns of one robot; None where one is unknown."""

    name: str
    policy: float | None
    interval: float | None
    """Half width of the policy's 95 % confidence interval."""
    data: float | None
    expert: float | None


def robot_colours(names: Sequence[str], groups: Sequence[Sequence[str]]) -> dict[str, str]:
    """A colour for each robot; with more robots than colours, one for each group."""
    if len(names) <= len(PALETTE):
        return dict(zip(names, PALETTE, strict=False))
    kinds = {name: index for index, group in enumerate(groups) for name in group}
    return {name: PALETTE[kinds.get(name, 0) % len(PALETTE)] for name in names}


def plot_curves(
    title: str,
    unit: str,
    series: Mapping[str, Curve],
    palette: Mapping[str, str],
    log: bool = False,
) -> str:
    """Lines over updates, each labelled at its end; `log` applies if all values are positive."""
    with use_figure_style():
        figure, (axes,) = new_figure(2.1)
        shown = {name: _thin(*curve) for name, curve in series.items() if len(curve[0])}
        for index, (name, (x, y)) in enumerate(shown.items()):
            colour = palette.get(name, PALETTE[index % len(PALETTE)])
            marker = "o" if len(x) == 1 else ""
            axes.plot(x, y, color=colour, marker=marker, markersize=3)
        log = log and all(min(y) > 0.0 for _, y in shown.values())
        axes.set_yscale("log" if log else "linear")
        if not log:
            axes.yaxis.set_major_locator(_ticks(5))
        _label_ends(axes, shown, palette)
        axes.set_title(title)
        axes.set_xlabel("updates")
        axes.set_ylabel(unit)
        axes.xaxis.set_major_locator(_ticks(4))
        return as_svg(figure, f"curves {title}", f"{title} over updates: {', '.join(shown)}")


def plot_returns(rows: Sequence[ReturnRow]) -> str:
    """Bars of each robot's return, beside the mean of its data and its expert's return."""
    with use_figure_style():
        figure, (axes,) = new_figure(0.7 + 0.56 * len(rows))
        places = np.arange(len(rows), dtype=float)
        kinds = (("data", DATA, -0.25), ("policy", POLICY, 0.0), ("expert", EXPERT, 0.25))
        ends = [max(_known(row.policy) + _known(row.interval), _known(row.expert)) for row in rows]
        reach = max([*ends, *(_known(row.data) for row in rows)]) or 1.0
        for kind, colour, offset in kinds:
            values = [getattr(row, kind) for row in rows]
            solid = kind != "expert"
            axes.barh(
                places + offset,
                [_known(value) for value in values],
                height=0.23,
                color=colour if solid else "none",
                edgecolor=colour,
                linewidth=0.0 if solid else 0.9,
            )
            first = next((i for i, value in enumerate(values) if value is not None), None)
            for index, value in enumerate(values):
                if value is None:
                    continue
                whisker = _known(rows[index].interval) if kind == "policy" else 0.0
                text = f"{value:.1f} {kind}" if index == first else f"{value:.1f}"
                place = (value + whisker + 0.012 * reach, index + offset)
                axes.text(*place, text, va="center", fontsize=7.0, color=PAGE_INK)
        known = [i for i, row in enumerate(rows) if row.policy is not None and row.interval]
        axes.errorbar(
            [_known(rows[i].policy) for i in known],
            places[known],
            xerr=[_known(rows[i].interval) for i in known],
            fmt="none",
            ecolor=PAGE_INK,
            elinewidth=0.9,
            capsize=2.0,
        )
        axes.set_yticks(places, [row.name for row in rows])
        axes.tick_params(axis="y", length=0, labelcolor=PAGE_INK)
        axes.spines["left"].set_visible(False)
        axes.set_xlim(0.0, 1.22 * reach)
        axes.invert_yaxis()
        axes.set_xlabel("return of an episode")
        text = "; ".join(f"{row.name} {_known(row.policy):.1f}" for row in rows)
        return as_svg(figure, "returns", f"Returns of the policy: {text}")


def plot_distances(
    names: Sequence[str],
    distances: Float[np.ndarray, "R R"],
    tree: Float[np.ndarray, "merges 4"],
    count: int,
) -> str:
    """Distance matrix in the order of its dendrogram, and the cut of that into `count` groups."""
    from scipy.cluster.hierarchy import leaves_list

    with use_figure_style():
        figure, (axes,) = new_figure(3.9)
        order: list[int] = leaves_list(tree).tolist() if len(tree) else [0]
        matrix = np.asarray(distances)[np.ix_(order, order)]
        size = len(order)
        edges = np.arange(size + 1) * 10.0
        largest = float(matrix.max()) or 1.0
        axes.pcolormesh(edges, edges, matrix, cmap=_NEARNESS, vmin=0.0, vmax=largest, lw=0)
        for row, column in np.ndindex(size, size) if size <= _MANY else ():
            colour = "#ffffff" if matrix[row, column] < 0.62 * largest else "#1a1a1a"
            text = f"{matrix[row, column]:.2f}" if row != column else "0"
            place = (10.0 * column + 5.0, 10.0 * row + 5.0)
            axes.text(*place, text, ha="center", va="center", color=colour, fontsize=7.5)
        height = 4.5 * max(size, 3)
        _draw_tree(axes, tree, count, base=-1.0, height=height)
        axes.set_ylim(10.0 * size, -1.0 - 1.08 * height)
        axes.set_yticks(edges[:-1] + 5.0, [names[i] for i in order])
        label_style = {"rotation": 90.0} if size > _MANY else {"rotation": 25.0, "ha": "right"}
        axes.set_xticks(edges[:-1] + 5.0, [names[i] for i in order], **label_style)
        axes.tick_params(length=0, labelcolor=PAGE_INK)
        axes.spines[:].set_visible(False)
        text = f"Distances between {', '.join(names)}, and their tree cut to {count} groups"
        return as_svg(figure, "embodiment", text)


def plot_histograms(
    name: str,
    episode_returns: Float[np.ndarray, "E"],
    rewards: Float[np.ndarray, "N"],
    policy: float | None,
    expert: float | None,
) -> str:
    """Histograms of one robot's episode returns and step rewards in the data."""
    with use_figure_style():
        figure, (left, right) = new_figure(1.65, columns=2)
        marks = {"policy": (policy, POLICY), "expert": (expert, EXPERT)}
        known = {label: mark for label, mark in marks.items() if mark[0] is not None}
        end = max([float(episode_returns.max()), *(_known(value) for value, _ in known.values())])
        _histogram(left, episode_returns, end)
        _histogram(right, rewards, float(rewards.max()))
        left.set_title(name)
        left.set_xlabel("return of an episode")
        right.set_xlabel("reward of a step")
        left.set_ylabel("share, %")
        left.set_xlim(right=1.3 * end or 1.0)
        largest = max(known, key=lambda label: _known(known[label][0]), default="")
        for label, (value, colour) in known.items():
            left.axvline(_known(value), color=colour, linewidth=1.1)
            side = "left" if label == largest else "right"
            place = (_known(value), left.get_ylim()[1])
            left.text(*place, f" {label} ", color=colour, ha=side, va="top", fontsize=7.0)
        return as_svg(figure, f"data {name}", f"Returns and rewards in the data of {name}")


def _histogram(axes: Axes, values: Float[np.ndarray, "n"], end: float) -> None:
    shares = np.full(len(values), 100.0 / len(values))
    axes.hist(values, bins=24, range=(0.0, 1.02 * end or 1.0), weights=shares, color=DATA)
    axes.xaxis.set_major_locator(_ticks(4))
    axes.yaxis.set_major_locator(_ticks(4))


def _draw_tree(
    axes: Axes, tree: Float[np.ndarray, "merges 4"], count: int, base: float, height: float
) -> None:
    """Draw the dendrogram above the matrix; merges above the cut are dashed."""
    from scipy.cluster.hierarchy import dendrogram

    if not len(tree):
        return
    heights = tree[:, 2]
    scale = height / (float(heights[-1]) or 1.0)
    level = cut_level(heights, count)
    drawn = dendrogram(tree, no_plot=True)
    for across, up in zip(drawn["icoord"], drawn["dcoord"], strict=True):
        above_cut = level is not None and up[1] > level
        axes.plot(
            across,
            base - scale * np.asarray(up),
            color=PAGE_MUTED if above_cut else PAGE_INK,
            linewidth=1.0,
            linestyle=(0, (2, 2)) if above_cut else "-",
        )
    if level is None:
        return
    end = 10.0 * (len(heights) + 1)
    axes.plot([0.0, end], 2 * [base - scale * level], color=EXPERT, linewidth=0.9)
    label = f" cut: {count} groups"
    axes.text(end, base - scale * level, label, color=EXPERT, fontsize=7.0, va="center")


def cut_level(heights: Float[np.ndarray, "merges"], count: int) -> float | None:
    """Height at which a dendrogram is cut into `count` groups; None for a single group."""
    kept = len(heights) + 1 - count
    if kept >= len(heights):
        return None
    return float(heights[kept] + (heights[kept - 1] if kept else 0.0)) / 2.0


def _label_ends(axes: Axes, shown: Mapping[str, Curve], palette: Mapping[str, str]) -> None:
    if len(shown) < 2:
        return
    axes.autoscale_view()  # else limits are known only after drawing
    to_axes = axes.transScale + axes.transLimits
    ends = [float(to_axes.transform((x[-1], y[-1]))[1]) for x, y in shown.values()]
    for index, (name, place) in enumerate(zip(shown, space_labels(ends, 0.085), strict=True)):
        axes.annotate(
            name,
            (1.01, place),
            xycoords="axes fraction",
            color=palette.get(name, PALETTE[index % len(PALETTE)]),
            fontsize=7.0,
            va="center",
            annotation_clip=False,
        )


def _thin(x: Sequence[float], y: Sequence[float]) -> Curve:
    """Average neighbouring points if there are more than can be seen."""
    if len(x) <= _POINTS:
        return x, y
    parts = np.array_split(np.arange(len(x)), _POINTS)
    xs, ys = np.asarray(x, float), np.asarray(y, float)
    return [float(xs[part].mean()) for part in parts], [float(ys[part].mean()) for part in parts]


def _ticks(count: int) -> MaxNLocator:
    return MaxNLocator(count, steps=[1, 2, 2.5, 5, 10])


def _known(value: float | None) -> float:
    return 0.0 if value is None else value
