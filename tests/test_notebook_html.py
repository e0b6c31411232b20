"""Tables for notebooks: every cell is there, and nothing in a cell is markup."""

import xml.etree.ElementTree as ElementTree

from hypothesis import given
from hypothesis import strategies as st

from bodyplan.notebook_html import html_facts, html_table

words = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=20)


@given(title=words, cells=st.lists(words, min_size=2, max_size=2))
def test_any_text_stays_text(title, cells):
    rows = [dict(zip(("a", "b"), cells, strict=True))]
    page = ElementTree.fromstring(f"<div>{html_table(title, rows, ('a', 'b'))}</div>")
    assert [cell.text or "" for cell in page.iter("td")] == cells
    assert page.findtext("b") == title
    page = ElementTree.fromstring(f"<div>{html_facts(title, rows[0])}</div>")
    assert [cell.text or "" for cell in page.iter("td")] == cells


def test_a_missing_cell_is_empty_and_numbers_are_short():
    page = html_table("t", [{"a": 1 / 3}], ("a", "b"))
    assert "<td>0.3333</td><td></td>" in page
