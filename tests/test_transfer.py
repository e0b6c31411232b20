"""Alone, together, joining late: runs where they are said to be, and sums done by hand."""

from dataclasses import replace

import pytest

from bodyplan.cli import main
from bodyplan.datasets.build import build_dataset
from bodyplan.envs.disturbances import Disturbances
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.evaluate import EvaluationConfig
from bodyplan.experiments.transfer import TransferConfig, measure_transfer
from bodyplan.learn.algorithms.bc import BC
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.run import Run
from bodyplan.storage import read_json, write_json

ROBOTS = ("unitree_a1", "unitree_go1")


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    place = tmp_path_factory.mktemp("transfer")
    build_dataset(place / "data", ROBOTS, "expert", "forward", 600, seed=0)
    training = TrainConfig(
        data=place / "data",
        out=place / "out",
        combine="grouped",
        groups=2,
        network="tiny",
        batch_size=8,
        updates=8,
        log_every=4,
        checkpoint_every=8,
        algorithm=BC(actor_decay=16),
    )
    evaluation = EvaluationConfig(episodes=1, threads=1)
    return TransferConfig(
        training, seeds=2, leave_out=("unitree_a1",), finetune_updates=4, evaluation=evaluation
    )


@pytest.fixture(scope="module")
def answer(plan):
    return measure_transfer(plan)


def return_of(plan, run, robot):
    path = plan.training.out / run / "evaluation.json"
    return read_json(path)["robots"][robot]["return_mean"]


@pytest.mark.parametrize("robot", ROBOTS)
def test_gains_are_the_evaluations_differences_seed_by_seed(plan, answer, robot):
    together = [return_of(plan, f"together/seed{s}", robot) for s in range(2)]
    alone = [return_of(plan, f"alone/{robot}/seed{s}", robot) for s in range(2)]
    gains = [own - other for own, other in zip(together, alone, strict=True)]
    row = answer["robots"][robot]
    assert row["gain"]["seeds"] == pytest.approx(gains)
    assert row["gain"]["mean"] == pytest.approx(sum(gains) / 2)
    of_mean = answer["mean"]["gain"]["seeds"]
    other = answer["robots"][next(name for name in ROBOTS if name != robot)]["gain"]["seeds"]
    assert of_mean == pytest.approx([(a + b) / 2 for a, b in zip(gains, other, strict=True)])
    assert read_json(plan.training.out / "transfer.json") == answer


def test_who_joins_late_goes_on_from_the_others_for_as_long_as_from_scratch(plan, answer):
    out = plan.training.out
    for seed in range(2):
        taught = Run(out / f"without/unitree_a1/seed{seed}")
        assert taught.config["robots"] == ["unitree_go1"]
        late = Run(next((out / "finetuned/unitree_a1").glob(f"seed{seed}")))
        scratch = Run(out / f"scratch/unitree_a1/seed{seed}")
        assert late.config["init_from"] == str(taught.path)
        assert scratch.config["init_from"] is None
        for run in (late, scratch):
            assert run.config["robots"] == ["unitree_a1"]
            assert run.config["updates"] == 4
            assert run.config["bc"]["actor_decay"] == 4
    row = answer["robots"]["unitree_a1"]
    expected = [return_of(plan, f"finetuned/unitree_a1/seed{s}", "unitree_a1") for s in range(2)]
    assert row["finetuned"]["seeds"] == expected
    assert [update for update, _ in row["finetuned_curve"]] == [4]
    assert "finetuned" not in answer["robots"]["unitree_go1"]
    assert "finetuned" not in answer["mean"]


def test_alone_is_one_step_an_update_with_a_rate_that_falls_in_them(plan, answer):
    config = Run(plan.training.out / "alone/unitree_go1/seed1").config
    assert config["combine"] == "pooled"
    assert config["updates"] == 8
    assert config["bc"]["actor_decay"] == 8
    assert config["seed"] == 1


def test_a_second_call_trains_and_evaluates_nothing(plan, answer):
    told = []
    assert measure_transfer(plan, lambda *what: told.append(what)) == answer
    assert told == []


def test_an_evaluation_on_another_trial_does_not_count(plan, answer):
    """Nor one that left the robot out."""
    told = []
    pushed = replace(
        plan, evaluation=replace(plan.evaluation, disturbances=Disturbances(pushes=0.5))
    )
    measure_transfer(pushed, lambda *what: told.append(what[0]))
    assert set(told) == {"evaluating"}
    path = plan.training.out / "together/seed0/evaluation.json"
    outcome = read_json(path)
    write_json(path, outcome | {"robots": {"unitree_a1": outcome["robots"]["unitree_a1"]}})
    assert measure_transfer(plan) == answer


def test_what_cannot_be_compared_is_refused(plan):
    with pytest.raises(BodyplanError, match="badger"):
        measure_transfer(replace(plan, leave_out=("badger",)))
    alone = replace(plan.training, robots=("unitree_a1",))
    with pytest.raises(BodyplanError, match="two robots"):
        measure_transfer(replace(plan, training=alone, leave_out=()))


def test_the_command_draws_what_there_is(plan, answer, tmp_path, capsys):
    training = plan.training
    arguments = ["--data", training.data, "--out", training.out, "--seeds", 2]
    arguments += ["--algorithm", "bc", "--combine", "grouped", "--groups", 2, "--network", "tiny"]
    arguments += ["--batch-size", 8, "--updates", 8, "--log-every", 4, "--checkpoint-every", 8]
    arguments += ["--bc.actor-decay", 16, "--leave-out", "unitree_a1", "--finetune-updates", 4]
    arguments += ["--trial.episodes", 1, "--trial.threads", 1, "--plot", tmp_path / "figure.svg"]
    assert main(["transfer", *map(str, arguments)]) == 0
    told = capsys.readouterr().out
    assert f"{answer['robots']['unitree_a1']['alone']['mean']:.1f}" in told
    drawing = (tmp_path / "figure.svg").read_text()
    assert "pre-training" in drawing
    assert "unitree_go1" in drawing
