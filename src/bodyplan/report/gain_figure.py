"""Figure of what robots gain by learning together, against how their gradients agree."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from bodyplan.report.figure_style import EXPERT, POLICY, use_figure_style
from bodyplan.report.small_multiples import MUTED, reproducible_metadata, style_axes


def draw_gains(
    gains: Mapping[str, float],
    cosines: Mapping[str, float],
    threshold: float,
    title: str,
    path: Path,
) -> None:
    """Write the figure: a dot for each robot, hollow where its gain is below the threshold.

    Args:
        gains: of each robot, its return together minus that alone.
        cosines: of each robot, its mean cosine with the others.
        threshold: least gain or loss that counts.
        title: such as the correlation.
        path: the file to write; its suffix decides the format.
    """
    with use_figure_style(), rc_context({"svg.hashsalt": "gains"}):
        layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.05)
        figure = Figure(figsize=(5.6, 3.9), layout=layout)
        axes = figure.subplots()
        axes.axhline(0.0, color=MUTED, linewidth=0.6)
        for robot, gain in gains.items():
            counts = abs(gain) >= threshold
            face = POLICY if counts else "white"
            axes.plot(cosines[robot], gain, "o", color=POLICY, markerfacecolor=face, markersize=5)
            axes.annotate(
                robot,
                (cosines[robot], gain),
                xytext=(4.0, 3.0),
                textcoords="offset points",
                fontsize=6.5,
                color=MUTED,
            )
        counted = [robot for robot, gain in gains.items() if abs(gain) >= threshold]
        if len(counted) > 2:
            x = np.array([cosines[robot] for robot in counted])
            slope, level = np.polyfit(x, [gains[robot] for robot in counted], 1)
            ends = np.array([x.min(), x.max()])
            axes.plot(ends, level + slope * ends, color=EXPERT, linewidth=1.1)
        axes.margins(0.2, 0.12)
        axes.set_title(title)
        axes.set_xlabel("mean cosine with the other robots' gradients")
        axes.set_ylabel("return together minus alone")
        style_axes(axes)
        figure.savefig(path, dpi=200, facecolor="white", metadata=reproducible_metadata(path))
