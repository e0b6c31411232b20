"""The page of a reproduced table or figure: what was found, and what the paper has."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bodyplan.report.charts import Chart
from bodyplan.report.data_table import DataTable
from bodyplan.report.html_page import write_html
from bodyplan.storage import atomic_write

Draw = Callable[[Path], None]
"""Writes a figure; the path's suffix decides the format."""


@dataclass(frozen=True)
class PageSection:
    """A part of the page, with a table."""

    title: str
    text: str
    """What the numbers are."""
    table: DataTable
    chart: Chart | None = None
    by_robot: DataTable | None = None
    """More numbers, folded away."""


@dataclass(frozen=True)
class Findings:
    """What a reproduction found."""

    sentences: tuple[str, ...]
    """The verdict, and what the paper says."""
    sections: tuple[PageSection, ...]
    draw: Draw | None = None
    """The figure; None where there is none."""
    caption: str = ""
    """Of the figure."""
    data: DataTable | None = None
    """What the CSV has; by default the first section's table."""
    latex: str = ""
    """By default that table too."""

    @property
    def table(self) -> DataTable:
        """What the CSV has."""
        return self.data or self.sections[0].table


@dataclass(frozen=True)
class PageHead:
    """What stands above the findings."""

    name: str
    """Such as `table3`."""
    title: str
    question: str
    doubt: str = ""
    """What is not known of the paper's own table or figure, in sentences."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Sizes, by what they are called."""
    trained: bool = True
    """Whether anything was trained for it, so that the scale matters."""


def write_reproduction(head: PageHead, found: Findings, path: Path) -> Path:
    """Write the page, and beside it the CSV, the LaTeX table and the figure as SVG.

    Existing files are replaced.

    Raises:
        BodyplanError: a file cannot be written.
    """
    figure = None
    if found.draw is not None:
        drawn = path.with_suffix(".svg")
        with atomic_write(drawn) as temporary:
            found.draw(temporary)
        figure = base64.b64encode(drawn.read_bytes()).decode()
    for suffix, text in (
        (".csv", found.table.csv()),
        (".tex", found.latex or f"% {found.sections[0].text}\n{found.table.latex()}"),
    ):
        with atomic_write(path.with_suffix(suffix)) as temporary:
            temporary.write_text(text, encoding="utf-8")
    write_html(
        path, "reproduction.html.j2", title=head.title, head=head, found=found, figure=figure
    )
    return path
