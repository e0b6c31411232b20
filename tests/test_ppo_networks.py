"""The networks of PPO: exactly mirror-symmetric where asked for, and the running normaliser."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bodyplan.experts import ppo
from bodyplan.experts.expert_observations import MirrorMaps
from bodyplan.experts.ppo import PPOConfig, PPOLimits, Rollout
from bodyplan.experts.ppo_networks import (
    PPOActor,
    PPOCritic,
    RunningNormaliser,
    mirror_symmetric,
)
from bodyplan.robots.symmetry import MirrorMap

JOINTS = MirrorMap((1, 0, 2), (-1.0, -1.0, 1.0))
OBSERVATIONS = JOINTS.per_entry((1.0, 1.0)) + MirrorMap.in_place((1.0, -1.0))
MIRROR = MirrorMaps(OBSERVATIONS, OBSERVATIONS + MirrorMap.in_place((-1.0,)), JOINTS)
SIZE, BATCH = len(OBSERVATIONS.order), 9


def some(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


@pytest.fixture(scope="module")
def actor():
    """One whose last layer is not near zero, with a bias that is not symmetric."""
    std = np.array([0.2, 0.8, 0.5])
    actor = PPOActor.create(jax.random.key(0), SIZE, 8, std, MIRROR)
    numbers, rest = eqx.partition(actor.mlp, eqx.is_array)
    larger = jax.tree.map(lambda x: x + 0.3 * some(*x.shape, seed=x.size), numbers)
    return PPOActor(eqx.combine(larger, rest), actor.log_std, MIRROR)


def test_an_actor_answers_the_mirrored_world_with_the_mirrored_action(actor):
    observations = some(BATCH, SIZE)
    mean = actor(observations)
    assert jnp.abs(mean).mean() > 0.1
    np.testing.assert_allclose(actor(OBSERVATIONS(observations)), JOINTS(mean), atol=1e-5)
    np.testing.assert_allclose(actor.std(), [0.4, 0.4, 0.5], rtol=1e-5)


def test_a_critic_values_the_mirrored_world_alike():
    critic = PPOCritic.create(jax.random.key(1), SIZE + 1, 16, MIRROR)
    observations = some(BATCH, SIZE + 1)
    values = jax.vmap(critic)(observations)
    assert values.std() > 0.01
    np.testing.assert_allclose(
        jax.vmap(critic)(MIRROR.critic_observations(observations)), values, rtol=1e-4, atol=1e-5
    )


def test_a_symmetric_network_stays_as_it_is(actor):
    once = actor.network()
    twice = mirror_symmetric(once, OBSERVATIONS, JOINTS)
    parts = [jax.tree.leaves(eqx.filter(network, eqx.is_array)) for network in (once, twice)]
    for before, after in zip(*parts, strict=True):
        np.testing.assert_allclose(before, after, atol=1e-6)


def test_an_actor_without_a_mirror_is_its_network_with_small_bounded_means():
    actor = PPOActor.create(jax.random.key(0), SIZE, 8, np.full(3, 0.5))
    observations = some(BATCH, SIZE)
    mean = actor(observations)
    np.testing.assert_array_equal(mean, jax.vmap(actor.mlp)(observations))
    assert actor.network() is actor.mlp
    assert np.abs(mean).max() < 0.1
    bias = jnp.array([50.0, -50.0, 0.0])
    far = eqx.tree_at(lambda a: a.mlp.layers[-1].bias, actor, bias)
    np.testing.assert_array_equal(far(observations)[:, :2], np.tile([10.0, -10.0], (BATCH, 1)))


def test_the_normaliser_has_mean_and_variance_of_all_it_has_seen():
    rng = np.random.default_rng(0)
    batches = [rng.normal(3.0 * i, 1.0 + i, (5 * i + 20, 2, 3)) for i in range(3)]
    normaliser = RunningNormaliser.create(3)
    for batch in batches:
        normaliser = normaliser.update(jnp.asarray(batch, jnp.float32))
    everything = np.concatenate([batch.reshape(-1, 3) for batch in batches])
    np.testing.assert_allclose(normaliser.mean, everything.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(normaliser.variance, everything.var(axis=0), rtol=1e-4)
    normal = normaliser(jnp.asarray(everything, jnp.float32))
    np.testing.assert_allclose(normal.mean(axis=0), 0.0, atol=1e-3)
    np.testing.assert_allclose(normal.std(axis=0), 1.0, rtol=1e-3)


def update(std_learning_rate):
    """The state after one update, and its log standard deviation before."""
    config = PPOConfig(
        num_envs=16,
        rollout_steps=4,
        epochs=2,
        minibatches=2,
        hidden_size=8,
        std_learning_rate=std_learning_rate,
    )
    std = np.array([0.5, 0.5, 0.2])
    state = ppo.init_ppo(jax.random.key(0), config, SIZE, SIZE + 1, 3, std, MIRROR)
    observations = 1.0 + some(4, 16, SIZE)
    flat = observations.reshape(-1, SIZE)
    actions, log_probs = ppo.sample_actions(state, flat, jax.random.key(1))
    rollout = Rollout(
        observations,
        1.0 + some(5, 16, SIZE + 1, seed=2),
        actions.reshape(4, 16, 3),
        log_probs.reshape(4, 16),
        -jnp.square(actions - 0.5).sum(axis=1).reshape(4, 16),
        jnp.ones((4, 16)),
    )
    limits = PPOLimits(
        jnp.full(3, 0.05), jnp.array([0.9, 0.9, 0.21]), jnp.asarray(1e-2, jnp.float32)
    )
    before = np.asarray(state.actor.log_std)
    return ppo.ppo_update(config, state, rollout, limits)[0], before


@pytest.fixture(scope="module")
def slow():
    """An update whose standard deviation learns at a tenth of the actor's rate."""
    return update(1e-4)


def test_learning_keeps_the_symmetry_and_so_does_the_normaliser(slow):
    state, _ = slow
    observations = some(BATCH, SIZE)
    mean = state.actor(state.actor_normaliser(observations))
    mirrored = state.actor(state.actor_normaliser(OBSERVATIONS(observations)))
    np.testing.assert_allclose(mirrored, JOINTS(mean), atol=1e-5)
    centre = np.asarray(state.actor_normaliser.mean)
    assert np.abs(centre).max() > 0.5
    np.testing.assert_allclose(OBSERVATIONS(centre), centre, atol=1e-4)


def test_the_standard_deviation_learns_at_its_own_rate(slow):
    state, before = slow
    moved = np.abs(np.asarray(state.actor.log_std) - before)
    gradient_steps = 2 * 2
    assert 0.05e-4 < moved.max() < 1.01 * gradient_steps * 1e-4


def test_each_joints_standard_deviation_has_its_own_limit():
    state, before = update(0.2)
    std, old = np.exp(np.asarray(state.actor.log_std)), np.exp(before)
    assert np.abs(std - old).max() > 0.05
    assert (std <= np.array([0.9, 0.9, 0.21]) + 1e-6).all()
