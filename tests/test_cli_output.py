"""What commands print: as it was given, and aligned."""

import pytest

from bodyplan.cli import output


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
    assert first.rstrip().endswith("  7 % │")


@pytest.mark.parametrize("names", [("a,b", "c"), ("a", "b", "c"), ("a,b,c",)])
def test_names_may_have_commas_between(names):
    assert output.comma_list(names) == ("a", "b", "c")
