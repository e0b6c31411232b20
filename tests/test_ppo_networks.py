"""Networks that treat left and right alike: exactly, and at the price of any other network."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bodyplan.experts import ppo
from bodyplan.experts.ppo import PPOConfig, Rollout
from bodyplan.experts.ppo_networks import MirrorMaps, PPOActor, fresh_actor, fresh_critic, tied
from bodyplan.robots.symmetry import MirrorMap

JOINTS = MirrorMap((1, 0, 2), (-1.0, -1.0, 1.0))
SENSES = JOINTS.repeated((1.0, 1.0)) + MirrorMap.kept((1.0, -1.0))
REFLECTIONS = MirrorMaps(SENSES, SENSES + MirrorMap.kept((-1.0,)), JOINTS)
SIZE, BATCH = len(SENSES.order), 9


def some(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def loud_actor():
    """One whose last layer is not near zero, with a bias that is not symmetric."""
    actor = fresh_actor(jax.random.key(0), SIZE, 16, np.array([0.2, 0.8, 0.5]), REFLECTIONS)
    arrays, rest = eqx.partition(actor.mlp, eqx.is_array)
    loud = jax.tree.map(lambda x: x + 0.3 * some(*x.shape, seed=x.size), arrays)
    return PPOActor(eqx.combine(loud, rest), actor.log_std, REFLECTIONS)


def test_an_actor_answers_the_mirrored_world_with_the_mirrored_action():
    actor, senses = loud_actor(), some(BATCH, SIZE)
    mean = actor(senses)
    assert jnp.abs(mean).mean() > 0.1
    np.testing.assert_allclose(actor(SENSES(senses)), JOINTS(mean), atol=1e-5)
    std = np.asarray(actor.std())
    np.testing.assert_allclose(std, [0.4, 0.4, 0.5], rtol=1e-5)


def test_a_critic_values_the_mirrored_world_alike():
    critic = fresh_critic(jax.random.key(1), SIZE + 1, 16, REFLECTIONS)
    seen = some(BATCH, SIZE + 1)
    values = jax.vmap(critic)(seen)
    assert values.std() > 0.01
    np.testing.assert_allclose(
        jax.vmap(critic)(REFLECTIONS.privileged(seen)), values, rtol=1e-4, atol=1e-6
    )


def test_tying_a_tied_network_changes_nothing():
    once = loud_actor().network()
    twice = tied(once, SENSES, JOINTS)
    parts = [jax.tree.leaves(eqx.filter(network, eqx.is_array)) for network in (once, twice)]
    for before, after in zip(*parts, strict=True):
        np.testing.assert_allclose(before, after, atol=1e-6)


def test_an_actor_without_reflections_is_its_network():
    actor = fresh_actor(jax.random.key(0), SIZE, 16, np.full(3, 0.5))
    senses = some(BATCH, SIZE)
    np.testing.assert_array_equal(actor(senses), jax.vmap(actor.mlp)(senses))
    assert actor.network() is actor.mlp


def one_update(spread_rate):
    config = PPOConfig(num_envs=16, rollout_steps=4, hidden=16, spread_learning_rate=spread_rate)
    learner = ppo.init_ppo(
        jax.random.key(0), config, SIZE, SIZE + 1, 3, np.array([0.5, 0.5, 0.2]), REFLECTIONS
    )
    senses = 1.0 + some(4, 16, SIZE)
    flat = senses.reshape(-1, SIZE)
    actions, log_probs = ppo.sample_actions(learner, flat, jax.random.key(1))
    rollout = Rollout(
        senses,
        1.0 + some(5, 16, SIZE + 1, seed=2),
        actions.reshape(4, 16, 3),
        log_probs.reshape(4, 16),
        -jnp.square(actions - 0.5).sum(axis=1).reshape(4, 16),
        jnp.ones((4, 16)),
    )
    bounds = ppo.Bounds(
        jnp.full(3, 0.05), jnp.array([0.9, 0.9, 0.25]), jnp.asarray(1e-2, jnp.float32)
    )
    before = np.asarray(learner.actor.log_std)
    improved, _ = ppo.ppo_update(config, learner, rollout, bounds)
    return improved, before


def test_learning_keeps_the_symmetry_and_so_does_what_is_normal():
    learner, _ = one_update(None)
    senses = some(BATCH, SIZE)
    seen = learner.actor(learner.actor_normaliser(senses))
    reflected = learner.actor(learner.actor_normaliser(SENSES(senses)))
    np.testing.assert_allclose(reflected, JOINTS(seen), atol=1e-5)
    mean = np.asarray(learner.actor_normaliser.mean)
    assert np.abs(mean).max() > 0.5
    np.testing.assert_allclose(SENSES(mean), mean, atol=1e-4)


@pytest.mark.parametrize("rate", [1e-4, 1e-3])
def test_the_spread_learns_at_its_own_rate(rate):
    learner, before = one_update(rate)
    moved = np.abs(np.asarray(learner.actor.log_std) - before)
    updates = PPOConfig().epochs * PPOConfig().minibatches
    assert 0.05 * rate < moved.max() < 1.01 * updates * rate


def test_each_joints_spread_has_its_own_bound():
    learner, _ = one_update(0.1)
    std = np.exp(np.asarray(learner.actor.log_std))
    assert (std <= np.array([0.9, 0.9, 0.25]) + 1e-6).all()
