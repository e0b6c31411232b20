"""Intervals with data on the device and on the host: the same training, bit for bit."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from synthetic import write_dataset

from bodyplan.learn.algorithms.algorithm import clipped_adam
from bodyplan.learn.combiners.pooled import Pooled
from bodyplan.learn.data import batch_source
from bodyplan.learn.data.batch_source import Resident, Streamed
from bodyplan.learn.data.device_batches import DeviceData
from bodyplan.learn.data.host_batches import HostData
from bodyplan.learn.data.training_data import TrainingData
from bodyplan.learn.learner import Learner
from bodyplan.learn.networks.urma import PRESETS


@dataclass(frozen=True)
class Digest:
    """Keeps a digest of all batches it has seen, in their order; turns the actor every third."""

    actor_every: ClassVar[int] = 3

    def init(self, rng, sizes):
        return {"w": jnp.zeros(2)}, jnp.ones((), jnp.uint32)

    def actor_optimiser(self):
        return clipped_adam(0.1, 0.5)

    def critic_update(self, critic, actor, batches, descriptors, key):
        floats, ids = (
            [leaf.ravel() for leaf in jax.tree.leaves(batches) if leaf.dtype == kind]
            for kind in (jnp.float32, jnp.int32)
        )
        words = jax.lax.bitcast_convert_type(jnp.concatenate(floats), jnp.uint32)
        words = jnp.concatenate([words, *(own.astype(jnp.uint32) for own in ids)])
        places = jnp.arange(1, words.size + 1, dtype=jnp.uint32)
        critic = critic * 31 + (words * places).sum(dtype=jnp.uint32)
        losses = jnp.stack([batch.reward.mean() for batch in batches])
        return critic, (losses, losses), {"critic/reward": losses}

    def actor_losses(self, actor, critic, batch, key):
        return jnp.square(actor["w"] - jnp.stack(batch.targets)[:, 0]), {}

    def move_targets(self, critic, actor):
        return critic

    def act(self, actor, observation, descriptor):
        raise NotImplementedError


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("dispatch") / "data"
    dataset = write_dataset(path, {"dog": (3, 2), "crab": (4, 2)}, 200, 9, bodies=2)
    return TrainingData.of(dataset, "per_robot", "shared")


def advance(kind, learner, source, lengths):
    """The state and the reports after some intervals."""
    state, reports = learner.init(0, PRESETS["tiny"]), []
    work = kind(learner, source)
    for length in lengths:
        work.prepare(state, length)
        state, report = work.advance(state, length)
        reports.append(jax.device_get(report))
    return state, reports


def test_batches_from_the_host_are_those_of_the_device_in_their_order(data, monkeypatch):
    stream = HostData(data)
    monkeypatch.setattr(batch_source, "CHUNK_BYTES", 7 * 8 * stream.step_bytes)  # 6 updates of 18
    learner = Learner(Digest(), Pooled(), groups=((0, 1),), batch_size=8)
    lengths = (18, 18, 6)
    state, reports = advance(Resident, learner, DeviceData.of(data), lengths)
    same, others = advance(Streamed, learner, stream, lengths)
    jax.tree.map(np.testing.assert_array_equal, state, same)
    for report, other in zip(reports, others, strict=True):
        assert report.finite.shape == other.finite.shape
        for name, values in report.metrics.items():
            np.testing.assert_allclose(other.metrics[name], values, rtol=1e-6)


def test_dispatches_hold_as_many_updates_as_fit(data, monkeypatch):
    stream = HostData(data)
    work = Streamed(Learner(Digest(), Pooled(), ((0, 1),), batch_size=8), stream)
    for held, length in ((0, 3), (5, 3), (6, 6), (11, 9), (1000, 18)):
        monkeypatch.setattr(batch_source, "CHUNK_BYTES", held * 8 * stream.step_bytes)
        assert work._length(18) == length
