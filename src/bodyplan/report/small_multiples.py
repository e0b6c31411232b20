"""Figures of many small panels, one a robot, and files of them that repeat to the byte."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bodyplan.report.figure_style import house_style

INK, MUTED = "#1a1a1a", "#6b6b66"
"""Of text and of axes, on white paper."""
_COLUMNS = 4
_PANEL = (1.9, 1.45)
"""Inches."""


class Panels(NamedTuple):
    """A figure and its panels."""

    figure: Figure
    axes: list[Axes]

    def legend(self, keys: list[Patch | Line2D]) -> None:
        """A legend above all panels."""
        self.figure.legend(
            handles=keys,
            loc="outside upper left",
            ncols=min(len(keys), 2 if len(self.axes) < 3 else 5),
            frameon=False,
            fontsize=8.0,
            labelcolor=INK,
            handlelength=1.6,
        )

    def label(self, x: str, y: str) -> None:
        """What all panels' axes are."""
        self.figure.supxlabel(x, fontsize=8.0, color=MUTED)
        self.figure.supylabel(y, fontsize=8.0, color=MUTED)


@contextmanager
def new_panels(count: int, path: Path) -> Iterator[Panels]:
    """Yields that many panels of one vertical scale; the figure is written once they are drawn.

    Args:
        count: panels.
        path: its suffix decides the format.
    """
    with house_style(), rc_context({"svg.hashsalt": "panels"}):  # equal data, equal bytes
        figure, axes = _grid(count)
        yield Panels(figure, axes)
        figure.savefig(path, dpi=200, facecolor="white", metadata=without_dates(path))


def entitle(axes: Axes, robot: str) -> None:
    """Names a panel."""
    axes.set_title(robot, pad=4.0)
    quieten(axes)


def quieten(axes: Axes) -> None:
    """A panel's title in ink, all that only helps to read it in grey."""
    axes.title.set_color(INK)
    axes.tick_params(colors=MUTED)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(MUTED)
    for spine in axes.spines.values():
        spine.set_color(MUTED)


def _grid(count: int) -> tuple[Figure, list[Axes]]:
    columns = min(_COLUMNS, count)
    rows = -(-count // columns)
    width, height = _PANEL
    figure = Figure(
        figsize=(max(columns * width, 3.9), rows * height + 0.75),
        layout=ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.05),
    )
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for unused in panels[count:]:
        unused.remove()
    return figure, list(panels[:count])


def without_dates(path: Path) -> dict[str, None]:
    """Metadata without anything that changes from one drawing of the same data to the next."""
    return {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix, {})
