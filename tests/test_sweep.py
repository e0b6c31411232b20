"""Sweeps: the runs that a file asks for, and what comes out of them.

The robot is a biped that falls soon, so that evaluations are short.
"""

import csv
import itertools
import json

import pytest
from synthetic import write_dataset

from bodyplan.cli import main
from bodyplan.cli.sweep_grid import read_sweep_grid
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.evaluation import Evaluation, EvaluationConfig
from bodyplan.evaluation.tuning import TunedArm
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


def compared(grid):
    """What is compared of arms that are not tuned."""
    assert all(len(own) == 1 for own in grid.arms.values())
    return {arm: own[0].compared for arm, own in grid.arms.items()}


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
        for own in compared(grid)["EG 2 learning_rate=0.004"]
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
    (config,) = compared(grid)["mine"]
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
        ("[tuning]\nlearning_rate = [1e-3, 2e-3]", ["tuning", "seed"]),
        ("[tuning]\nseed = [7]", ["tuning", "choose"]),
        ("[tuning]\nlearning_rate = [1e-3, 2e-3]\nseed = [0]", ["tuning", "seed 0"]),
        ("[tuning]\nlearning_rate = [1e-3, -1.0]\nseed = [7]", ["learning", "-1"]),
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
    runs = sweep_runs(compared(grid), grid.evaluation, tmp_path / "s")
    assert len({run.path for run in runs}) == 2
    other = read_sweep_grid(write("[grid]\nseed = [1, 0, 2]\n[arms.named]\nkeep_checkpoints = 1"))
    again = sweep_runs(compared(other), other.evaluation, tmp_path / "s")
    assert {run.path for run in runs} < {run.path for run in again}
    with pytest.raises(BodyplanError, match="no dataset"):
        config = compared(grid)["run"][0]
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


def test_an_arm_tries_its_algorithms_settings_with_other_seeds(write):
    grid = read_sweep_grid(
        write(
            """
            [arms.cloned]
            [arms.valued]
            algorithm = "iql"
            [grid]
            seed = [0, 1]
            [tuning]
            learning_rate = [3e-4, 4e-3]
            seed = [8, 9]
            """
        )
    )
    for arm, algorithm in (("cloned", "bc"), ("valued", "iql")):
        for rate, candidate in zip((3e-4, 4e-3), grid.arms[arm], strict=True):
            assert candidate.label == f"learning_rate={rate}"
            assert [own.seed for own in candidate.trials] == [8, 9]
            assert [own.seed for own in candidate.compared] == [0, 1]
            for own in (*candidate.trials, *candidate.compared):
                assert (own.algorithm_name, own.algorithm.learning_rate) == (algorithm, rate)


def test_the_best_of_some_settings_is_that_of_all_draws():
    scores = {"a": 3.0, "b": 1.0, "c": 4.0, "d": 1.0}
    arm = TunedArm("arm", scores)
    assert arm.chosen == "c"
    for count, expected in enumerate(arm.expected_best, start=1):
        draws = [max(own) for own in itertools.combinations(scores.values(), count)]
        assert expected == pytest.approx(sum(draws) / len(draws))


def test_what_scored_best_is_compared_with_seeds_of_its_own(write, tmp_path, capsys):
    path, out = (
        write(
            """
        [arms.plain]
        [arms.summed]
        bc.log_probability = "sum"
        [grid]
        seed = [0]
        [tuning]
        learning_rate = [1e-3, 1e-2]
        seed = [9]
        [evaluation]
        episodes = 1
        """
        ),
        tmp_path / "sweep",
    )

    def called(*options):
        assert main(["sweep", str(path), "--out", str(out), "--json", *options]) == 0
        return json.loads(capsys.readouterr().out)

    assert len(called("--dry-run")["runs"]) == 4  # what is compared is not known yet
    assert called("--part", "1/2")["comparison"] is None
    answer = called()
    assert [own["seed"] for own in answer["runs"]] == [0, 0]
    rows = list(csv.DictReader((out / "runs.csv").read_text().splitlines()))
    tried = {row["arm"]: row for row in rows if row["seed"] == "9"}
    for arm, tuned in answer["tuned"].items():
        scores = {
            label: float(tried[f"{arm} {label}"]["normalised_return"]) for label in tuned["scores"]
        }
        assert tuned["scores"] == pytest.approx(scores)
        assert scores[tuned["chosen"]] == max(scores.values())
        rate = float(tuned["chosen"].partition("=")[2])
        (row,) = (row for row in rows if row["arm"] == arm)
        config = json.loads((out / "runs" / row["folder"] / "config.json").read_text())
        assert config["bc"]["learning_rate"] == rate
    assert "How the arms were tuned" in (out / "comparison.html").read_text()
    assert len(called("--dry-run")["runs"]) == 6
