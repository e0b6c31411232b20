"""HTML tables that notebooks show in place of a `repr`."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any


def html_facts(title: str, facts: Mapping[str, Any]) -> str:
    """A title over a table of two columns, a row for each fact; all text is escaped."""
    rows = [
        f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in facts.items()
    ]
    return f"<b>{_text(title)}</b><table>{''.join(rows)}</table>"


def html_table(title: str, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """A title over a table with these columns, a row for each mapping; all text is escaped."""
    head = "".join(f"<th>{_text(column)}</th>" for column in columns)
    body = ""
    for row in rows:
        cells = "".join(f"<td>{_text(row.get(column, ''))}</td>" for column in columns)
        body += f"<tr>{cells}</tr>"
    return f"<b>{_text(title)}</b><table><tr>{head}</tr>{body}</table>"


def _text(value: Any) -> str:
    return escape(f"{value:.4g}" if isinstance(value, float) else str(value))
