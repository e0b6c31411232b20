"""The loader of batches: draws that nothing but seed, robot and update decide, from any source."""

from dataclasses import dataclass, replace
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from synthetic import write_dataset

from bodyplan.learn.algorithms.algorithm import Algorithm
from bodyplan.learn.combiners.pooled import Pooled
from bodyplan.learn.data.batch_loader import MEASURING, BatchLoader, draw_steps
from bodyplan.learn.data.training_data import TrainingData
from bodyplan.learn.data.transitions import FileData, MemoryData, RobotTable
from bodyplan.learn.learner import Learner
from bodyplan.learn.networks.urma import PRESETS

ROBOTS = {"dog": (3, 2), "crab": (4, 2), "ant": (6, 4)}
"""Two share a build in which one is padded."""
KEY = np.array([7, 9], np.uint32)
keys = st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=2).map(
    lambda words: np.array(words, np.uint32)
)
numbers = st.integers(0, 2**32 - 1)


@dataclass(frozen=True, kw_only=True)
class Digest(Algorithm):
    """Keeps a digest of all batches in their order; updates the actor every third time."""

    learning_rate: float = 0.1
    actor_every: ClassVar[int] = 3

    def init(self, rng, sizes):
        return {"w": jnp.zeros(len(ROBOTS))}, jnp.ones((), jnp.uint32)

    def critic_update(self, critic, actor, batch, key):
        floats, ids = (
            [leaf.ravel() for leaf in jax.tree.leaves(batch) if leaf.dtype == kind]
            for kind in (jnp.float32, jnp.int32)
        )
        words = jax.lax.bitcast_convert_type(jnp.concatenate(floats), jnp.uint32)
        words = jnp.concatenate([words, *(own.astype(jnp.uint32) for own in ids)])
        places = jnp.arange(1, words.size + 1, dtype=jnp.uint32)
        critic = critic * 31 + (words * places).sum(dtype=jnp.uint32)
        losses = batch.rewards.mean(axis=1)
        return critic, losses, {"critic/reward": losses}

    def actor_losses(self, actor, critic, batch, key):
        return jnp.square(actor["w"] - batch.aux), {}


LEARNER = Learner(Digest(), Pooled(), groups=((0, 1, 2),), batch_size=8)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("loader") / "data"
    return TrainingData.of(write_dataset(path, ROBOTS, 200, 9, bodies=2), "per_robot", "shared")


def loader(data, source, iterations):
    """A loader whose chunks hold this many iterations at most."""
    source, table = source(data), RobotTable.of(data)
    one = source.read(np.zeros((len(ROBOTS), LEARNER.batch_size), np.int32))
    held = 3 * sum(leaf.nbytes for leaf in jax.tree.leaves(one)) * iterations
    return BatchLoader(source, table, LEARNER.batch_size, every=3, chunk_bytes=held)


def advance(loader, lengths):
    """The state and the reports after some intervals."""
    state, reports, programs = LEARNER.init(0, PRESETS["tiny"]), [], {}
    key, update = np.array(state.key), 0
    for length in lengths:
        for chunk in loader.chunks(key, update, length):
            given = state, LEARNER.numbers, loader.table, chunk
            size = jax.tree.leaves(chunk.packed)[0].shape[0]
            if size not in programs:
                programs[size] = LEARNER.compile_interval(*given)
            state, report = programs[size](*given)
            reports.append((int(chunk.iterations), jax.device_get(report)))
        update += length
    return state, reports


def test_memory_and_files_teach_the_same_in_chunks_of_any_size(data):
    lengths = (18, 15, 6)  # 6, 5 and 2 iterations
    expected, reports = advance(loader(data, MemoryData, 128), lengths)
    assert [count for count, _ in reports] == [6, 5, 2]
    for source, held, counts in [
        (FileData, 4, [4, 2, 2, 3, 1, 1]),  # of chunks 0-3, 4-7, 8-11 and 12-15
        (MemoryData, 1, [1] * 13),
    ]:
        state, others = advance(loader(data, source, held), lengths)
        jax.tree.map(np.testing.assert_array_equal, state, expected)
        assert [count for count, _ in others] == counts
        means, same = (
            np.average([r.metrics["critic/reward"] for _, r in told], axis=0, weights=[*sizes])
            for told, sizes in ((reports, [6, 5, 2]), (others, counts))
        )
        np.testing.assert_allclose(same, means, rtol=1e-5)


@pytest.mark.parametrize(("held", "length"), [(0, 1), (3, 2), (4, 4), (9, 8), (1000, 128)])
def test_a_chunk_is_a_power_of_two_that_fits(data, held, length):
    (chunk,) = loader(data, MemoryData, held).chunks(KEY, 0, 3)
    frames = jax.tree.leaves(chunk.packed)[0]
    assert frames.shape[:5] == (length, 3, 2, 2, 8)
    assert (chunk.first, chunk.iterations) == (0, 1)


def test_a_chunk_holds_the_batches_of_its_updates_and_of_each_seed(data):
    loaders = [loader(data, source, 4) for source in (MemoryData, FileData)]
    both = np.stack([KEY, KEY + 1])
    for own in loaders:
        (chunk,) = own.chunks(KEY, 12, 12)
        (together,) = own.chunks(both, 0, 3)  # half as many iterations, for there are two seeds
        for update in (12, 17, 23):
            place = divmod(update - 12, 3)
            for batches in (own.batch(KEY, update), loaders[0].batch(KEY, update)):
                jax.tree.map(
                    lambda part, one: np.testing.assert_array_equal(part[place], one),  # noqa: B023
                    chunk.packed,
                    batches,
                )
        for seed in range(2):
            jax.tree.map(
                lambda part, one: np.testing.assert_array_equal(part[seed, 0, 2], one),  # noqa: B023
                together.packed,
                own.batch(both[seed], 2),
            )


@pytest.mark.parametrize("bodies", [1, 3])
@pytest.mark.parametrize("scales", [("none", "none"), ("per_robot", "shared")])
def test_memory_and_files_give_the_same_bits(tmp_path, bodies, scales):
    data = TrainingData.of(write_dataset(tmp_path, ROBOTS, 90, 7, bodies=bodies), *scales)
    rows = draw_steps(KEY, (1, 2, 3), (90, 90, 90), range(2), 25)
    memory, files = MemoryData(data).read(rows), FileData(data).read(rows)
    assert jax.tree.structure(memory) == jax.tree.structure(files)
    for own, other in zip(jax.tree.leaves(files), jax.tree.leaves(memory), strict=True):
        assert type(own) is np.ndarray  # read from the file, not a view of it
        assert own.dtype == other.dtype
        assert own.tobytes() == np.asarray(other).tobytes()


def test_axes_of_the_rows_come_first(tmp_path):
    source = FileData(TrainingData.of(write_dataset(tmp_path, {"dog": (4, 2)}, 90, 7)))
    rows = np.arange(24).reshape(3, 2, 1, 4)
    (packed,) = source.read(rows)
    (flat,) = source.read(rows.reshape(1, 24))
    assert packed.frames.shape == (3, 2, 2, 1, 4, 4 * 3 + 2 * 2 + 13)
    np.testing.assert_array_equal(packed.steps.reshape(1, 24, -1), flat.steps)


@settings(deadline=None, max_examples=30)
@given(key=keys, robot=numbers, other=numbers, start=st.integers(0, 10**7), size=st.integers(1, 99))
def test_what_is_drawn_depends_on_seed_robot_and_update_alone(key, robot, other, start, size):
    updates = range(start, start + 5)
    alone = draw_steps(key, [robot], [size], updates, 6)
    assert ((alone >= 0) & (alone < size)).all()
    beside = draw_steps(key, [other, robot], [31, size], updates, 6)
    np.testing.assert_array_equal(beside[:, 1], alone[:, 0])
    for place, update in enumerate(updates):
        np.testing.assert_array_equal(
            draw_steps(key, [robot], [size], range(update, update + 1), 6)[0], alone[place]
        )
    seeds = draw_steps(np.stack([key ^ 1, key]), [robot], [size], updates, 6)
    np.testing.assert_array_equal(seeds[1], alone)


@settings(deadline=None, max_examples=15)
@given(key=keys, robot=numbers, update=st.integers(0, 10**7))
def test_draws_are_uniform_and_those_of_other_seeds_robots_and_updates_are_others(
    key, robot, update
):
    size, count = 37, 37 * 200
    updates = range(update, update + 2)
    first, second = draw_steps(key, [robot], [size], updates, count)[:, 0]
    others = [
        second,
        draw_steps(key ^ np.array([1, 0], np.uint32), [robot], [size], updates, count)[0, 0],
        draw_steps(key ^ np.array([0, 1], np.uint32), [robot], [size], updates, count)[0, 0],
        draw_steps(key, [robot ^ 1], [size], updates, count)[0, 0],
        draw_steps(key, [robot], [size], updates, count, MEASURING)[0, 0],
    ]
    for drawn in (first, *others):
        assert chisquare(np.bincount(drawn, minlength=size)).pvalue > 1e-6
    for drawn in others:  # every pair of numbers is as likely
        pairs = np.bincount(first // 5 * 8 + drawn // 5, minlength=64).reshape(8, 8)
        share = np.bincount(np.arange(size) // 5) / size
        expected = np.outer(share, share) * count
        assert chisquare(pairs.ravel(), expected.ravel()).pvalue > 1e-6


def test_neither_other_robots_nor_their_order_change_what_a_robot_draws(tmp_path):
    dataset = write_dataset(tmp_path, ROBOTS, 90, 7)

    def rows(*names, update=3):
        data = TrainingData.of(replace(dataset, robots=names))
        return BatchLoader.of(data, 50).rows(KEY, update)

    dog, crab, ant = rows("dog", "crab", "ant")
    np.testing.assert_array_equal(rows("ant", "dog"), [ant, dog])
    np.testing.assert_array_equal(rows("crab"), [crab])
    drawn = (dog, crab, ant, *rows("dog", update=4))
    assert len(np.unique(drawn, axis=0)) == 4
