"""A table of a page that is also written as CSV and LaTeX."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bodyplan.report.html_page import TableColumn

_TEX = {"\\": r"\textbackslash{}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "|": r"$|$"}


@dataclass(frozen=True)
class DataTable:
    """Rows by the keys of columns; the first column names the rows."""

    columns: tuple[TableColumn, ...]
    rows: tuple[Mapping[str, Any], ...]

    def csv(self) -> str:
        """A line for each row, with all digits; what is unknown is empty."""
        keys = [key for own in self.columns for key in (own.key, own.error) if key]
        text = io.StringIO()
        writer = csv.DictWriter(text, keys, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {key: "" if row.get(key) is None else row[key] for key in keys} for row in self.rows
        )
        return text.getvalue()

    def latex(self) -> str:
        """The same with the digits of the page."""
        letters = "l" + "".join("r" if self._is_number(own) else "l" for own in self.columns[1:])
        lines = [
            rf"\begin{{tabular}}{{{letters}}}",
            r"\toprule",
            " & ".join(map(_tex_label, self.columns)) + r" \\",
            r"\midrule",
            *(
                " & ".join(_tex_cell(own, row) for own in self.columns) + r" \\"
                for row in self.rows
            ),
        ]
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])

    def _is_number(self, column: TableColumn) -> bool:
        return any(isinstance(row.get(column.key), int | float) for row in self.rows)


def tex(text: str) -> str:
    """Text with LaTeX's own characters escaped."""
    return "".join(_TEX.get(letter, letter) for letter in text)


def _tex_label(column: TableColumn) -> str:
    return tex(f"{column.label} ({column.unit})" if column.unit else column.label)


def _tex_cell(column: TableColumn, row: Mapping[str, Any]) -> str:
    value = row.get(column.key)
    if value is None:
        return "--"
    if isinstance(value, str):
        return tex(value)
    error = row.get(column.error) if column.error else None
    shown = f"{value:.{column.digits}f}"
    return f"${shown}$" if error is None else rf"${shown} \pm {error:.{column.digits}f}$"
