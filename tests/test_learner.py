"""The compiled loop with an algorithm to count on one's fingers, and IQL on many bodies."""

from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import literal_urma as literal
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.stats import norm
from synthetic import sample_batches, write_dataset

from bodyplan.learn.algorithms.algorithm import Algorithm
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.combiners.pooled import Pooled
from bodyplan.learn.data.batches import DeviceData
from bodyplan.learn.learner import Learner
from bodyplan.learn.networks.urma import PRESETS


class DrawnWith(NamedTuple):
    """A batch that is the key it was drawn with."""

    key: jax.Array
    weight: float | None = None


class TwoRobots(NamedTuple):
    """Stands for the data of two robots."""

    descriptors: tuple = (0, 1)

    def scanned(self):
        return None

    def batch(self, scanned, number, key, batch_size):
        return (DrawnWith(key), DrawnWith(key))


class Counts(NamedTuple):
    updates: jax.Array
    moves: jax.Array
    keys: jax.Array


@dataclass(frozen=True, kw_only=True)
class Delayed(Algorithm):
    """Updates the actor every second update, as TD3 does; robot 1 breaks at the fifth update."""

    learning_rate: float = 0.1
    actor_every: ClassVar[int] = 2

    def init(self, rng, sizes):
        zero = jnp.zeros((), jnp.int32)
        return {"w": jnp.zeros(2)}, Counts(zero, zero, jnp.zeros(2, jnp.uint32))

    def critic_update(self, critic, actor, batches, descriptors, key):
        critic = critic._replace(updates=critic.updates + 1, keys=critic.keys ^ batches[0].key)
        losses = jnp.where(critic.updates < 5, jnp.ones(2), jnp.array([1.0, jnp.nan]))
        metrics = {"critic/loss": losses, "critic/updates": critic.updates.astype(jnp.float32)}
        return critic, (critic.updates, critic.updates), metrics

    def actor_losses(self, actor, critic, batch, key):
        goals = jnp.stack(batch.aux).astype(jnp.float32)
        return jnp.square(actor["w"] - goals), {}

    def update_targets(self, critic, actor):
        return critic._replace(moves=critic.moves + 1)


def test_critic_and_actor_update_at_their_own_pace():
    learner = Learner(Delayed(), Pooled(), groups=((0, 1),), batch_size=4)
    start = learner.init(seed=0, sizes=None)
    run = learner.compile_interval(start, TwoRobots(), updates=6)
    state, report = run(learner.init(seed=0, sizes=None), TwoRobots())
    assert int(state.update) == 6
    assert (int(state.critic.updates), int(state.critic.moves)) == (6, 3)
    counts = [leaf for leaf in jax.tree.leaves(state.actor.optimiser) if leaf.dtype == jnp.int32]
    assert [int(count) for count in counts] == [3]
    np.testing.assert_allclose(state.actor.policy["w"], [0.3, 0.3], rtol=1e-3)
    assert np.any(state.critic.keys != 0)  # no two updates drew with the same key
    # Told by the second critic update of each turn: 2, 4 and 6.
    assert float(report.metrics["critic/updates"]) == 4.0
    np.testing.assert_array_equal(report.finite, [[True, True], [True, True], [True, False]])


def test_two_intervals_are_one_of_twice_the_length():
    learner = Learner(Delayed(), Pooled(), groups=((0, 1),), batch_size=4)
    halves = learner.init(seed=3, sizes=None)
    run = learner.compile_interval(halves, TwoRobots(), updates=4)
    for _ in range(2):
        halves, _ = run(halves, TwoRobots())
    start = learner.init(seed=3, sizes=None)
    whole, _ = learner.compile_interval(start, TwoRobots(), updates=8)(start, TwoRobots())
    jax.tree.map(np.testing.assert_array_equal, halves, whole)


def expected_losses(state, batch, table):
    """V's, Q's and the actor's loss of one robot, sample by sample with the body each is of."""
    critic, actor = state.critic, state.actor.policy
    losses = []
    for i in range(len(batch.reward)):
        seen, after = (literal.sample(o, i) for o in (batch.observation, batch.next_observation))
        body = literal.sample(table, batch.descriptor_ids[i])
        next_body = literal.sample(table, batch.next_descriptor_ids[i])
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
    mixture = DeviceData.load(
        write_dataset(path, {"dog": (3, 2), "crab": (4, 2)}, 60, 13, bodies=3)
    )
    learner = Learner(IQL(beta=1.0, gradient_clip=1e9), Pooled(), groups=((0, 1),), batch_size=24)
    state = learner.init(seed=0, sizes=PRESETS["tiny"])
    moved = literal.randomised((state.actor.policy, state.critic))
    state = eqx.tree_at(lambda s: (s.actor.policy, s.critic), state, moved)

    @jax.jit
    def run(state, mixture, weights):
        return replace(learner, weights=tuple(weights)).update(state, mixture, None)

    _, (rows, *_) = learner.draw_rows((60, 60), state.key, updates=1)
    batches = sample_batches(mixture, jax.random.split(jax.random.split(state.key)[1])[0], 24)
    np.testing.assert_array_equal(batches[0].reward, mixture.transitions[0].rewards[rows[0, 0]])
    return lambda *weights: run(state, mixture, weights), state, batches, mixture.descriptors


def test_an_update_sees_each_sample_in_its_own_body(update):
    run, state, batches, tables = update
    _, metrics = run(1.0, 1.0)
    assert any((b.descriptor_ids != b.next_descriptor_ids).any() for b in batches)
    names = ("critic/v_loss", "critic/q_loss", "actor/loss")
    for robot, (batch, table) in enumerate(zip(batches, tables, strict=True)):
        told = [float(metrics[name][robot]) for name in names]
        assert told == pytest.approx(expected_losses(state, batch, table), rel=2e-4)


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
    for name, values in both[1].items():  # what is told does not depend on the weights
        np.testing.assert_allclose(first[1][name], values, rtol=1e-5, err_msg=name)
