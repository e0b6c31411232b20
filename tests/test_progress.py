"""Progress on standard error: bars on a terminal, a line now and then elsewhere."""

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
