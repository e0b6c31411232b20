"""Evaluations of real runs: any checkpoint, an interrupted run, a folder of seeds, several runs."""

import json
import shutil

import numpy as np
import pytest
from synthetic import COMMAND, write_dataset

import bodyplan
from bodyplan.cli import main
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.evaluation import Evaluation
from bodyplan.evaluation.trained_policy import trained_policy
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.policy import Policy
from bodyplan.learn.run import Run

HUMANOID = {"unitree_h1": (19, 2)}
QUICK = ["--episodes", "2"]


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """A folder of two seeds with checkpoints after 4, 8 and 12 updates; their data are gone."""
    home = tmp_path_factory.mktemp("runs")
    data = write_dataset(home / "data", HUMANOID, steps=120)
    config = TrainConfig(
        data.path,
        home / "seeds",
        algorithm="bc",
        network="tiny",
        batch_size=4,
        updates=12,
        log_every=4,
        checkpoint_every=4,
        keep_checkpoints=0,
        observation_scale="shared",
    )
    bodyplan.train_seeds(config, 2, episodes=1)
    shutil.rmtree(data.path)
    return home / "seeds"


@pytest.fixture
def run(seeds, tmp_path):
    """A copy of the first seed's run."""
    return Run(shutil.copytree(seeds / "seed0", tmp_path / "run"))


@pytest.fixture
def interrupted(run):
    """A run that was killed after its first checkpoint."""
    shutil.rmtree(run.path / "policy")
    for update in (8, 12):
        (run.path / "checkpoints" / f"{update}.safetensors").unlink()
    return run


def test_the_last_checkpoint_acts_as_the_finished_policy(run):
    found = [bodyplan.evaluate(run, episodes=2, at=at) for at in (None, 12, 4)]
    assert found[0].scores == found[1].scores
    assert found[0].scores != found[2].scores
    assert [own.policy for own in found] == ["last", "at 12", "at 4"]
    assert [own.document["updates"] for own in found] == [12, 12, 4]
    assert [own["unitree_h1"]["data_return"] for own in found] == [None] * 3


def test_a_checkpoint_holds_the_tensors_and_the_card_of_its_policy(run):
    last, checkpoint = (trained_policy(run, best=False, at=at) for at in (None, 12))
    differences = {
        key for key in last.policy.card if last.policy.card[key] != checkpoint.policy.card.get(key)
    }
    assert differences <= {"provenance"}
    assert last.robots == checkpoint.robots == ("unitree_h1",)
    assert tuple(checkpoint.command) == COMMAND


def test_a_checkpoint_that_is_not_there_names_those_that_are(run, capsys):
    assert main(["evaluate", str(run.path), "--at", "5000"]) == 2
    assert "4, 8, 12" in capsys.readouterr().err
    with pytest.raises(BodyplanError, match="best and at"):
        bodyplan.evaluate(run, best=True, at=4)


def test_an_interrupted_run_is_evaluated_at_its_last_checkpoint_and_says_so(interrupted, capsys):
    assert main(["evaluate", str(interrupted.path), *QUICK]) == 0
    told = capsys.readouterr().out
    assert "not finished" in told
    assert "update 4" in told
    found = Evaluation.load(interrupted.path / "evaluation_at_4.json")
    assert found.policy == "at 4"
    assert not (interrupted.path / "evaluation.json").exists()


def test_a_run_without_policy_and_checkpoint_says_how_to_go_on(interrupted):
    shutil.rmtree(interrupted.path / "checkpoints")
    with pytest.raises(BodyplanError, match="no policy"):
        bodyplan.evaluate(interrupted)


def test_a_checkpoint_of_an_older_version_says_how_to_go_on(run):
    from bodyplan.storage import read_tensors, write_tensors

    path = run.path / "checkpoints" / "4.safetensors"
    tensors, _ = read_tensors(path)
    write_tensors(path, tensors, {})
    with pytest.raises(BodyplanError, match="older version"):
        bodyplan.evaluate(run, at=4)


def test_a_folder_of_seeds_is_a_row_for_each_and_their_mean(seeds, run, capsys):
    assert main(["evaluate", str(seeds), str(run.path), *QUICK, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    each = [Evaluation.load(seeds / f"seed{seed}" / "evaluation.json") for seed in (0, 1)]
    returns = [own.mean["return_mean"] for own in each]
    mean = told["seeds"][str(seeds)]
    assert mean["return_mean"] == pytest.approx(np.mean(returns))
    assert mean["return_se"] == pytest.approx(abs(returns[0] - returns[1]) / 2.0)
    assert list(told["runs"]) == [*(str(seeds / f"seed{s}") for s in (0, 1)), str(run.path)]
    assert told["runs"][str(run.path)]["robots"] == each[0].scores
    assert main(["evaluate", str(seeds), *QUICK]) == 0
    assert "mean of 2 seeds" in capsys.readouterr().out
    with pytest.raises(BodyplanError, match="2 seeds"):
        bodyplan.evaluate(seeds)


def test_the_error_of_a_mean_over_robots_is_that_of_independent_robots(run):
    robots = ["unitree_h1", "cassie", "talos"]
    found = bodyplan.evaluate(Policy.load(run.path), robots, episodes=3)
    errors = [found[name]["return_se"] for name in robots]
    assert found.mean["return_se"] == pytest.approx(np.sqrt(np.square(errors).sum()) / 3)
    assert found.mean["velocity"] == pytest.approx(
        np.mean([found[name]["velocity"] for name in robots], axis=0).tolist()
    )
