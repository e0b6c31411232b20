"""The common style of all figures: palette, fonts, sizes, and SVG that adapts to its page.

Figures are narrow, for a phone or half a page, and have a transparent background. Text and axes
have two marker colours. In the SVG these and the palette become CSS variables, so one figure is
legible on light and on dark pages. Without CSS it keeps default colours.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from zlib import crc32

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Colours of Okabe and Ito for all kinds of colour vision, legible on white and on black."""
POLICY, DATA, EXPERT = PALETTE[0], "#9a9a94", PALETTE[1]
PAGE_INK, PAGE_MUTED = "#010203", "#040506"
"""Marker colours, which become the text colour of the page and its grey."""
WIDTH = 3.9
"""Inches: half a page, or a phone."""

_PAGE_COLOURS = {PAGE_INK: "currentColor", PAGE_MUTED: "var(--muted, #6b6b66)"} | {
    colour: f"var(--series-{index}, {colour})" for index, colour in enumerate(PALETTE)
}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with Matplotlib; the page replaces it
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlepad": 8.0,
    "axes.labelsize": 8.0,
    "axes.labelcolor": PAGE_MUTED,
    "axes.edgecolor": PAGE_MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": PAGE_INK,
    "axes.titlecolor": PAGE_INK,
    "xtick.color": PAGE_MUTED,
    "ytick.color": PAGE_MUTED,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "lines.linewidth": 1.3,
    "lines.solid_capstyle": "round",
    "hatch.linewidth": 0.6,
    "axes.formatter.useoffset": False,
}


@contextmanager
def use_figure_style() -> Iterator[None]:
    """Use the Matplotlib settings of all figures of this package."""
    with rc_context(_STYLE):
        yield


def new_figure(height: float, columns: int = 1, **grid: Any) -> tuple[Figure, Sequence[Axes]]:
    """A figure of the common width with axes side by side; pyplot is not used."""
    layout = ConstrainedLayoutEngine(w_pad=0.04, h_pad=0.04)
    figure = Figure(figsize=(WIDTH, height), layout=layout)
    axes = figure.subplots(1, columns, squeeze=False, **grid)[0]
    return figure, list(axes)


def as_svg(figure: Figure, name: str, description: str) -> str:
    """The figure as one `<svg>` element for an HTML page.

    Args:
        figure: the figure.
        name: different for each figure of a page, because ids are made from it.
        description: alternative text for readers who cannot see the figure.
    """
    target = io.StringIO()
    with rc_context({**_STYLE, "svg.hashsalt": name}):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(target, format="svg", transparent=True, metadata=nothing)
    svg = target.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    prefix = f"f{crc32(name.encode()):08x}-"
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}", svg)
    svg = re.sub("#[0-9a-f]{6}", lambda found: page_colour(found[0]), svg)
    label = description.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1).strip()


def page_colour(colour: str) -> str:
    """The CSS variable for a colour of the palette; other colours stay as they are."""
    return _PAGE_COLOURS.get(colour, colour)
