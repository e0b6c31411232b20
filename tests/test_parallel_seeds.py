"""Several seeds in one program: each is a run of its own, and learns what it would have alone."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from synthetic import write_dataset

from bodyplan.errors import BodyplanError
from bodyplan.experiments.pretraining import train, train_seeds, train_together
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.conflicts import Conflicts
from bodyplan.learn.policy import Policy
from bodyplan.storage import read_tensors

ROBOTS = {"dog": (3, 2), "crab": (4, 2)}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    place = tmp_path_factory.mktemp("seeds")
    write_dataset(place / "data", ROBOTS, steps=300)
    (place / "groups.json").write_text('[["crab"], ["dog"]]')
    return TrainConfig(
        data=place / "data",
        out=place / "together",
        algorithm="bc",  # quickest to compile; IQL below
        combine="grouped",
        groups=place / "groups.json",
        network="tiny",
        batch_size=8,
        updates=12,
        log_every=4,
        checkpoint_every=4,
        conflicts_every=4,
        seed=5,
    )


@pytest.fixture(scope="module")
def alone(config):
    return train(replace(config, out=config.out.parent / "alone"))


@pytest.fixture(scope="module")
def together(config):
    return train_seeds(config, 2)


def tensors(run):
    return read_tensors(run.path / "policy" / "policy.safetensors")[0]


def test_the_first_learns_what_it_learns_alone(alone, together):
    expected, first, second = map(tensors, (alone, *together))
    for name, values in expected.items():
        np.testing.assert_allclose(first[name], values, rtol=1e-3, atol=1e-5, err_msg=name)
    assert any(np.abs(first[name] - second[name]).max() > 0.1 for name in expected)


def test_each_is_a_run(config, together):
    assert [run.path.name for run in together] == ["seed5", "seed6"]
    for seed, run in zip((5, 6), together, strict=True):
        assert run.config["seed"] == Policy.load(run.path).card["seed"] == seed
        assert run.config["together"] == [5, 6]
        assert [line["update"] for line in run.metrics] == [4, 8, 12]


def test_seeds_measure_the_conflict_that_each_has_alone(alone, together):
    expected, first, second = map(Conflicts.read, (alone, *together))
    np.testing.assert_allclose(first.cosines, expected.cosines, atol=2e-3)
    assert np.abs(second.cosines - expected.cosines).max() > 0.01


def test_a_stopped_pair_goes_on_from_its_common_checkpoint_to_the_same_bytes(config, together):
    stopped = replace(config, out=config.out.parent / "stopped")
    shutil.copytree(config.out, stopped.out)
    # As if killed between the two checkpoints of update 12.
    (stopped.out / "seed6" / "checkpoints" / "12.safetensors").unlink()
    for seed in ("seed5", "seed6"):
        shutil.rmtree(stopped.out / seed / "policy")
    logged = []
    continued = train_seeds(stopped, 2, log=lambda update, line: logged.append(update))
    assert logged == [12]
    for one, other in zip(continued, together, strict=True):
        for name in ("policy/policy.safetensors", "checkpoints/12.safetensors"):
            assert (one.path / name).read_bytes() == (other.path / name).read_bytes()


def test_a_finished_pair_is_returned_and_another_number_refused(config, together):
    again = train_seeds(config, 2, log=lambda *_: pytest.fail("trained again"))
    assert [run.path for run in again] == [run.path for run in together]
    with pytest.raises(BodyplanError, match="together"):
        train_seeds(config, 3)


@pytest.mark.slow
def test_runs_of_several_rates_and_betas_learn_what_they_learn_alone(config):
    configs = [
        replace(
            config,
            out=config.out.parent / f"rate{rate}-{seed}",
            algorithm="iql",
            conflicts_every=0,
            seed=seed,
        ).with_hyperparameters(beta=beta, learning_rate=rate)
        for beta, rate, seed in ((0.0, 1e-3, 5), (3.0, 3e-4, 5), (3.0, 1e-3, 6))
    ]
    runs = train_together(configs)
    for own, run in zip(configs[:2], runs, strict=False):
        alone = train(replace(own, out=config.out.parent / f"alone{own.algorithm.learning_rate}"))
        for name, values in tensors(alone).items():
            np.testing.assert_allclose(tensors(run)[name], values, rtol=1e-2, atol=2e-4)
        assert run.policy.card["hyperparameters"]["beta"] == own.algorithm.beta
        assert run.config["iql"]["learning_rate"] == own.algorithm.learning_rate
    first, second = map(tensors, runs[:2])
    assert max(np.abs(first[name] - second[name]).max() for name in first) > 3e-3
    again = train_together(configs, log=lambda *_: pytest.fail("trained again"))
    assert [run.path for run in again] == [own.out for own in configs]


@pytest.mark.parametrize(
    ("change", "word"),
    [({"batch_size": 4}, "batch_size"), ({"algorithm": "iql"}, "algorithm"), ({}, "`out`")],
)
def test_runs_that_cannot_share_a_program_are_refused(config, change, word):
    fresh = replace(config, out=config.out.parent / "refused")
    other = replace(fresh, out=config.out.parent / "refused too" if change else fresh.out, **change)
    with pytest.raises(BodyplanError, match=word):
        train_together([fresh, other])
    assert not fresh.out.exists()


def test_no_seeds_are_refused(config):
    with pytest.raises(BodyplanError, match="seeds is 0"):
        train_seeds(replace(config, out=config.out.parent / "refused"), 0)


def test_data_read_from_disk_teach_every_seed_the_same_to_the_bit(config, together):
    host = train_seeds(replace(config, out=config.out.parent / "host", data_on="host"), 2)
    for one, other in zip(host, together, strict=True):
        for name in ("policy/policy.safetensors", "checkpoints/12.safetensors"):
            assert (one.path / name).read_bytes() == (other.path / name).read_bytes()


def test_lines_are_whole_json(config, together):
    for run in together:
        text = (run.path / "metrics.jsonl").read_text()
        assert all("actor/loss" in json.loads(line) for line in text.splitlines())
