"""Datasets looked at from the command line: said, compared and drawn."""

import json
import shutil

import pytest
from synthetic import write_dataset

from bodyplan.cli import main
from bodyplan.cli.data_inspect import sparkline


@pytest.fixture
def sets(tmp_path):
    robots = {"crab": (3, 2), "newt": (4, 4)}
    write_dataset(tmp_path / "one", robots, seed=0, bodies=2)
    write_dataset(tmp_path / "other", {**robots, "hexapod": (18, 6)}, seed=1)
    return [str(tmp_path / "one"), str(tmp_path / "other")]


def test_info_tells_counts_and_quality(capsys, sets):
    assert main(["data", "info", sets[1]]) == 0
    shown = capsys.readouterr().out
    for text in (
        "hexapod",
        "400",
        "expert 100%",
        ">=75",
        "86.3",
        "best tenth",
        "reference phys",
    ):
        assert text in shown
    assert main(["data", "info", sets[0], "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["card"]["recipe"] == "expert"
    crab = answer["statistics"][0]
    assert (crab["robot"], crab["steps"], crab["bodies"]) == ("crab", 400, 2)
    assert sum(crab["histogram"]["steps"]) == 400
    assert crab["reference"]["source"] == "best tenth"
    assert crab["bytes_per_step"] == crab["bytes"] / 400


def test_a_set_is_looked_at_from_inside_its_folder(sets, monkeypatch):
    monkeypatch.chdir(sets[0])
    assert main(["data", "info", "."]) == 0


def test_verify_compares_datasets(capsys, sets):
    assert main(["data", "verify", *sets]) == 0
    assert "no two of them share data" in capsys.readouterr().out
    shutil.copytree(sets[0], sets[1] + "-again")
    assert main(["data", "verify", sets[0], sets[1] + "-again", "--json"]) == 2
    assert "share 100%" in json.loads(capsys.readouterr().out)["faults"][0]
    assert main(["data", "verify", sets[0], sets[0] + "/"]) == 2
    assert "named twice" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("suffix", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")]
)
def test_figures_of_one_set_or_several_repeat_to_the_byte(capsys, sets, tmp_path, suffix, start):
    out = tmp_path / f"figure.{suffix}"
    drawn = []
    for _ in range(2):
        assert main(["data", "plot", *sets, "--out", str(out), "--json"]) == 0
        drawn.append(out.read_bytes())
    assert drawn[0].startswith(start)
    assert drawn[0] == drawn[1]
    answer = json.loads(capsys.readouterr().out.split("\n}\n")[0] + "}")
    assert answer["figure"] == str(out)
    assert sum(answer["sets"]["other"]["hexapod"]["steps"]) == 400
    assert len(answer["sets"]["one"]["crab"]["edges"]) == 25


def test_figures_lie_beside_their_data_and_over_nothing_else(capsys, sets, tmp_path):
    own, both = tmp_path / "one" / "returns.svg", tmp_path / "returns.svg"
    for _ in range(2):  # its own figure is replaced
        assert main(["data", "plot", sets[0]]) == 0
        assert str(own) in capsys.readouterr().out
    assert main(["data", "plot", *sets]) == 0
    assert str(both) in capsys.readouterr().out
    assert own.read_bytes() != both.read_bytes()
    assert main(["data", "verify", sets[0]]) == 0
    both.write_text("<svg>by hand</svg>")
    assert main(["data", "plot", *sets]) == 2
    assert str(both) in capsys.readouterr().err
    assert main(["data", "plot", *sets, "--out", str(both)]) == 0
    assert "by hand" not in both.read_text()


def test_the_figure_names_robots_sets_and_axes(sets, tmp_path):
    out = tmp_path / "figure.svg"
    assert main(["data", "plot", *sets, "--out", str(out)]) == 0
    text = out.read_text()
    for word in ("crab", "newt", "hexapod", "one", "other", "share of steps, %", "return"):
        assert word in text


def test_a_figure_of_another_kind_and_no_set_are_refused(capsys, sets):
    assert main(["data", "plot", sets[0], "--out", "figure.docx"]) == 2
    assert "--out figure.docx" in capsys.readouterr().err
    assert main(["data", "verify"]) == 2
    assert "no dataset is named" in capsys.readouterr().err


def test_a_line_of_bars_shows_whatever_is_there():
    assert sparkline([0, 1, 500, 1000]) == " ▁▄█"
    assert sparkline([0, 0]) == "  "
