"""Which runs are seeds of one another, from configurations made by hand."""

import json

import pytest

from bodyplan.cli import main
from bodyplan.errors import BodyplanError
from bodyplan.learn.run import Run
from bodyplan.learn.same_settings import (
    differing_settings,
    require_seeds,
    result_settings,
)

IQL = {"algorithm": "iql", "combine": "grouped", "iql": {"beta": 3.0, "tau": 0.005}}
BC = {"algorithm": "bc", "combine": "pooled", "bc": {"learning_rate": 3e-4}}
COMMON = {"data": "data/a", "robots": ["crab", "newt"], "groups": [["crab"], ["newt"]]}


@pytest.fixture
def run(tmp_path):
    """Makes a run of a configuration, in a folder of its own."""

    def make(**config):
        path = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        path.mkdir()
        (path / "config.json").write_text(json.dumps({**COMMON, "out": str(path), **config}))
        return Run(path)

    return make


def differences(*runs):
    return set(differing_settings([result_settings(own) for own in runs]))


@pytest.mark.parametrize(
    ("one", "other", "names"),
    [
        ({}, {"batch_size": 64}, {"batch_size"}),
        ({}, {"batch_size": 1024}, set()),  # the default, which an older run does not state
        ({}, {"iql": {"beta": 1.0, "tau": 0.005}}, {"iql.beta"}),
        ({}, {"iql": {"beta": 3.0}}, {"iql.tau"}),  # unknown, so it may differ
        ({}, {"groups": [["crab", "newt"]]}, {"groups"}),
        ({}, {"weights": {"crab": 2.0}}, {"weights"}),
        ({}, {"robots": ["crab"], "groups": [["crab"]]}, {"robots", "groups"}),
        ({}, {"robots": ["newt", "crab"]}, set()),
        ({}, {"dataset_card_sha256": "f00"}, {"data"}),
        ({"dataset_card_sha256": "f00"}, {"dataset_card_sha256": "f00", "data": "moved"}, set()),
        ({}, {"begin_with": "runs/first"}, {"init_from"}),
        ({"init_from": "pre/seed0"}, {"init_from": "pre/seed1"}, set()),
        ({"init_from": "pre/seed0"}, {"init_from": "other/seed0"}, {"init_from"}),
        ({"group_by": "random"}, {"group_by": "random", "groups": [["newt"], ["crab"]]}, set()),
        ({"group_by": "random"}, {"group_by": "random", "groups": [["newt"]]}, {"groups"}),
        ({}, {"provenance": {"jax": "0.11"}, "wandb": "mine", "together": [0, 1]}, set()),
        ({}, {"log_every": 7, "checkpoint_every": 70, "devices": 2}, set()),
    ],
)
def test_settings_that_decide_the_result_are_told_from_others(run, one, other, names):
    assert differences(run(**IQL | one), run(**IQL | other, seed=1)) == names


def test_settings_of_another_method_are_not_missing(run):
    runs = [run(**IQL), run(**BC), run(**BC, groups=[["crab", "newt"]], group_by="random")]
    assert differences(*runs) == {"algorithm", "combine"}
    assert differences(*runs, run(**IQL | {"iql": {"beta": 1.0, "tau": 0.005}})) == {
        *("algorithm", "combine", "iql.beta"),
    }


def test_a_setting_can_be_made_to_count(run):
    runs = [run(**IQL, seed=seed, conflicts_every=100 * (1 + seed)) for seed in range(2)]
    require_seeds(runs, "-")
    with pytest.raises(BodyplanError, match="conflicts_every"):
        require_seeds(runs, "-", [result_settings(own, ["conflicts_every"]) for own in runs])


def test_unlike_runs_and_a_seed_twice_are_refused(run):
    runs = [run(**IQL, seed=seed) for seed in range(3)]
    require_seeds(runs, "-")
    unlike = run(**BC, seed=3)
    with pytest.raises(BodyplanError, match=f"{unlike.path} .*algorithm, combine; do this"):
        require_seeds([*runs, unlike], "do this")
    again = run(**IQL, seed=1)
    with pytest.raises(BodyplanError, match=f"{runs[1].path} and {again.path} .*seed 1"):
        require_seeds([*runs, again], "-")


def test_conflicts_of_unlike_runs_are_not_averaged(run, capsys, tmp_path):
    robots = ["unitree_a1", "badger", "hexapod"]
    runs = [
        run(**own, robots=robots, groups=[robots], seed=seed)
        for own, seed in ((BC, 0), (BC, 1), (IQL, 2))
    ]
    line = {"update": 100, "norms": [1.0, 2.0, 3.0], "cosines": [0.5, -0.25, 0.1]}
    for own in runs:
        (own.path / "conflicts.jsonl").write_text(json.dumps(line) + "\n")
    seeds = [str(own.path) for own in runs[:2]]
    assert main(["conflicts", *seeds, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["measurements"] == [1, 1]
    assert main(["conflicts", *seeds, str(runs[2].path)]) == 2
    assert "algorithm" in capsys.readouterr().err
    assert main(["conflicts", seeds[0], seeds[0]]) == 2
    assert "seed 0" in capsys.readouterr().err
    gains = {name: {"gain": {"mean": 1.0}} for name in robots}
    transfer = tmp_path / "transfer.json"
    transfer.write_text(json.dumps({"algorithm": "iql", "robots": gains}))
    assert main(["conflicts", *seeds, "--transfer", str(transfer)]) == 2
    assert "iql and bc" in capsys.readouterr().err
