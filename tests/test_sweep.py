"""Sweeps: the runs that a file asks for, and what comes out of them.

The robot is a biped that falls soon, so that evaluations are short.
"""

import csv
import json

import pytest
from synthetic import write_dataset

from bodyplan.cli import main
from bodyplan.cli.sweep_grid import read_sweep_grid
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.evaluation import Evaluation, EvaluationConfig
from bodyplan.experiments.experiment_run import ExperimentRun
from bodyplan.experiments.sweep import sweep_runs

SETTINGS = """
[settings]
data = "DATA"
network = "tiny"
batch-size = 8
updates = 8
log_every = 4
checkpoint_every = 4
algorithm = "bc"
bc.learning_rate = 1e-3
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep") / "data"
    write_dataset(folder, {"cassie": (10, 2)}, steps=100, length=20)
    return folder


@pytest.fixture
def write(tmp_path, data):
    def write(text, settings=SETTINGS):
        path = tmp_path / "grid.toml"
        path.write_text((settings + text).replace("DATA", str(data)))
        return path

    return write


def test_every_arm_has_every_combination(write):
    grid = read_sweep_grid(
        write(
            """
            [arms.pooled]
            [arms."EG 2"]
            combine = "grouped"
            groups = 2
            [grid]
            seed = [3, 4]
            "bc.learning_rate" = [1e-3, 4e-3]
            [evaluation]
            episodes = 5
            initial-state = "nominal"
            """
        )
    )
    assert list(grid.arms) == [
        *("pooled learning_rate=0.001", "pooled learning_rate=0.004"),
        *("EG 2 learning_rate=0.001", "EG 2 learning_rate=0.004"),
    ]
    found = [
        (own.combiner_name, own.algorithm.learning_rate, own.seed, own.updates, own.batch_size)
        for own in grid.arms["EG 2 learning_rate=0.004"]
    ]
    assert found == [("grouped", 4e-3, 3, 8, 8), ("grouped", 4e-3, 4, 8, 8)]
    assert grid.evaluation == EvaluationConfig(episodes=5, initial_state="nominal")


def test_groups_weights_and_switches_are_written_as_in_toml(write):
    grid = read_sweep_grid(
        write(
            """
            [arms.mine]
            combine = "grouped"
            groups = [["cassie"]]
            group_critic = true
            weights = { cassie = 2.0 }
            """
        )
    )
    (config,) = grid.arms["mine"]
    assert (config.groups, config.group_critic) == ([["cassie"]], True)
    assert config.weights == {"cassie": 2.0}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[grids]\nseed = [1]", ["grids", "grid"]),
        ("[grid]\nseed = 1", ["seed", "list"]),
        ("[grid]\nseed = []", ["seed", "list"]),
        ("[grid]\nbeta_of_iql = [1]", ["beta"]),
        ("[grid]\nout = ['a']", ["out"]),
        ("[arms]\npooled = 3", ["arms.pooled", "table"]),
        ("[arms.a]\nupdates = 'many'", ["arms.a", "updates"]),
        ("[arms.a]\nalgorithm = 'bcc'", ["arms.a", "bc"]),
        ("[evaluation]\nepisodes = 0", ["evaluation", "episodes"]),
        ("[grid]\nseed = [0, 0]", ["same run"]),
        ("[grid", ["TOML"]),
    ],
)
def test_what_is_wrong_in_the_file_is_one_sentence(write, tmp_path, capsys, text, words):
    path = write(text)
    assert main(["sweep", str(path), "--out", str(tmp_path / "s"), "--dry-run"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert all(word in told for word in [*words, "grid.toml" if "same" not in words[0] else ""])


def test_a_run_is_found_by_what_decides_its_result(write, tmp_path):
    grid = read_sweep_grid(write("[grid]\nseed = [0, 1]"))
    runs = sweep_runs(grid.arms, grid.evaluation, tmp_path / "s")
    assert len({run.path for run in runs}) == 2
    other = read_sweep_grid(write("[grid]\nseed = [1, 0, 2]\n[arms.named]\nkeep_checkpoints = 1"))
    again = sweep_runs(other.arms, other.evaluation, tmp_path / "s")
    assert {run.path for run in runs} < {run.path for run in again}
    with pytest.raises(BodyplanError, match="no dataset"):
        config = grid.arms["run"][0]
        missing = {**vars(config), "data": tmp_path / "missing"}
        ExperimentRun.of("run", type(config)(**missing), grid.evaluation, tmp_path)


def test_a_sweep_is_trained_compared_and_found_again(write, tmp_path, capsys):
    path, out = write("[grid]\nseed = [0, 1]\n[evaluation]\nepisodes = 1"), tmp_path / "sweep"
    assert main(["sweep", str(path), "--out", str(out), "--part", "2/2"]) == 0
    capsys.readouterr()
    assert main(["sweep", str(path), "--out", str(out), "--dry-run", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)["runs"]
    assert [own["state"] for own in planned] == ["not begun", "finished"]
    assert main(["sweep", str(path), "--out", str(out), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [own["state"] for own in answer["runs"]] == ["finished"] * 2
    assert [arm["seeds"] for arm in answer["comparison"]["arms"]] == [[0, 1]]
    rows = csv.DictReader((out / "runs.csv").read_text().splitlines())
    for row in rows:
        evaluation = Evaluation.load(out / "runs" / row["folder"] / "evaluation.json")
        assert float(row["return_mean"]) == evaluation.mean["return_mean"]
    assert "Repeat this" in (out / "comparison.html").read_text()
    before = {own: own.stat().st_mtime_ns for own in (out / "runs").rglob("*.json")}
    assert main(["sweep", str(path), "--out", str(out), "--workers", "2"]) == 0
    assert {own: own.stat().st_mtime_ns for own in (out / "runs").rglob("*.json")} == before


@pytest.mark.parametrize("part", ["0/2", "3/2", "1", "a/b", "-1/2"])
def test_parts_are_counted_from_one(write, tmp_path, capsys, part):
    assert main(["sweep", str(write("")), "--out", str(tmp_path / "s"), f"--part={part}"]) == 2
    assert part in capsys.readouterr().err
