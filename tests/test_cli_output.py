"""What commands print: as it was given, and aligned."""

from pathlib import Path

import pytest
from terminal import seen_on_terminal

from bodyplan.cli import output
from bodyplan.errors import BodyplanError


def test_brackets_in_names_are_no_markup(capsys):
    output.print_line("runs[/x] and [red]mine :smile:")
    assert "runs[/x] and [red]mine :smile:" in capsys.readouterr().out
    output.print_table("data[/x]", [{"robot": "[bold]dog", "steps": 3}])
    shown = capsys.readouterr().out
    assert "data[/x]" in shown
    assert "[bold]dog" in shown


def test_numbers_stand_to_the_right_whichever_row_has_one(capsys):
    rows = [
        {"robot": "dog", "share": None, "part": "7 %"},
        {"robot": "cat", "share": 12.5, "part": ""},
    ]
    output.print_table("shares", rows)
    lines = capsys.readouterr().out.splitlines()
    first = next(line for line in lines if "dog" in line)
    second = next(line for line in lines if "cat" in line)
    assert first.index("-") == second.index("12.5") + 3
    assert first.endswith("   7 %")


ROWS = [
    {"robot": "unitree_go1", "steps": 1_000_000, "return": -45.678, "falls": 0.25, "extra": None},
    {"robot": "a robot of many words", "steps": 7, "return": None, "falls": 1.0, "extra": None},
]
COLUMNS = (
    output.Column("robot"),
    output.Column("steps"),
    output.Column("return", unit="m", digits=1),
    output.Column("falls", share=True),
    output.Column("extra"),
    output.Column("return", "again", digits=2, wide=True),
)


def test_columns_say_heading_unit_and_digits(capsys):
    output.print_table("all", ROWS, COLUMNS)
    title, heading, units, _, first, _ = capsys.readouterr().out.splitlines()
    assert title == "all"
    assert heading.split() == ["return", "falls"]
    assert units.split() == ["robot", "steps", "m", "%", "again"]
    assert first.split() == ["unitree_go1", "1,000,000", "-45.7", "25", "-45.68"]


def test_zero_has_no_sign():
    assert output.Column("score", share=True).text({"score": -0.004}) == "0"
    assert output.Column("error", digits=1).text({"error": -0.04}) == "0.0"


def test_a_narrow_terminal_hides_wide_columns_and_says_so(monkeypatch):
    shown = seen_on_terminal(monkeypatch, 40, output.print_table, "all", ROWS, COLUMNS, False)
    assert max(map(len, shown)) <= 40
    assert "again" not in " ".join(shown[:-1])
    assert shown[-1] == "--wide adds again."
    assert "…" not in "".join(shown)
    assert "again" in " ".join(
        seen_on_terminal(monkeypatch, 80, output.print_table, "all", ROWS, COLUMNS, False)
    )


def test_a_table_without_room_goes_on_below(monkeypatch):
    shown = seen_on_terminal(monkeypatch, 28, output.print_table, "all", ROWS, COLUMNS, True)
    assert max(map(len, shown)) <= 28
    assert sum("unitree_go1" in line for line in shown) > 1
    words = " ".join(shown).split()
    assert {"1,000,000", "-45.7", "25", "-45.68"} <= set(words)


def test_sentences_break_between_words():
    assert output.wrapped("one two/three-four five", 8) == "one\ntwo/three-four\nfive"
    assert output.wrapped("a  b\n  c", 8) == "a  b\n  c"


def test_a_place_is_checked_before_the_work(tmp_path, monkeypatch):
    output.require_writable(tmp_path / "new" / "figure.svg")
    assert list(tmp_path.iterdir()) == []  # nothing is made
    (tmp_path / "file").write_text("")
    output.require_writable(tmp_path / "file")
    with pytest.raises(BodyplanError, match="file is a file"):
        output.require_writable(tmp_path / "file" / "figure.svg")
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(BodyplanError, match="is a folder"):
        output.require_writable(tmp_path / "folder.svg")
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(BodyplanError, match="not writable"):
        output.require_writable(tmp_path / "new" / "figure.svg")


@pytest.mark.parametrize("names", [("a,b", "c"), ("a", "b", "c"), ("a,b,c",), ("a, b", " c")])
def test_names_may_have_commas_between(names):
    assert output.comma_list(names) == ("a", "b", "c")
