"""The page of a comparison says what the comparison says, and loads nothing."""

import json
import re

import pytest

from bodyplan.cli import main
from bodyplan.evaluation.compare import compare
from bodyplan.storage import write_json

ROBOTS = ("ant", "bee")
RETURNS = {"iql": (8.0, 5.0), "bc": (4.0, 5.2), "awac": (7.9, 5.1)}
CONFIG = {"combine": "pooled", "data": "d", "robots": list(ROBOTS)}


@pytest.fixture
def folders(tmp_path):
    """Three arms of three seeds."""
    for algorithm, returns in RETURNS.items():
        for seed in range(3):
            path = tmp_path / f"<{algorithm}>" / f"seed{seed}"
            path.mkdir(parents=True)
            write_json(path / "config.json", CONFIG | {"algorithm": algorithm, "seed": seed})
            scores = {
                robot: {
                    "return_mean": value + 0.1 * (seed - 1),
                    "normalised_return": (value + 0.1 * (seed - 1)) / 10.0,
                    "floor_return": 0.0,
                    "reference": "expert",
                }
                for robot, value in zip(ROBOTS, returns, strict=True)
            }
            question = {"command": [1.0, 0.0, 0.0], "episodes": 8}
            write_json(path / "evaluation.json", question | {"robots": scores})
    return [str(tmp_path / f"<{algorithm}>") for algorithm in RETURNS]


@pytest.mark.parametrize("score", ["return", "normalised"])
def test_sentence_table_and_figure_agree(folders, tmp_path, score, capsys):
    out = tmp_path / "page.html"
    assert main(["compare", *folders, "--score", score, "--out", str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    page, found = out.read_text(), compare(folders, score=score)
    assert f"<h1>{found.sentences[0]}</h1>" in page
    assert all(sentence in page for sentence in found.sentences)
    assert all(note in page for note in found.notes)
    charts = [json.loads(part) for part in re.findall(r'"application/json">(.*?)</script>', page)]
    drawn = {
        (row["row"], row["series"]): row
        for chart in charts[:1]
        for row in chart["spec"]["data"]["values"]
    }
    assert len(drawn) == 2 * 3
    for own in found.differences:
        for place, difference in own.differences.items():
            row = drawn["over robots" if place == "mean" else place, own.arm]
            assert row["value"] == pytest.approx(difference.mean, abs=1e-5)
            bounds = (row["low"], row["high"])
            assert bounds == pytest.approx(difference.interval, abs=1e-5)
    ant = re.search(r'<tr role="row" data-robot="ant">.*?</tr>', page, re.DOTALL)[0]
    digits = 1 if score == "return" else 2
    for arm in found.arms:
        assert f"{arm.scores[score]['ant'].mean:.{digits}f} <" in ant
    assert page.count("<td") > 20
    assert ">worse</td>" in page


def test_nothing_is_loaded_and_names_are_escaped(folders, tmp_path):
    out = tmp_path / "page.html"
    main(["compare", *folders, "--out", str(out)])
    page = out.read_text()
    body = page.split("</main>")[0]  # before the library of charts
    assert not re.search(r"\b(?:src|href)=", body)
    assert "&lt;bc&gt;" in body
    assert "<bc>" not in body


def test_one_arm_has_a_page(folders, tmp_path):
    out = tmp_path / "page.html"
    assert main(["compare", folders[0], "--out", str(out)]) == 0
    assert "There is one arm" in out.read_text()
