"""How series are told apart on a page: a hue, a pattern of dashes and a marker for each.

Six hues and three patterns make eighteen styles. The hues differ for all kinds of colour vision,
because they differ in lightness too. They are CSS variables of `page.css`, one set for light pages
and one for dark ones.
"""

from collections.abc import Iterable
from dataclasses import dataclass

_HUES = 6
_DASHES: tuple[tuple[float, ...], ...] = ((), (6.0, 3.0), (1.5, 2.5))
_MARKERS = ("circle", "square", "triangle-up")
_LINE = "M0 5h26"
_MARKER_PATHS = {
    "circle": "M9 5a4 4 0 1 0 8 0a4 4 0 1 0 -8 0",
    "square": "M9 1h8v8h-8z",
    "triangle-up": "M13 0.5l5 9h-10z",
    "diamond": "M13 0l5 5l-5 5l-5 -5z",
    "cross": "M11.5 1h3v2.5h2.5v3h-2.5v2.5h-3v-2.5h-2.5v-3h2.5z",
}


@dataclass(frozen=True)
class SeriesStyle:
    """How the lines, bars and points of one series look."""

    colour: str
    """A CSS colour, or a variable of `page.css`."""
    dash: tuple[float, ...] = ()
    """Lengths of dashes and gaps, pixels; nothing for a whole line."""
    marker: str = "circle"
    """A shape of Vega's."""

    def sample(self, points: bool = False) -> str:
        """The path of a sample, 26 by 10 pixels: of a line, or of a marker."""
        return _MARKER_PATHS[self.marker] if points else _LINE


POLICY_STYLE = SeriesStyle("var(--series-0)")
DATA_STYLE = SeriesStyle("var(--data)", marker="square")
BEST_DATA_STYLE = SeriesStyle("var(--series-3)", marker="triangle-up")
EXPERT_STYLE = SeriesStyle("var(--series-1)", marker="diamond")
FLOOR_STYLE = SeriesStyle("var(--muted)", marker="cross")


def series_styles(names: Iterable[str]) -> dict[str, SeriesStyle]:
    """A style for each of several equal series; after eighteen, styles repeat."""
    return {
        name: SeriesStyle(
            f"var(--series-{index % _HUES})",
            _DASHES[index // _HUES % len(_DASHES)],
            _MARKERS[index // _HUES % len(_MARKERS)],
        )
        for index, name in enumerate(names)
    }
