"""Batches split over devices and hosts teach what whole ones do."""

import json
import os
import socket
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from synthetic import write_dataset

from bodyplan.errors import BodyplanError
from bodyplan.experiments.pretraining import train
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.conflicts import Conflicts
from bodyplan.learn.distributed import join_hosts
from bodyplan.learn.run import Run
from bodyplan.learn.training_setup import TrainingSetup
from bodyplan.storage import read_json, read_tensors

CASES = {
    "iql": {"combine": "grouped", "group_critic": True, "weights": {"dog": 2.0}},
    "td3_bc": {"combine": "pcgrad", "data_on": "host", "conflicts_every": 4},
    "bc": {"combine": "pooled"},
}
"""Weights of unlike groups; noise in the losses, batches from disk, gradients robot by robot; and
what is quickest to compile, for several hosts."""


def small_run(place: Path, algorithm: str, name: str, devices: int) -> TrainConfig:
    return TrainConfig(
        data=place / "data",
        out=place / f"{algorithm}_{name}",
        algorithm=algorithm,
        groups=place / "groups.json",
        network="tiny",
        batch_size=8,
        updates=8,
        log_every=4,
        checkpoint_every=8,
        devices=devices,
        **CASES[algorithm],
    )


def on_devices(place: Path, algorithm: str) -> None:
    """What a process with several devices does."""
    os.environ["XLA_FLAGS"] += " --xla_force_host_platform_device_count=4"
    train(small_run(place, algorithm, "split", devices=4))


def on_hosts(place: Path, algorithm: str, port: int, host: int) -> None:
    """What each of two processes does."""
    join_hosts(f"127.0.0.1:{port}", 2, host)
    train(small_run(place, algorithm, "hosts", devices=2))


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("shards")
    write_dataset(place / "data", {"dog": (3, 2), "crab": (4, 2)}, steps=300)
    (place / "groups.json").write_text('[["crab"], ["dog"]]')
    return place


@pytest.fixture(scope="module")
def both(place, fork):
    """Trains a case on one device, and on four devices or two hosts, once each."""

    @cache
    def both(algorithm, name):
        if name == "split":
            processes = [fork(target=on_devices, args=(place, algorithm))]
        else:
            port = free_port()
            processes = [
                fork(target=on_hosts, args=(place, algorithm, port, host)) for host in range(2)
            ]
        for process in processes:
            process.start()
        train(small_run(place, algorithm, "whole", devices=1))  # once; then it is there
        for process in processes:
            process.join(timeout=600)
            assert process.exitcode == 0
        return place / f"{algorithm}_whole", place / f"{algorithm}_{name}"

    return both


def networks(folder):
    """Optimisers' moments are left out: Adam divides by what rounding moves most."""
    tensors, _ = read_tensors(folder / "checkpoints" / "8.safetensors")
    return {name: values for name, values in tensors.items() if "optimiser" not in name}


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [
        *(pytest.param(own, "split", marks=pytest.mark.slow) for own in ("iql", "td3_bc")),
        ("bc", "split"),
        ("bc", "hosts"),
    ],
)
def test_parts_of_batches_teach_what_whole_ones_do(both, algorithm, name):
    folders = both(algorithm, name)
    whole, parts = map(networks, folders)
    assert whole.keys() == parts.keys()
    for tensor, values in whole.items():
        # Adam moves even what has almost no gradient by its rate, so that rounding shows there.
        np.testing.assert_allclose(parts[tensor], values, rtol=1e-3, atol=1e-4, err_msg=tensor)
    for own, other in zip(*map(read_lines, folders), strict=True):
        assert other == pytest.approx(own, rel=1e-3, abs=1e-5)


@pytest.mark.slow
def test_gradients_are_measured_alike(both):
    whole, split = (Conflicts.read(Run(folder)) for folder in both("td3_bc", "split"))
    assert whole.updates.tolist() == split.updates.tolist() == [4, 8]
    np.testing.assert_allclose(split.norms, whole.norms, rtol=1e-3)
    np.testing.assert_allclose(split.cosines, whole.cosines, atol=1e-3)


def read_lines(folder):
    """What was logged, without the clock."""
    text = (folder / "metrics.jsonl").read_text().splitlines()
    clock = ("wall_s", "cpu_s", "updates_per_s")
    return [{k: v for k, v in json.loads(line).items() if k not in clock} for line in text]


def test_both_hosts_see_the_run_that_the_first_wrote(both):
    _, hosts = both("bc", "hosts")
    assert read_json(hosts / "policy" / "card.json")["update"] == 8
    assert read_json(hosts / "config.json")["devices"] == 2


def test_devices_that_are_not_there_are_refused(place):
    with pytest.raises(BodyplanError, match="devices is 3"):
        TrainingSetup.of(small_run(place, "iql", "refused", devices=3))
