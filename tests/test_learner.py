"""The compiled loop with an algorithm to count on one's fingers, and IQL on many bodies."""

import logging
from dataclasses import dataclass, fields, replace
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import literal_urma as literal
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.stats import norm
from synthetic import drawn_batch, write_dataset

from bodyplan.experiments.pretraining import train
from bodyplan.learn.algorithms.algorithm import Algorithm
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.combiners.grouped import Grouped
from bodyplan.learn.combiners.pooled import Pooled
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.data.batch_loader import BatchLoader, Chunk
from bodyplan.learn.data.batches import Batch
from bodyplan.learn.data.training_data import TrainingData
from bodyplan.learn.learner import Learner, numbers_of
from bodyplan.learn.networks.urma import PRESETS
from bodyplan.learn.registry import ALGORITHMS, COMBINERS


class TwoRobots(NamedTuple):
    """Stands for the table of two robots, whose batches are their numbers."""

    weights: np.ndarray

    def unpack(self, packed):
        return Batch((), self.weights, None, aux=packed)


TABLE = TwoRobots(np.ones(2, np.float32))


def chunk_of(first, iterations, length=8):
    """Iterations of a chunk of `length`, each of two batches, which are numbered from 1 on."""
    numbers = np.arange(1, 2 * length + 1, dtype=np.int32).reshape(length, 2)
    return Chunk(numbers, np.int32(first), np.int32(iterations))


class Counts(NamedTuple):
    updates: jax.Array
    moves: jax.Array
    batches: jax.Array
    """The number of each update's batch."""
    keys: jax.Array
    """The key of each update."""


@dataclass(frozen=True, kw_only=True)
class Delayed(Algorithm):
    """Updates the actor every second update, as TD3 does; robot 1 breaks at the fifth update."""

    learning_rate: float = 0.1
    actor_every: ClassVar[int] = 2

    def init(self, rng, sizes):
        zero = jnp.zeros((), jnp.int32)
        counts = Counts(zero, zero, jnp.zeros(16, jnp.int32), jnp.zeros((16, 2), jnp.uint32))
        return {"w": jnp.zeros(2)}, counts

    def critic_update(self, critic, actor, batch, key):
        place, updates = critic.updates, critic.updates + 1
        critic = critic._replace(
            updates=updates,
            batches=critic.batches.at[place].set(batch.aux),
            keys=critic.keys.at[place].set(key),
        )
        losses = jnp.where(updates < 5, jnp.ones(2), jnp.array([1.0, jnp.nan]))
        metrics = {"critic/loss": losses, "critic/updates": updates.astype(jnp.float32)}
        return critic, jnp.broadcast_to(updates, 2), metrics

    def actor_losses(self, actor, critic, batch, key):
        return jnp.square(actor["w"] - batch.aux.astype(jnp.float32)), {}

    def update_targets(self, critic, actor):
        return critic._replace(moves=critic.moves + 1)


class Shared(Delayed):
    """All parameters are every robot's."""

    def actor_losses(self, actor, critic, batch, key):
        return jnp.square(actor["w"].sum() - batch.aux.astype(jnp.float32)), {}


LEARNER = Learner(Delayed(), Pooled(), groups=((0, 1),), batch_size=4)


def count(*chunks):
    """The state after these chunks, and the last one's report."""
    state = LEARNER.init(seed=3, sizes=None)
    for chunk in chunks:
        given = state, LEARNER.numbers, TABLE, chunk
        state, report = LEARNER.compile_interval(*given)(*given)
    return state, report


def test_critic_and_actor_update_at_their_own_pace():
    state, report = count(chunk_of(1, 3))
    assert int(state.update) == 6
    assert (int(state.critic.updates), int(state.critic.moves)) == (6, 3)
    np.testing.assert_array_equal(state.critic.batches, [3, 4, 5, 6, 7, 8] + [0] * 10)
    assert len(np.unique(state.critic.keys[:6], axis=0)) == 6  # no two drew with the same key
    counts = [leaf for leaf in jax.tree.leaves(state.actor.optimiser) if leaf.dtype == jnp.int32]
    assert [int(count) for count in counts] == [3]
    np.testing.assert_allclose(state.actor.policy["w"], [0.3, 0.3], rtol=1e-3)
    # Told by the second critic update of each turn: 2, 4 and 6.
    assert float(report.metrics["critic/updates"]) == 4.0
    finite = [[True, True], [True, True], [True, False]]
    np.testing.assert_array_equal(report.finite[:3], finite)


def test_two_intervals_are_one_of_twice_the_length_however_long_the_chunks():
    whole, _ = count(chunk_of(0, 4))
    for chunks in ((chunk_of(0, 2), chunk_of(2, 2)), (chunk_of(0, 4, length=4),)):
        other, _ = count(*chunks)
        jax.tree.map(np.testing.assert_array_equal, other, whole)


@pytest.mark.parametrize("combiner", [Pooled(), Grouped()])
def test_the_actors_rate_falls_with_updates_however_many_steps_each_has(combiner):
    groups = ((0,), (1,))
    learner = replace(LEARNER, algorithm=Shared(actor_decay=8), combiner=combiner, groups=groups)
    state, rates, policies = learner.init(seed=3, sizes=None), [], []
    for first in range(6):  # of two updates each
        given = state, learner.numbers, TABLE, chunk_of(first, 1)
        state, report = learner.compile_interval(*given)(*given)
        rates.append(float(report.metrics["actor/learning_rate"]))
        policies.append(np.array(state.actor.policy["w"]))
    expected = 0.05 * (1.0 + np.cos(np.pi * np.minimum(2 * np.arange(6) / 8, 1.0)))
    np.testing.assert_allclose(rates, expected, atol=1e-7)
    assert (policies[3] != policies[2]).any()
    np.testing.assert_array_equal(policies[5], policies[3])


@pytest.mark.parametrize("registry", [ALGORITHMS, COMBINERS])
def test_every_hyperparameter_that_is_a_number_is_an_argument(registry):
    """Unless its class says that Python must know it."""
    for name in registry.names():
        method = registry.make(name)
        found = {
            own.name
            for own in fields(method)
            if type(getattr(method, own.name)) in (int, float) and not own.metadata.get("static")
        }
        assert set(numbers_of(method)) == found


OTHERS = IQL(
    learning_rate=3e-3,
    gradient_clip=0.05,
    actor_decay=6,
    expectile=0.9,
    beta=1.0,
    weight_clip=0.5,
    gamma=0.8,
    tau=0.1,
)


def double(tree):
    return jax.tree.map(
        lambda leaf: leaf.astype(float) if eqx.is_inexact_array(leaf) else leaf, tree
    )


@pytest.mark.slow
def test_a_program_given_numbers_is_one_that_was_compiled_with_them(tmp_path):
    data = TrainingData.of(write_dataset(tmp_path, {"dog": (3, 2), "crab": (4, 2)}, 60, 13))
    learner = Learner(OTHERS, Grouped(), groups=((0,), (1,)), batch_size=4, order_seed=5)
    loader = BatchLoader.of(data, 4)
    key, other = np.array([0, 5], np.uint32), replace(learner, algorithm=IQL(), order_seed=0)
    (chunk,) = loader.chunks(key, 0, 4)
    with jax.enable_x64(True):  # Adam's first steps hardly depend on how large a gradient is
        state, table, chunk = double((learner.init(0, PRESETS["tiny"]), loader.table, chunk))
        once = state
        step = jax.jit(lambda state, batch: learner.update(state, [batch])[0])
        for update in range(4):
            once = step(once, table.unpack(jax.tree.map(lambda a: a[update, 0], chunk.packed)))  # noqa: B023
        program = other.compile_interval(state, other.numbers, table, chunk)

        def ended(numbers):
            return program(double(learner.init(0, PRESETS["tiny"])), numbers, table, chunk)[0]

        state = ended(learner.numbers)
        jax.tree.map(lambda one, two: np.testing.assert_allclose(one, two, atol=1e-6), state, once)
        for path, number in jax.tree.leaves_with_path(other.numbers):  # every one is heeded
            mixed = jax.tree.map_with_path(
                lambda at, own: number if at == path else own,  # noqa: B023
                learner.numbers,
            )
            pairs = zip(jax.tree.leaves(ended(mixed)), jax.tree.leaves(state), strict=True)
            assert max(float(np.abs(one - two).max()) for one, two in pairs) > 1e-5, path


def test_other_numbers_seeds_lengths_and_robots_of_the_same_builds_compile_nothing(
    tmp_path, caplog
):
    builds = (3, 2), (4, 2), (6, 4), (6, 4)
    for place, names in (("data", "abcd"), ("others", "wxyz")):
        robots = dict(zip(names, builds, strict=True))
        write_dataset(tmp_path / place, robots, steps=100 + 20 * len(place))
    config = TrainConfig(
        data=tmp_path / "data",
        out=tmp_path / "first",
        algorithm=IQL(),
        combine="grouped",
        groups=(("a", "b"), ("c", "d")),
        network="tiny",
        batch_size=4,
        updates=4,
        log_every=2,
        checkpoint_every=4,
    )
    other = replace(
        config,
        data=tmp_path / "others",
        out=tmp_path / "second",
        algorithm=OTHERS,
        groups=(("z", "y"), ("w", "x")),
        seed=7,
        updates=9,
        log_every=3,
        checkpoint_every=9,
        weights={"z": 2.0},
        reward_scale="per_robot",
    )
    compiled = []
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        for own in (config, other):
            caplog.clear()
            train(own)
            compiled.append([r.getMessage() for r in caplog.records if "Compiling" in r.msg])
    first, second = compiled
    assert any("interval" in message for message in first)
    assert second == []


def expected_losses(state, batch):
    """V's, Q's and the actor's loss of one robot, sample by sample with the body each is of."""
    critic, actor = state.critic, state.actor.policy
    losses = []
    for i in range(len(batch.reward)):
        seen, after = (literal.sample(o, i) for o in (batch.observation, batch.next_observation))
        body, next_body = (literal.sample(own, i) for own in (batch.body, batch.next_body))
        action = np.asarray(batch.action[i])
        advantage = literal.twin_q(critic.target, seen, action, body).min() - literal.value(
            critic.value, seen, body
        )
        not_done = 1.0 - batch.terminated[i]
        goal = batch.reward[i] + 0.99 * not_done * literal.value(critic.value, after, next_body)
        mean, std = literal.policy(actor, seen, body)
        losses.append(
            (
                (0.7 if advantage > 0 else 0.3) * advantage**2,
                np.square(literal.twin_q(critic.q, seen, action, body) - goal).sum(),
                -np.exp(advantage) * norm.logpdf(action, mean, std).mean(),
            )
        )
    return np.mean(losses, axis=0)


@pytest.fixture(scope="module")
def update(tmp_path_factory):
    """One update of IQL on two robots of three bodies each, by robots' weights; and its batch."""
    path = tmp_path_factory.mktemp("bodies") / "data"
    dataset = write_dataset(path, {"dog": (3, 2), "crab": (4, 2)}, 60, 13, bodies=3)
    learner = Learner(IQL(beta=1.0, gradient_clip=1e9), Pooled(), groups=((0, 1),), batch_size=24)
    state, batch = learner.init(seed=0, sizes=PRESETS["tiny"]), drawn_batch(dataset, 24)
    moved = literal.randomised((state.actor.policy, state.critic))
    state = eqx.tree_at(lambda s: (s.actor.policy, s.critic), state, moved)
    run = jax.jit(lambda state, batch: learner.update(state, [batch]))
    return lambda *own: run(state, batch._replace(weights=jnp.array(own))), state, batch


def test_an_update_sees_each_sample_in_its_own_body(update):
    run, state, batch = update
    _, metrics = run(1.0, 1.0)
    (build,) = batch.builds  # in which the dog lacks a joint
    assert np.any(build.bodies.ids != build.next_bodies.ids)
    for robot in range(2):
        names = ("critic/v_loss", "critic/q_loss", "actor/loss")
        told = [float(metrics[name][robot]) for name in names]
        assert told == pytest.approx(expected_losses(state, batch.robot(robot)), rel=2e-4)


def test_weights_scale_what_robots_say_to_every_network(update):
    run, start, *_ = update
    both, first, second = (run(*weights) for weights in ((1.0, 1.0), (2.0, 0.0), (0.5, 1.5)))

    def momenta(state):
        """A tenth of the first gradient, of the actor, V and Q; it was not zero before."""
        states = (state.actor.optimiser, state.critic.value_optimiser, state.critic.q_optimiser)
        return [ravel_pytree(optimiser.mean)[0] for optimiser in states]

    before, *after = map(momenta, (start, both[0], first[0], second[0]))
    for old, *new in zip(before, *after, strict=True):
        mean, own, mixed = (momentum - 0.9 * old for momentum in new)
        other = 2.0 * mean - own  # the mean of both is half of each alone
        near = {"rtol": 1e-3, "atol": 1e-5 * np.abs(mean).max()}
        np.testing.assert_allclose(mixed, 0.25 * own + 0.75 * other, **near)
        assert np.abs(own - other).max() > 0.1 * np.abs(mean).max()
    for name, values in both[1].items():  # what is told of robots does not depend on the weights
        if not values.ndim:
            continue
        np.testing.assert_allclose(first[1][name], values, rtol=1e-5, err_msg=name)
