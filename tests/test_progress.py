"""Progress on standard error: bars on a terminal, a line now and then elsewhere."""

import re
import sys

from bodyplan.progress import OnProgress, no_progress, progress


def test_lines_are_rare_and_estimate_the_time_left(capsys):
    times = iter([0.0, 5.0, 20.0, 30.0])
    with progress(seconds=15.0, clock=lambda: next(times)) as report:
        for done in (1, 6, 21, 41):
            report("walking", done, 41)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("walking: 21 of 41 eta 0:00:20")
    assert lines[1:] == ["walking: 41 of 41"]


def test_every_task_has_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with progress() as report:
        report("walking", 3, 41)
        report("training", 7, 9, "fast")
    shown = capsys.readouterr().err
    assert "walking" in shown
    assert "3/41" in shown
    assert "7/9" in shown
    assert "fast" in shown


def test_the_callbacks_are_of_the_shared_type(capsys):
    with progress() as report:
        assert isinstance(report, OnProgress)
    no_progress("walking", 1, 2, "fast")
    assert capsys.readouterr().err == ""


def test_lines_fit_eighty_columns_with_their_note_below(capsys):
    times = iter([0.0, 30.0])
    note = "52.1 updates/s, actor 1.2, critic 0.0021, return 31.2, falls 12%, rate 0.003"
    with progress(clock=lambda: next(times)) as report:
        report("iql grouped", 1_000, 100_000, note)
        report("iql grouped", 2_000, 100_000, note)
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("iql grouped: 2,000 of 100,000 eta")
    assert second == f"  {note}"
    assert len(second) <= 80


def test_sentences_and_notes_are_whole_on_a_terminal_of_eighty_columns(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    note = "52.1 updates/s, actor 1.2, critic 0.0021, return 31.2, falls 12%, rate 0.003"
    with progress() as report:
        report("iql grouped", 50_000, 100_000, note)
        report.say("compiled in 5.4 s")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    assert "compiled in 5.4 s" in shown
    assert note in shown
    assert "50000/100000" in shown
    assert "…" not in shown
    assert max(len(line) for line in re.split(r"[\r\n]", shown)) <= 80
