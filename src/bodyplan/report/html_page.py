"""HTML pages in one self-contained file: templates, style, script and the library of charts.

Templates extend `base.html.j2`, and take charts from `figures.html.j2`. The browser loads nothing
else. Vega and Vega-Lite, which draw the charts, are in the page once.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from bodyplan.storage import atomic_write

_FOLDER = Path(__file__).parent
_LIBRARIES = ("vega.min.js", "vega-lite.min.js")
_SOURCE_MAP = re.compile(r"^//# sourceMappingURL=.*$", re.MULTILINE)  # it would be looked for


@dataclass(frozen=True)
class TableColumn:
    """A column of the macro `sortable_table`."""

    key: str
    """Of a row's value: a number, a text or None."""
    label: str
    unit: str = ""
    digits: int = 1
    """Decimals."""
    error: str = ""
    """Key of the standard error, which is shown behind the value."""
    strong: bool = False


def render_html(template: str, **content: Any) -> str:
    """Render a template of this folder that extends `base.html.j2`.

    Args:
        template: name of the file.
        content: its variables; `title` is that of the page.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["number"] = plain_number
    scripts = [*map(_library, _LIBRARIES), _text("page.js")]
    return environment.get_template(template).render(
        style=_text("page.css"), scripts=scripts, **content
    )


def write_html(path: Path, template: str, **content: Any) -> None:
    """Write a page as a whole, or leave what is there; arguments are those of `render_html`.

    Raises:
        BodyplanError: the page cannot be written.
    """
    page = render_html(template, **content)
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def plain_number(value: float | None, digits: int = 1) -> str:
    """A number with so many decimals and a real minus sign; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:z,.{digits}f}".replace("-", "−")


@cache
def _library(name: str) -> Markup:
    source = (_FOLDER / "library" / name).read_text(encoding="utf-8")
    assert "</script" not in source
    return Markup(_SOURCE_MAP.sub("", source))


def _text(name: str) -> Markup:
    return Markup((_FOLDER / name).read_text(encoding="utf-8"))
