"""Batches split over devices and hosts teach what whole ones do."""

import json
import os
import socket
from pathlib import Path

import numpy as np
import pytest
from synthetic import write_dataset

from bodyplan.errors import BodyplanError
from bodyplan.experiments.pretraining import train
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.distributed import join_hosts
from bodyplan.learn.gradient_conflict import Conflicts
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
SPLIT = ("iql", "td3_bc")


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


def on_devices(place: Path) -> None:
    """What a process with several devices does."""
    os.environ["XLA_FLAGS"] += " --xla_force_host_platform_device_count=4"
    for algorithm in SPLIT:
        train(small_run(place, algorithm, "split", devices=4))


def on_hosts(place: Path, port: int, host: int) -> None:
    """What each of two processes does."""
    join_hosts(f"127.0.0.1:{port}", 2, host)
    train(small_run(place, "bc", "hosts", devices=2))


@pytest.fixture(scope="module")
def place(tmp_path_factory, fork):
    """Every case on one device, and two of them on four devices or the third on two hosts."""
    place = tmp_path_factory.mktemp("shards")
    write_dataset(place / "data", {"dog": (3, 2), "crab": (4, 2)}, steps=300)
    (place / "groups.json").write_text('[["crab"], ["dog"]]')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        fork(target=on_devices, args=(place,)),
        *(fork(target=on_hosts, args=(place, port, host)) for host in range(2)),
    ]
    for process in processes:
        process.start()
    for algorithm in CASES:
        train(small_run(place, algorithm, "whole", devices=1))
    for process in processes:
        process.join(timeout=600)
        assert process.exitcode == 0
    return place


def networks(folder):
    """Optimisers' moments are left out: Adam divides by what rounding moves most."""
    tensors, _ = read_tensors(folder / "checkpoints" / "8.safetensors")
    return {name: values for name, values in tensors.items() if "optimiser" not in name}


@pytest.mark.parametrize(
    ("algorithm", "name"), [*((algorithm, "split") for algorithm in SPLIT), ("bc", "hosts")]
)
def test_parts_of_batches_teach_what_whole_ones_do(place, algorithm, name):
    whole, parts = (networks(place / f"{algorithm}_{kind}") for kind in ("whole", name))
    assert whole.keys() == parts.keys()
    for tensor, values in whole.items():
        # Adam moves even what has almost no gradient by its rate, so that rounding shows there.
        np.testing.assert_allclose(parts[tensor], values, rtol=1e-3, atol=1e-4, err_msg=tensor)
    told = [read_lines(place / f"{algorithm}_{kind}") for kind in ("whole", name)]
    for own, other in zip(*told, strict=True):
        assert other == pytest.approx(own, rel=1e-3, abs=1e-5)


def test_gradients_are_measured_alike(place):
    whole, split = (Conflicts.read(Run(place / f"td3_bc_{kind}")) for kind in ("whole", "split"))
    assert whole.updates.tolist() == split.updates.tolist() == [4, 8]
    np.testing.assert_allclose(split.norms, whole.norms, rtol=1e-3)
    np.testing.assert_allclose(split.cosines, whole.cosines, atol=1e-3)


def read_lines(folder):
    """What was logged, without the clock."""
    text = (folder / "metrics.jsonl").read_text().splitlines()
    clock = ("wall_s", "cpu_s", "updates_per_s")
    return [{k: v for k, v in json.loads(line).items() if k not in clock} for line in text]


def test_both_hosts_see_the_run_that_the_first_wrote(place):
    assert read_json(place / "bc_hosts" / "policy" / "card.json")["update"] == 8
    assert read_json(place / "bc_hosts" / "config.json")["devices"] == 2


def test_devices_that_are_not_there_are_refused(place):
    with pytest.raises(BodyplanError, match="devices is 3"):
        TrainingSetup.of(small_run(place, "iql", "refused", devices=3))
