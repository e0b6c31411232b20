"""SEL: its clusters against scikit-learn's, its affinities and its steps by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from actor_only import ActorOnly, batch_of
from hypothesis import given, settings
from hypothesis import strategies as st

from bodyplan.learn.algorithms.algorithm import ActorState
from bodyplan.learn.checkpoint import restore_tree, save_tree
from bodyplan.learn.combiners.affinity_propagation import affinity_propagation
from bodyplan.learn.combiners.selective import (
    Selective,
    SelectiveState,
    affinity_similarities,
    shuffled,
    update_affinity,
)

ROBOTS = 5
GOALS = np.random.default_rng(0).normal(size=(ROBOTS, 3)).astype(np.float32)
BATCH = batch_of(GOALS)
GROUPS = (tuple(range(ROBOTS)),)
RATE = 0.1
CLUSTER, OBSERVE = jax.jit(affinity_propagation), jax.jit(update_affinity)
SHUFFLED = jax.jit(shuffled)


def alike(labels):
    """Who is in one group with whom."""
    labels = np.asarray(labels)
    return labels[:, None] == labels


def affine(seed=0):
    """Affinities in which 0 and 1 help each other, and so do 2, 3 and 4."""
    affinity = np.where(alike([0, 0, 2, 2, 2]), 0.5, -0.5)
    affinity += np.random.default_rng(seed).uniform(-0.4, 0.4, affinity.shape)
    np.fill_diagonal(affinity, 1.0)
    return jnp.asarray(affinity, jnp.float32)


def losses(policy, batch, key):
    """Squared distance from each robot's goal, less three: its sign changes on the way."""
    squares = jnp.square(policy["w"] - batch.aux).sum(axis=1)
    return squares - 3.0, {"actor/number": batch.robot_keys.astype(jnp.float32)}


ALGORITHM = ActorOnly(losses=losses)


def losses_at(w):
    return np.square(w - GOALS.astype(np.float64)).sum(axis=1) - 3.0


class ByHand:
    """Clipped Adam in NumPy on the mean over given robots."""

    def __init__(self):
        self.w, self.first, self.second, self.count = np.zeros(3), np.zeros(3), np.zeros(3), 0

    def step(self, robots):
        gradient = 2.0 * (self.w - GOALS[robots].astype(np.float64)).mean(axis=0)
        gradient *= min(1.0, 0.5 / np.linalg.norm(gradient))
        self.count += 1
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        size = np.sqrt(self.second / (1 - 0.999**self.count)) + 1e-8
        self.w = self.w - 0.1 * self.first / (1 - 0.9**self.count) / size


def literal_observe(affinity, before, after, group, rate):
    """The definition, entry by entry."""
    affinity = np.array(affinity, np.float64)
    size = np.abs(before)
    change = (before - after) / np.maximum(size, size.mean()) / len(group)
    for s in group:
        for t in range(len(before)):
            if t not in group:
                value = change[t]
            elif t == s:
                if change[s] < 0:
                    continue
                value = change[s]
            elif change[t] * change[s] >= 0:
                value = change[t]
            else:
                value = -max(change[t], change[s])
            affinity[s, t] = (1 - rate) * affinity[s, t] + rate * value
    return affinity


def start(memory):
    policy = {"w": jnp.zeros(3)}
    return ActorState(policy, ALGORITHM.actor_optimiser().init(policy), memory)


@pytest.fixture(scope="module")
def step():
    """One iteration, after a warm-up of two."""
    combiner = Selective(rate=RATE, warm_up=2)
    return jax.jit(lambda actor, key: combiner.step(ALGORITHM, actor, (), BATCH, GROUPS, key))


def fresh():
    return Selective(rate=RATE, warm_up=2).init({"w": jnp.zeros(3)}, GROUPS)


def order_of(labels, key):
    """The groups in the order they step in, as `Selective` documents its use of the key."""
    order, count = SHUFFLED(jnp.asarray(labels), jax.random.split(key)[0])
    return [np.flatnonzero(np.asarray(labels) == name) for name in order[: int(count)]]


def follow(memory, labels, key):
    """An iteration by hand: where it ends, and the affinities."""
    hand, affinity = ByHand(), np.array(memory.affinity, np.float64)
    groups = order_of(labels, key)
    for group in groups * 2 if len(groups) == 1 else groups:
        before = losses_at(hand.w)
        hand.step(group)
        affinity = literal_observe(affinity, before, losses_at(hand.w), group, RATE)
    return hand, affinity


@pytest.mark.parametrize(
    ("memory", "labels"),
    [
        pytest.param(fresh(), (0, 1, 2, 3, 4), id="warm-up"),
        pytest.param(
            SelectiveState(affine(), jnp.arange(ROBOTS), jnp.int32(2)),
            (0, 0, 2, 2, 2),
            id="two groups",
        ),
        pytest.param(
            SelectiveState(jnp.zeros((ROBOTS, ROBOTS)), jnp.zeros(ROBOTS, int), jnp.int32(2)),
            (0,) * ROBOTS,
            id="one group, since no election ends",
        ),
    ],
)
def test_an_iteration_by_hand(step, memory, labels):
    key = jax.random.PRNGKey(4)
    actor, told = step(start(memory), key)
    np.testing.assert_array_equal(alike(actor.combiner.labels), alike(labels))
    hand, affinity = follow(memory, actor.combiner.labels, key)
    np.testing.assert_allclose(actor.policy["w"], hand.w, rtol=1e-4)
    np.testing.assert_allclose(actor.combiner.affinity, affinity, atol=1e-5)
    assert int(actor.combiner.iterations) == int(memory.iterations) + 1
    assert float(told["actor/groups"]) == len(set(labels))
    np.testing.assert_array_equal(told["actor/number"], np.arange(ROBOTS))
    np.testing.assert_allclose(told["actor/loss"], losses_at(hand.w), rtol=1e-4)


def test_resumed_from_a_file_it_goes_on_as_if_undisturbed(step, tmp_path):
    keys = jax.random.split(jax.random.PRNGKey(1), 6)
    whole = halves = start(fresh())
    for number, key in enumerate(keys):
        whole, _ = step(whole, key)
        halves, _ = step(halves, key)
        if number == 3:
            save_tree(tmp_path / "state.safetensors", halves)
            halves = restore_tree(tmp_path / "state.safetensors", start(fresh()))
    jax.tree.map(np.testing.assert_array_equal, whole, halves)
    assert int(whole.combiner.iterations) == 6


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**16), members=st.lists(st.booleans(), min_size=4, max_size=4))
def test_observations_follow_the_definition(seed, members):
    rng = np.random.default_rng(seed)
    affinity = rng.normal(size=(ROBOTS, ROBOTS)).astype(np.float32)
    before, after = rng.normal(size=(2, ROBOTS)).astype(np.float32)
    members = np.array([*members, True])  # no group is empty
    found = OBSERVE(affinity, before, after, members, RATE)
    expected = literal_observe(affinity, before, after, np.flatnonzero(members), RATE)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_similarity_is_relative_to_self_help_which_has_a_floor():
    affinity = jnp.array([[2.0, 1.0, 0.0], [4.0, 4.0, 0.0], [0.0, 0.0, 0.0]])
    found = affinity_similarities(affinity)
    np.testing.assert_allclose(found[:2, :2], [[1.0, 1.125], [1.125, 1.0]])
    np.testing.assert_array_equal(found[2], 0.0)
    assert np.isfinite(affinity_similarities(jnp.zeros((3, 3)))).all()


def test_groups_come_in_every_order():
    keys = jax.random.split(jax.random.PRNGKey(0), 60)
    orders, counts = jax.vmap(shuffled, in_axes=(None, 0))(jnp.array([1, 1, 4, 3, 4]), keys)
    np.testing.assert_array_equal(counts, 3)
    assert {tuple(order) for order in np.sort(orders[:, :3]).tolist()} == {(1, 3, 4)}
    assert len(np.unique(orders[:, :3], axis=0)) == 6


@pytest.mark.parametrize("seed", range(4))
def test_friends_become_groups(seed):
    labels, final = CLUSTER(affinity_similarities(affine(seed)))
    np.testing.assert_array_equal(alike(labels), alike([0, 0, 2, 2, 2]))
    assert final
    assert all(labels[name] == name for name in labels)


def test_nobody_is_elected_where_nothing_is_known():
    _, final = CLUSTER(jnp.zeros((ROBOTS, ROBOTS)))
    assert not final


@pytest.mark.filterwarnings("ignore:Affinity propagation did not converge")
@pytest.mark.parametrize("robots", [4, 16])
def test_clusters_are_those_of_scikit_learn(robots):
    """Wherever its own do not hang on the noise that it breaks ties with."""
    cluster = pytest.importorskip("sklearn.cluster")
    rng = np.random.default_rng(robots)
    compared = 0
    for _ in range(20):
        points = rng.normal(size=(robots, 2)) + rng.choice([-4, 0, 4], (robots, 1))
        drawn = rng.normal(0, 0.05, (robots, robots))
        similarity = -np.square(points[:, None] - points).sum(-1) + drawn + drawn.T
        theirs = [
            cluster.AffinityPropagation(
                affinity="precomputed", convergence_iter=50, random_state=state
            ).fit(similarity)
            for state in range(3)
        ]
        expected = alike(theirs[0].labels_)
        if all(t.n_iter_ < 200 and (alike(t.labels_) == expected).all() for t in theirs):
            labels, final = CLUSTER(jnp.asarray(similarity, jnp.float32))
            np.testing.assert_array_equal(alike(labels), expected)
            assert final
            compared += 1
    assert compared >= 15
