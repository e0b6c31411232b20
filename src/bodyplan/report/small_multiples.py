"""Small multiples: figures with one small panel per robot, written with reproducible bytes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bodyplan.rendering.picture_mark import MARK
from bodyplan.report.figure_style import use_figure_style

INK, MUTED = "#1a1a1a", "#6b6b66"
"""Colours of text and of axes on a white background."""
_COLUMNS = 4
_PANEL = (1.9, 1.45)
"""Inches."""
_KEY_WIDTH, _LETTER_WIDTH = 0.5, 0.062
"""Inches of a legend's key with its gaps, and of a letter beside it."""


class Panels(NamedTuple):
    """A figure and its panels, one for each robot."""

    figure: Figure
    axes: list[Axes]

    def legend(self, keys: list[Patch | Line2D]) -> None:
        """Draw a legend above all panels."""
        self.figure.legend(
            handles=keys,
            loc="outside upper left",
            ncols=self._columns_of(keys),
            frameon=False,
            fontsize=8.0,
            labelcolor=INK,
            handlelength=1.6,
        )

    def _columns_of(self, keys: Sequence[Patch | Line2D]) -> int:
        """As many columns of the legend as fit into the figure's width."""
        widest = _KEY_WIDTH + _LETTER_WIDTH * max(len(str(key.get_label())) for key in keys)
        return max(1, min(len(keys), 5, int(self.figure.get_figwidth() / widest)))

    def label(self, x: str, y: str) -> None:
        """Label the axes, once for all panels."""
        self.figure.supxlabel(x, fontsize=8.0, color=MUTED)
        self.figure.supylabel(y, fontsize=8.0, color=MUTED)


@contextmanager
def new_panels(count: int, path: Path) -> Iterator[Panels]:
    """Yield panels that share the vertical scale; write the figure when the block ends.

    Args:
        count: number of panels.
        path: the file to write; its suffix decides the format.
    """
    with use_figure_style(), rc_context({"svg.hashsalt": "panels"}):  # equal data give equal bytes
        figure, axes = _grid(count)
        yield Panels(figure, axes)
        figure.savefig(path, dpi=200, facecolor="white", metadata=reproducible_metadata(path))


def set_panel_title(axes: Axes, robot: str) -> None:
    """Write the name of a robot above its panel."""
    axes.set_title(robot, pad=4.0)
    style_axes(axes)


def style_axes(axes: Axes) -> None:
    """Draw the title in black, and axes, ticks and labels in grey."""
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


def reproducible_metadata(path: Path) -> dict[str, str | None]:
    """Metadata for `savefig`: our mark, and no date, so that equal figures have equal bytes."""
    of: dict[str, dict[str, str | None]] = {
        ".svg": {"Creator": MARK, "Date": None},
        ".pdf": {"Creator": MARK, "CreationDate": None},
    }
    return of.get(path.suffix, {"Software": MARK})
