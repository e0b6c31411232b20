"""Several seeds in one program: each is a run of its own, and learns what it would have alone."""

import json
from dataclasses import replace

import numpy as np
import pytest
from synthetic import write_dataset

from bodyplan.errors import BodyplanError
from bodyplan.experiments.pretraining import train, train_seeds
from bodyplan.learn.config import TrainConfig
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
        combine="grouped",
        groups=place / "groups.json",
        network="tiny",
        batch_size=8,
        updates=12,
        log_every=4,
        checkpoint_every=4,
        seed=5,
    )


@pytest.fixture(scope="module")
def together(config):
    return train_seeds(config, 2)


def tensors(run):
    return read_tensors(run.path / "policy" / "policy.safetensors")[0]


def test_the_first_learns_what_it_learns_alone(config, together):
    alone = tensors(train(replace(config, out=config.out.parent / "alone")))
    first, second = map(tensors, together)
    for name, values in alone.items():
        np.testing.assert_allclose(first[name], values, rtol=1e-3, atol=1e-5, err_msg=name)
    assert any(np.abs(first[name] - second[name]).max() > 0.1 for name in alone)


def test_each_is_a_run(config, together):
    assert [run.path.name for run in together] == ["seed5", "seed6"]
    for seed, run in zip((5, 6), together, strict=True):
        assert run.config["seed"] == Policy.load(run.path).card["seed"] == seed
        assert run.config["together"] == [5, 6]
        assert [line["update"] for line in run.metrics] == [4, 8, 12]


def test_a_stopped_pair_goes_on_to_the_same_bytes(config, together):
    stopped = replace(config, out=config.out.parent / "stopped")

    def stop(update, line):
        if update == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_seeds(stopped, 2, log=stop)
    # As if killed between the two checkpoints of update 4.
    (stopped.out / "seed6" / "checkpoints" / "4.safetensors").unlink()
    for one, other in zip(train_seeds(stopped, 2), together, strict=True):
        for name in ("policy/policy.safetensors", "checkpoints/12.safetensors"):
            assert (one.path / name).read_bytes() == (other.path / name).read_bytes()


def test_a_finished_pair_is_returned_and_another_number_refused(config, together):
    again = train_seeds(config, 2, log=lambda *_: pytest.fail("trained again"))
    assert [run.path for run in again] == [run.path for run in together]
    with pytest.raises(BodyplanError, match="together"):
        train_seeds(config, 3)


@pytest.mark.parametrize(
    ("count", "change", "said"),
    [(0, {}, "seeds is 0"), (2, {"data_on": "host"}, "data on the device")],
)
def test_what_cannot_be_is_refused(config, count, change, said):
    with pytest.raises(BodyplanError, match=said):
        train_seeds(replace(config, out=config.out.parent / "refused", **change), count)


def test_lines_are_whole_json(config, together):
    for run in together:
        text = (run.path / "metrics.jsonl").read_text()
        assert all("actor/loss" in json.loads(line) for line in text.splitlines())
