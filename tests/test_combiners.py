"""Combiners on losses simple enough to step by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from actor_only import ActorOnly, batch_of

from bodyplan.learn.algorithms.algorithm import ActorState
from bodyplan.learn.combiners.combiner import Combiner
from bodyplan.learn.combiners.grouped import Grouped
from bodyplan.learn.combiners.pooled import Pooled
from bodyplan.learn.registry import COMBINERS

ROBOTS = 5
GROUPS = ((0, 3), (1,), (2, 4))
GOALS = np.random.default_rng(0).normal(size=(ROBOTS, 3)).astype(np.float32)
BATCH = batch_of(GOALS)


def losses(policy, batch, key):
    """Each robot wants the parameters at a place of its own."""
    squares = jnp.square(policy["w"] - batch.aux).sum(axis=1)
    return squares, {"actor/number": batch.robot_keys.astype(jnp.float32)}


ALGORITHM = ActorOnly(losses=losses)


def start():
    policy = {"w": jnp.zeros(3)}
    return ActorState(policy, ALGORITHM.actor_optimiser().init(policy), ())


def run(combiner, key, groups=GROUPS, steps=3):
    actor, metrics = start(), {}
    step = jax.jit(lambda actor, key: combiner.step(ALGORITHM, actor, (), BATCH, groups, key))
    for own in jax.random.split(key, steps):
        actor, metrics = step(actor, own)
    return actor, metrics


def by_hand(partitions, weight=lambda robots: 1.0):
    """Clipped Adam in NumPy, one step on each of the given sets of robots."""
    w, first, second = np.zeros(3), np.zeros(3), np.zeros(3)
    for count, robots in enumerate(partitions, 1):
        gradient = 2.0 * (w - GOALS[list(robots)].astype(np.float64)).mean(axis=0)
        gradient *= weight(robots)
        gradient *= min(1.0, 0.5 / np.linalg.norm(gradient))
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        corrected = second / (1 - 0.999**count)
        w = w - 0.1 * first / (1 - 0.9**count) / (np.sqrt(corrected) + 1e-8)
    return w


def drawn_orders(key, steps=3):
    """The order of the groups in each step, as `Grouped` documents its use of the key."""
    return [
        jax.random.permutation(jax.random.split(own)[0], len(GROUPS)).tolist()
        for own in jax.random.split(key, steps)
    ]


def test_pooled_steps_on_the_mean_of_all_robots():
    actor, metrics = run(Pooled(), jax.random.PRNGKey(0))
    np.testing.assert_allclose(actor.policy["w"], by_hand([range(ROBOTS)] * 3), rtol=1e-5)
    assert metrics["actor/loss"].shape == (ROBOTS,)


@pytest.mark.parametrize("seed", [0, 1])
def test_grouped_steps_once_a_group_in_the_drawn_order(seed):
    key = jax.random.PRNGKey(seed)
    actor, _ = run(Grouped(), key)
    steps = [GROUPS[group] for order in drawn_orders(key) for group in order]
    np.testing.assert_allclose(actor.policy["w"], by_hand(steps), rtol=1e-4)
    backwards = by_hand(steps[::-1])
    assert not np.allclose(actor.policy["w"], backwards, rtol=1e-3)


def test_groups_can_weigh_by_their_robots():
    key = jax.random.PRNGKey(0)
    actor, _ = run(Grouped(equal="robots"), key)
    steps = [GROUPS[group] for order in drawn_orders(key) for group in order]
    expected = by_hand(steps, lambda robots: len(robots) * len(GROUPS) / ROBOTS)
    np.testing.assert_allclose(actor.policy["w"], expected, rtol=1e-4)


def test_orders_are_drawn_anew():
    orders = [tuple(order) for order in drawn_orders(jax.random.PRNGKey(0), steps=40)]
    assert set(map(frozenset, orders)) == {frozenset(range(3))}
    assert len(set(orders)) == 6


def test_one_group_is_pooled():
    key = jax.random.PRNGKey(3)
    grouped, told = run(Grouped(), key, groups=(tuple(range(ROBOTS)),))
    pooled, expected = run(Pooled(), key)
    np.testing.assert_array_equal(grouped.policy["w"], pooled.policy["w"])
    np.testing.assert_array_equal(told["actor/loss"], expected["actor/loss"])


def test_metrics_land_on_their_robots():
    _, metrics = run(Grouped(), jax.random.PRNGKey(0), steps=1)
    np.testing.assert_array_equal(metrics["actor/number"], np.arange(ROBOTS))


def test_gradients_are_told_of_each_group_and_on_average():
    """By hand, before the first step: of the group that steps first."""
    key = jax.random.PRNGKey(0)
    _, told = run(Grouped(), key, steps=1)
    first = drawn_orders(key, 1)[0][0]
    norm = np.linalg.norm(2.0 * GOALS[list(GROUPS[first])].mean(axis=0))
    assert float(told[f"actor/grad_norm/group{first}"]) == pytest.approx(norm, rel=1e-5)
    for name in ("actor/grad_norm", "actor/clipped"):
        each = [float(told[f"{name}/group{group}"]) for group in range(len(GROUPS))]
        assert float(told[name]) == pytest.approx(np.mean(each))
    _, pooled = run(Pooled(), key, steps=1)
    whole = np.linalg.norm(2.0 * GOALS.mean(axis=0))
    assert float(pooled["actor/grad_norm"]) == pytest.approx(whole, rel=1e-5)
    assert float(pooled["actor/clipped"]) == (whole > ALGORITHM.gradient_clip)
    assert "actor/grad_norm/group0" not in pooled


def test_first_group_sees_the_loss_before_any_step():
    key = jax.random.PRNGKey(0)
    _, metrics = run(Grouped(), key, steps=1)
    first = list(GROUPS[drawn_orders(key, 1)[0][0]])
    others = sorted(set(range(ROBOTS)) - set(first))
    before = np.square(GOALS).sum(axis=1)
    np.testing.assert_allclose(metrics["actor/loss"][np.array(first)], before[first], rtol=1e-6)
    assert not np.any(np.isclose(metrics["actor/loss"][np.array(others)], before[others]))


def test_all_robots_share_one_optimiser_state():
    actor, _ = run(Grouped(), jax.random.PRNGKey(0), steps=2)
    counts = [leaf for leaf in jax.tree.leaves(actor.optimiser) if leaf.dtype == jnp.int32]
    assert [int(count) for count in counts] == [2 * len(GROUPS)]


def test_pooling_and_grouping_have_no_memory():
    for kind in (Pooled, Grouped):
        assert isinstance(kind(), Combiner)
        assert kind().init(start().policy, GROUPS) == ()
    assert (COMBINERS.find("pooled"), COMBINERS.find("grouped")) == (Pooled, Grouped)
