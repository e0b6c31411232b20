"""TensorBoard and Weights & Biases show what metrics.jsonl says."""

import struct
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from synthetic import write_dataset
from tensorboardX.proto.event_pb2 import Event

from bodyplan.errors import BodyplanError
from bodyplan.experiments.pretraining import train
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.metric_writers import flat_metrics


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    place = tmp_path_factory.mktemp("mirrors")
    write_dataset(place / "data", {"dog": (3, 2)}, steps=200)
    return TrainConfig(
        data=place / "data",
        out=place / "run",
        algorithm="bc",
        network="tiny",
        batch_size=8,
        updates=12,
        log_every=4,
        checkpoint_every=8,
        evaluate_every=8,
    )


def evaluation(update, policy):
    return {"dog": {"return_mean": 10.0 + update, "lengths": [1, 2]}}


def scalars(folder):
    """Name and update to value, of all event files; what a later file purges is gone."""
    told = {}
    for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns):
        data, place = path.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack("<Q", data[place : place + 8])
            event = Event.FromString(data[place + 12 : place + 12 + length])
            place += length + 16
            if event.HasField("session_log"):
                told = {key: value for key, value in told.items() if key[1] < event.step}
            for value in event.summary.value:
                told[value.tag, event.step] = value.simple_value
    return told


def expected(run):
    lines = [(line["update"], flat_metrics(line)) for line in run.metrics]
    return {(name, update): value for update, line in lines for name, value in line.items()}


def test_tensorboard_follows_also_where_a_run_goes_back(config):
    config = replace(config, tensorboard=True)

    def stop(update, line):
        if update == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, log=stop, on_interval=evaluation)
    run = train(config, on_interval=evaluation)
    told = scalars(run.path / "tensorboard")
    assert told == pytest.approx(expected(run))
    assert told["evaluation/dog/return_mean", 8] == 18.0


def test_wandb_gets_the_same_and_goes_on_where_it_was(config, monkeypatch):
    begun, told = [], {}

    def init(**settings):
        begun.append(settings)
        return SimpleNamespace(
            log=lambda line, step: told.update({(name, step): v for name, v in line.items()}),
            finish=lambda: begun.append("finished"),
        )

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    run = train(
        replace(config, out=config.out.parent / "wandb", wandb="walking"), on_interval=evaluation
    )
    assert told == expected(run)
    assert begun[0]["project"] == "walking"
    assert begun[0]["resume"] == "allow"
    assert begun[0]["config"]["algorithm"] == "bc"
    assert begun[1:] == ["finished"]


def test_a_missing_wandb_is_named_before_anything_is_written(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    without = replace(config, out=config.out.parent / "none", wandb="walking")
    with pytest.raises(BodyplanError, match=r"bodyplan\[track\]"):
        train(without)
    assert not without.out.exists()
