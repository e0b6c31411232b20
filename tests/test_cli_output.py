"""What commands print: as it was given, aligned, and no noise while one waits."""

import pytest

from bodyplan.cli import output


def test_brackets_in_names_are_no_markup(capsys):
    output.say("runs[/x] and [red]mine :smile:")
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


def test_piped_progress_waits_before_it_speaks_and_tells_how_long(capsys, monkeypatch):
    clock = iter([0.0, 5.0, 20.0, 30.0])
    monkeypatch.setattr(output.time, "monotonic", lambda: next(clock))
    with output.progress() as report:
        for done in (1, 6, 21, 41):
            report("walking", done, 41)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("walking: 21 of 41 eta 0:00:20")
    assert lines[1:] == ["walking: 41 of 41"]


@pytest.mark.parametrize("names", [("a,b", "c"), ("a", "b", "c"), ("a,b,c",)])
def test_names_may_have_commas_between(names):
    assert output.comma_list(names) == ("a", "b", "c")
