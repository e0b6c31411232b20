"""Batches read from the host: the very bits, and the same training, as from the device."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from synthetic import sample_batches, write_dataset

from bodyplan.learn.algorithms.algorithm import Algorithm
from bodyplan.learn.combiners.pooled import Pooled
from bodyplan.learn.data.batches import DeviceData, draw_indices
from bodyplan.learn.data.host_batches import HostData, HostLoader
from bodyplan.learn.data.training_data import TrainingData
from bodyplan.learn.learner import Learner
from bodyplan.learn.networks.urma import PRESETS


@dataclass(frozen=True, kw_only=True)
class Digest(Algorithm):
    """Keeps a digest of all batches in their order; updates the actor every third time."""

    learning_rate: float = 0.1
    actor_every: ClassVar[int] = 3

    def init(self, rng, sizes):
        return {"w": jnp.zeros(2)}, jnp.ones((), jnp.uint32)

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
        return jnp.square(actor["w"] - jnp.stack(batch.aux)[:, 0]), {}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("dispatch") / "data"
    dataset = write_dataset(path, {"dog": (3, 2), "crab": (4, 2)}, 200, 9, bodies=2)
    return TrainingData.of(dataset, "per_robot", "shared")


def advance(learner, source, lengths):
    """The state and the reports after some intervals."""
    state, reports, programs = learner.init(0, PRESETS["tiny"]), [], {}
    for length in lengths:
        own = []
        for batches, updates in source.chunks(np.array(state.key), length):
            if updates not in programs:
                programs[updates] = learner.compile_interval(state, batches, updates)
            state, report = programs[updates](state, batches)
            own.append(jax.device_get(report))
        reports.append(own)
    return state, reports


def loader(learner, data, updates):
    """A loader whose chunks hold this many updates at most."""
    held = updates * learner.batch_size * data.step_bytes
    return HostLoader(data, learner.draw_rows, learner.batch_size, every=3, chunk_bytes=held)


def test_batches_from_the_host_are_those_of_the_device_in_their_order(data):
    learner = Learner(Digest(), Pooled(), groups=((0, 1),), batch_size=8)
    lengths = (18, 18, 6)
    state, reports = advance(learner, DeviceData.of(data), lengths)
    same, others = advance(learner, loader(learner, HostData(data), 7), lengths)
    jax.tree.map(np.testing.assert_array_equal, state, same)
    assert [len(chunks) for chunks in others] == [3, 3, 1]
    for (report,), chunks in zip(reports, others, strict=True):
        assert len(report.finite) == sum(len(chunk.finite) for chunk in chunks)
        for name, values in report.metrics.items():
            means = np.mean([chunk.metrics[name] for chunk in chunks], axis=0)
            np.testing.assert_allclose(means, values, rtol=1e-6)


@pytest.mark.parametrize(("held", "length"), [(0, 3), (5, 3), (6, 6), (11, 9), (1000, 18)])
def test_chunks_hold_as_many_updates_as_fit(data, held, length):
    learner = Learner(Digest(), Pooled(), ((0, 1),), batch_size=8)
    source = loader(learner, HostData(data), held)
    assert [updates for _, updates in source.chunks(np.zeros(2, np.uint32), 18)] == [length] * (
        18 // length
    )


@pytest.mark.parametrize("bodies", [1, 3])
@pytest.mark.parametrize("scales", [("none", "none"), ("per_robot", "shared")])
def test_what_is_read_is_what_is_sampled(tmp_path, bodies, scales):
    data = TrainingData.of(write_dataset(tmp_path, None, 90, 7, bodies=bodies), *scales)
    stream, key = HostData(data), jax.random.key(5)
    sampled = sample_batches(DeviceData.of(data), key, 50)
    read = stream.read([np.asarray(rows) for rows in draw_indices(key, stream.sizes, 50)])
    assert jax.tree.structure(read) == jax.tree.structure(sampled)
    for own, other in zip(jax.tree.leaves(read), jax.tree.leaves(sampled), strict=True):
        assert type(own) is np.ndarray  # read from the file, not a view of it
        assert own.dtype == other.dtype
        assert own.tobytes() == np.asarray(other).tobytes()


def test_axes_of_the_rows_come_first(tmp_path):
    stream = HostData(TrainingData.of(write_dataset(tmp_path, {"dog": (4, 2)}, 90, 7)))
    rows = np.arange(24).reshape(3, 2, 4)
    (batch,) = stream.read([rows])
    (flat,) = stream.read([rows.ravel()])
    assert batch.observation.joints.shape == (3, 2, 4, 4, 3)
    np.testing.assert_array_equal(batch.action.reshape(24, 4), flat.action)
    frames = 2 * (4 * 3 + 2 * 2 + 13)
    assert stream.step_bytes == 4 * (frames + 4 + 1 + 1)
