"""Reproduced tables: their runs, what is said of them, and the way from data to page."""

import csv
import json

import numpy as np
import pytest

from bodyplan.cli import main
from bodyplan.evaluation.compare import compare
from bodyplan.evaluation.evaluation import Evaluation
from bodyplan.experiments.paper_arms import ARMS
from bodyplan.experiments.paper_catalogue import CATALOGUE
from bodyplan.experiments.paper_numbers import reported_returns
from bodyplan.experiments.products.returns_table import ReturnsTable
from bodyplan.experiments.scales import SCALES, ReproductionScale
from bodyplan.report.reproduced_table import ReproducedTable, reproduction_latex
from bodyplan.storage import write_json

LEVELS = {"IQL": 40.0, "IQL+EG": 50.0, "BC": 39.9}


def evaluated(folder, level, seed):
    """A run that returned about `level`."""
    config = {"algorithm": "iql", "combine": "pooled", "data": "d", "robots": ["ant"]}
    write_json(folder / "config.json", config | {"seed": seed})
    scores = {"ant": {"return_mean": level + 0.5 * (seed - 1)}}
    question = {"command": [1.0, 0.0, 0.0], "episodes": 8}
    write_json(folder / "evaluation.json", question | {"robots": scores})
    return str(folder)


@pytest.fixture
def table(tmp_path):
    """Made-up results: EG is better on one set and worse on another."""

    def on(name, levels):
        return compare(
            {
                arm: [
                    evaluated(tmp_path / name / arm / f"{seed}", level, seed) for seed in (0, 1, 2)
                ]
                for arm, level in levels.items()
            },
            baseline="IQL",
        )

    return ReproducedTable(
        arms=tuple(LEVELS),
        baseline="IQL",
        comparisons={
            "sub-forward": on("up", LEVELS),
            "sub-backward": on("down", LEVELS | {"IQL": 60.0}),
        },
        reported={
            "sub-forward": {"IQL": (36.0, 1.0), "IQL+EG": (51.0, 1.0)},
            "sub-backward": {"IQL": (36.0, 1.0), "IQL+EG": (37.0, 1.0)},
        },
    )


def test_verdicts_follow_from_the_intervals(table):
    assert table.found("IQL+EG") == {
        "better": ["sub-forward"],
        "worse": ["sub-backward"],
        "others": [],
    }
    assert table.told("IQL+EG") == {
        "better": ["sub-forward"],
        "worse": [],
        "others": ["sub-backward"],
    }
    grouped, cloned = table.sentences
    ours, paper = grouped.split("The paper:")
    assert ("better on sub-forward" in ours, "worse on sub-backward" in ours) == (True, True)
    assert ("better on sub-forward" in paper, "worse" in paper) == (True, False)
    assert "The paper" not in cloned  # it has no number of that arm here


def test_both_numbers_are_in_the_latex_table(table):
    text = reproduction_latex(table)
    assert r"$50.00 \pm 0.29$" in text
    assert r"($51.00 \pm 1.00$)" in text
    assert text.count(r"\\") == 1 + 2 * len(table.comparisons)


def test_the_papers_numbers_are_those_of_its_main_table():
    reported = reported_returns("table3")
    means = [sum(row[arm][0] for row in reported.values()) / 6 for arm in ("BC", "IQL", "IQL+EG")]
    assert means == pytest.approx([49.17, 52.05, 57.29], abs=0.01)  # its row of means
    assert set(reported) == set(CATALOGUE["table3"].sets)
    for table in CATALOGUE.values():
        if isinstance(table, ReturnsTable):
            assert table.baseline in table.arms
            known = {arm for row in reported_returns(table.name).values() for arm in row}
            assert table.name == "table1" or known <= set(table.arms)


@pytest.mark.parametrize("name", SCALES)
def test_a_scale_gives_every_arm_the_same_budget(name, tmp_path):
    scale = SCALES[name]
    configs = {
        name: scale.config(ARMS[name], tmp_path, seed=3)
        for name in ("BC", "IQL", "IQL+EG", "IQL, as many actor steps")
    }
    assert {own.updates for own in configs.values()} == {scale.training["updates"]}
    assert {own.batch_size for own in configs.values()} == {scale.training["batch_size"]}
    assert {own.algorithm.learning_rate for own in configs.values()} == {
        scale.hyperparameters.get("learning_rate", 3e-4)
    }
    assert configs["IQL+EG"].groups == scale.groups
    assert configs["IQL, as many actor steps"].actor_steps_per_iteration == scale.groups
    assert {own.seed for own in configs.values()} == {3}


def test_from_data_to_page_and_from_there_on(tmp_path, monkeypatch, capsys):
    tiny = ReproductionScale(
        name="smoke",
        robots=("cassie", "talos"),  # fall soon, so that evaluations are short
        steps=600,
        seeds=2,
        groups=2,
        episodes=1,
        training={
            "network": "tiny",
            "batch_size": 8,
            "updates": 4,
            "log_every": 2,
            "checkpoint_every": 4,
        },
    )
    table = ReturnsTable(
        name="table5",
        title="Two",
        question="Which?",
        sets=("expert-forward",),
        arms=("BC", "IQL+EG"),
        baseline="BC",
    )
    monkeypatch.setitem(SCALES, "smoke", tiny)
    monkeypatch.setitem(CATALOGUE, "table5", table)
    command = ["reproduce", "table5", "--scale", "smoke", "--out", str(tmp_path), "--json"]
    assert main([*command, "--dry-run"]) == 0
    plan = json.loads(capsys.readouterr().out)["table5"]
    assert [(own["runs"], own["finished"], own["hours"]) for own in plan["runs"]] == [
        (2, 0, None)
    ] * 2
    assert main(command) == 0
    answer = json.loads(capsys.readouterr().out)["table5"]
    folder = tmp_path / "smoke"
    assert answer["page"] == str(folder / "table5.html")
    page = (folder / "table5.html").read_text()
    assert all(arm in page for arm in table.arms)
    rows = list(csv.DictReader((folder / "table5.csv").read_text().splitlines()))
    assert [row["arm"] for row in rows] == ["BC", "IQL+EG"]
    assert [float(row["return"]) for row in rows] == [row["return"] for row in answer["rows"]]
    by_folder = {own.parent.name: own for own in (folder / "runs").glob("*/evaluation.json")}
    evaluations = [Evaluation.load(own).mean["return_mean"] for own in by_folder.values()]
    assert sum(float(row["return"]) for row in rows) / 2 == pytest.approx(np.mean(evaluations))
    size = sum(own.stat().st_size for own in (folder / "data").rglob("*.npy"))
    assert plan["data_bytes"] == pytest.approx(size, rel=0.1)
    assert main([*command, "--dry-run"]) == 0
    plan = json.loads(capsys.readouterr().out)["table5"]
    assert [(own["finished"], own["hours"]) for own in plan["runs"]] == [(2, 0.0)] * 2
    before = {own: own.stat().st_mtime_ns for own in (folder / "runs").rglob("*.safetensors")}
    assert len(list((folder / "runs").iterdir())) == 4
    assert main(command) == 0
    assert {own: own.stat().st_mtime_ns for own in before} == before


def test_tables_are_listed_and_others_refused(capsys, tmp_path):
    assert main(["reproduce", "--list"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in CATALOGUE)
    assert main(["reproduce", "table99", "--out", str(tmp_path)]) == 2
    assert "table3" in capsys.readouterr().err
    assert main(["reproduce"]) == 2
