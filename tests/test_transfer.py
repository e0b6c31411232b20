"""Transfer: which runs are trained for it, with which settings, and sums done by hand.

The robots are a biped and its copy. They fall soon under a policy that has hardly been trained, so
evaluations are short, and equal shapes share compiled programs.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from synthetic import write_dataset

from bodyplan.cli import main
from bodyplan.envs.disturbances import Disturbances
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.evaluation import EvaluationConfig
from bodyplan.experiments.transfer import (
    TransferConfig,
    alone_config,
    measure_transfer,
    without_config,
)
from bodyplan.learn.algorithms.bc import BC
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.run import Run
from bodyplan.robots.registry import MODELS
from bodyplan.storage import read_json, write_json

ROBOTS = {"cassie": (10, 2), "twin": (10, 2)}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("transfer")
    write_dataset(folder / "data", ROBOTS, steps=100, length=20)
    for suffix in (".xml", ".toml"):
        shutil.copy(MODELS / f"cassie{suffix}", folder / f"twin{suffix}")
    card = read_json(folder / "data" / "card.json")
    write_json(folder / "data" / "card.json", card | {"models": {"twin": str(folder / "twin.xml")}})
    training = TrainConfig(
        data=folder / "data",
        out=folder / "out",
        network="tiny",
        batch_size=8,
        updates=8,
        log_every=4,
        checkpoint_every=8,
        algorithm=BC(actor_decay=8),
    )
    return TransferConfig(
        training,
        seeds=2,
        leave_out=("cassie",),
        finetune_updates=4,
        evaluation=EvaluationConfig(episodes=1, threads=1),
    )


@pytest.fixture(scope="module")
def results(config):
    return measure_transfer(config)


def return_of(config, run, robot):
    path = config.training.out / run / "evaluation.json"
    return read_json(path)["robots"][robot]["return_mean"]


@pytest.mark.parametrize("robot", ROBOTS)
def test_gains_are_the_differences_of_evaluations_seed_by_seed(config, results, robot):
    together = [return_of(config, f"together/seed{s}", robot) for s in range(2)]
    alone = [return_of(config, f"alone/{robot}/seed{s}", robot) for s in range(2)]
    gains = [own - other for own, other in zip(together, alone, strict=True)]
    row = results["robots"][robot]
    assert row["gain"]["seeds"] == pytest.approx(gains)
    assert row["gain"]["mean"] == pytest.approx(sum(gains) / 2)
    of_mean = results["mean"]["gain"]["seeds"]
    other = results["robots"][next(name for name in ROBOTS if name != robot)]["gain"]["seeds"]
    assert of_mean == pytest.approx([(a + b) / 2 for a, b in zip(gains, other, strict=True)])
    assert read_json(config.training.out / "transfer.json") == results


def test_fine_tuning_continues_from_the_others_for_as_long_as_from_scratch(config, results):
    out = config.training.out
    for seed in range(2):
        pretrained = Run(out / f"without/cassie/seed{seed}")
        assert pretrained.config["robots"] == ["twin"]
        late = Run(out / f"finetuned/cassie/seed{seed}")
        scratch = Run(out / f"scratch/cassie/seed{seed}")
        assert late.config["init_from"] == str(pretrained.path)
        assert scratch.config["init_from"] is None
        for run in (late, scratch):
            assert run.config["robots"] == ["cassie"]
            assert run.config["updates"] == 4
            assert run.config["bc"]["actor_decay"] == 4
    row = results["robots"]["cassie"]
    expected = [return_of(config, f"finetuned/cassie/seed{s}", "cassie") for s in range(2)]
    assert row["finetuned"]["seeds"] == expected
    assert [update for update, _ in row["finetuned_curve"]] == [4]
    assert "finetuned" not in results["robots"]["twin"]
    assert "finetuned" not in results["mean"]


def test_a_robot_alone_has_one_actor_update_per_update():
    grouped = TrainConfig(
        "data",
        "out",
        algorithm=BC(actor_decay=8),
        combine="grouped",
        groups=2,
        updates=8,
        weights={"cassie": 2.0},
        conflicts_every=100,
    )
    alone = alone_config(grouped, "twin")
    assert (alone.robots, alone.combine, alone.updates) == (("twin",), "pooled", 8)
    assert alone.algorithm == BC(actor_decay=8)
    assert (alone.weights, alone.conflicts_every) == (None, 0)


def test_fewer_robots_have_no_more_groups_than_robots():
    grouped = TrainConfig("data", "out", combine="grouped", groups=3)
    assert without_config(grouped, ("cassie",)).groups == 1
    assert without_config(grouped, ("a", "b", "c", "d")).groups == 3
    listed = replace(grouped, groups=Path("groups.json"))
    assert without_config(listed, ("cassie",)).groups == Path("groups.json")


def test_every_seed_is_a_run_of_its_own(config, results):
    out = config.training.out
    assert [Run(out / f"alone/twin/seed{s}").config["seed"] for s in range(2)] == [0, 1]
    assert Run(out / "alone/twin/seed1").config["robots"] == ["twin"]
    assert Run(out / "together/seed0").config["robots"] == ["cassie", "twin"]


def test_a_second_call_trains_and_evaluates_nothing(config, results):
    seen = []
    assert measure_transfer(config, lambda *call: seen.append(call)) == results
    assert seen == []


def test_only_what_the_evaluation_settings_or_a_robot_lack_is_evaluated_again(config, results):
    seen = []
    disturbed = replace(config.evaluation, disturbances=Disturbances(pushes=0.5))
    measure_transfer(
        replace(config, evaluation=disturbed, leave_out=()),
        lambda task, done, total, note="": seen.append((task, note)),
    )
    assert {task for task, _ in seen} == {"evaluating"}
    assert {robot for _, robot in seen if robot} == set(ROBOTS)
    assert measure_transfer(config) == results
    path = config.training.out / "together/seed0/evaluation.json"
    document = read_json(path)
    partly = {"robots": {"cassie": document["robots"]["cassie"]}}
    for unlike in (partly, {"updates": 4}, {"policy": "best"}):  # such as before more updates
        write_json(path, document | unlike)
        assert measure_transfer(config) == results
        assert read_json(path) == document


def test_robots_that_cannot_be_compared_are_refused(config):
    with pytest.raises(BodyplanError, match="badger"):
        measure_transfer(replace(config, leave_out=("badger",)))
    alone = replace(config.training, robots=("cassie",))
    with pytest.raises(BodyplanError, match="two robots"):
        measure_transfer(replace(config, training=alone, leave_out=()))


def test_the_command_draws_the_results(config, results, tmp_path, capsys):
    training = config.training
    arguments = ["--data", training.data, "--out", training.out, "--seeds", 2]
    arguments += ["--algorithm", "bc", "--network", "tiny"]
    arguments += ["--batch-size", 8, "--updates", 8, "--log-every", 4, "--checkpoint-every", 8]
    arguments += ["--bc.actor-decay", 8, "--leave-out", "cassie", "--finetune-updates", 4]
    arguments += ["--trial.episodes", 1, "--trial.threads", 1, "--plot", tmp_path / "figure.svg"]
    assert main(["transfer", *map(str, arguments)]) == 0
    printed = capsys.readouterr().out
    assert f"{results['robots']['cassie']['alone']['mean']:.1f}" in printed
    drawing = (tmp_path / "figure.svg").read_text()
    assert "pre-training" in drawing
    assert "twin" in drawing
