"""PPO's parts against plain NumPy and SciPy, and the whole on a problem with a known answer."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from bodyplan.experts import ppo
from bodyplan.experts.ppo import PPOConfig, PPOLimits, Rollout

OBSERVATIONS, CRITIC_OBSERVATIONS, JOINTS = 3, 4, 2
INITIAL_STD = 1.0
TARGET = np.array([0.5, -0.25], np.float32)
CONFIG = PPOConfig(num_envs=32, rollout_steps=8, epochs=2, minibatches=2, hidden_size=8)


@pytest.fixture(scope="module")
def untrained():
    """Makes the same fresh state each time; compiled once."""
    initialise = eqx.filter_jit(
        lambda key: ppo.init_ppo(
            key, CONFIG, OBSERVATIONS, CRITIC_OBSERVATIONS, JOINTS, INITIAL_STD
        )
    )
    return lambda: initialise(jax.random.key(0))


def arrays(tree):
    """All numbers of a pytree, keys as integers."""
    leaves = jax.tree.leaves(eqx.filter(tree, eqx.is_array))
    keys = jax.dtypes.prng_key
    return [
        np.array(jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, keys) else x)
        for x in leaves
    ]


def one_step_episodes(state, seed):
    """A rollout in which every step ends an episode and is rewarded for nearness to `TARGET`."""
    rng = np.random.default_rng(seed)
    shape = (CONFIG.rollout_steps, CONFIG.num_envs)
    observations = rng.normal(size=(*shape, OBSERVATIONS)).astype(np.float32)
    flat, key = observations.reshape(-1, OBSERVATIONS), jax.random.key(seed)
    actions, log_probs = (
        np.asarray(part) for part in ppo.sample_actions(state, jnp.asarray(flat), key)
    )
    rewards = -np.square(actions - TARGET).sum(axis=1)
    parts = (
        observations,
        np.ones((shape[0] + 1, shape[1], CRITIC_OBSERVATIONS)),
        actions.reshape(*shape, JOINTS),
        log_probs.reshape(shape),
        rewards.reshape(shape),
        np.ones(shape),
    )
    return Rollout(*(jnp.asarray(part, jnp.float32) for part in parts))


@pytest.fixture(scope="module")
def learn(untrained):
    """Trains; gives the state at the end, and each iteration's mean reward and metrics."""

    def run(iterations, std_limits=(0.05, 1.0), config=CONFIG, max_learning_rate=1e-2):
        state, rewards, metrics = untrained(), [], []
        for seed in range(iterations):
            rollout = one_step_episodes(state, seed)
            rewards.append(float(rollout.rewards.mean()))
            limits = PPOLimits(*(jnp.asarray(x) for x in (*std_limits, max_learning_rate)))
            state, logged = ppo.ppo_update(config, state, rollout, limits)
            metrics.append({name: float(value) for name, value in logged.items()})
        return state, rewards, metrics

    return run


def test_advantages_are_those_of_a_plain_loop():
    rng = np.random.default_rng(0)
    steps, count = 7, 5
    rewards, values = rng.normal(size=(steps, count)), rng.normal(size=(steps + 1, count))
    dones = (rng.random((steps, count)) < 0.3).astype(float)
    expected, after = np.zeros((steps, count)), np.zeros(count)
    for t in reversed(range(steps)):
        for n in range(count):
            not_done = 0.0 if dones[t, n] else 1.0
            error = rewards[t, n] + 0.9 * not_done * values[t + 1, n] - values[t, n]
            after[n] = error + 0.9 * 0.8 * not_done * after[n]
            expected[t, n] = after[n]
    given = (jnp.asarray(array) for array in (rewards, dones, values))
    advantages = ppo.generalised_advantages(*given, discount=0.9, gae_lambda=0.8)
    np.testing.assert_allclose(advantages, expected, rtol=1e-5, atol=1e-6)
    assert 0 < dones.sum() < dones.size


def test_actions_come_with_the_logarithm_of_their_density(untrained):
    state = untrained()
    log_std = jnp.log(jnp.array([0.3, 0.8]))
    state = state._replace(actor=eqx.tree_at(lambda a: a.log_std, state.actor, log_std))
    observations = np.random.default_rng(0).normal(size=(2000, OBSERVATIONS))
    observations = jnp.asarray(observations, jnp.float32)
    actions, log_probs = ppo.sample_actions(state, observations, jax.random.key(1))
    mean = np.asarray(state.actor(state.actor_normaliser(observations)))
    expected = stats.norm.logpdf(np.asarray(actions), mean, [0.3, 0.8]).sum(axis=1)
    np.testing.assert_allclose(log_probs, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose((actions - mean).std(axis=0), [0.3, 0.8], rtol=0.1)


def test_loss_and_kl_of_a_changed_policy_are_scipys(untrained):
    rng, count = np.random.default_rng(0), 12
    actor = eqx.tree_at(lambda a: a.log_std, untrained().actor, jnp.log(jnp.array([0.5, 0.9])))
    observations = rng.normal(size=(count, OBSERVATIONS)).astype(np.float32)
    mean, std = np.asarray(actor(jnp.asarray(observations))), np.array([0.5, 0.9])
    old_mean, old_std = mean + rng.normal(0.0, 0.2, mean.shape), np.array([0.7, 0.6])
    actions = old_mean + old_std * rng.normal(size=mean.shape)
    old = stats.norm.logpdf(actions, old_mean, old_std).sum(axis=1)
    advantages = rng.normal(2.0, 3.0, count)
    batch = {
        "observations": observations,
        "actions": actions,
        "log_probs": old,
        "advantages": advantages,
        "old_mean": old_mean,
    }
    batch = {name: jnp.asarray(value, jnp.float32) for name, value in batch.items()}
    loss, kl = ppo.clipped_surrogate_loss(actor, batch, jnp.asarray(old_std, jnp.float32), 0.2)
    ratio = np.exp(stats.norm.logpdf(actions, mean, std).sum(axis=1) - old)
    normal = (advantages - advantages.mean()) / advantages.std()
    surrogate = np.minimum(ratio * normal, np.clip(ratio, 0.8, 1.2) * normal)
    assert ratio.min() < 0.8 < 1.2 < ratio.max()
    assert loss == pytest.approx(-surrogate.mean(), rel=1e-3)

    def divergence(before, after):
        def integrand(x):
            return before.pdf(x) * (before.logpdf(x) - after.logpdf(x))

        centre, width = before.mean(), 9.0 * before.std()
        return integrate.quad(integrand, centre - width, centre + width)[0]

    each = [
        divergence(stats.norm(old_mean[n, j], old_std[j]), stats.norm(mean[n, j], std[j]))
        for n in range(count)
        for j in range(JOINTS)
    ]
    assert kl == pytest.approx(np.sum(each) / count, rel=1e-3)


def test_a_first_gradient_step_starts_at_no_divergence(untrained, learn):
    config = PPOConfig(num_envs=32, rollout_steps=8, epochs=1, minibatches=1, hidden_size=8)
    before = arrays(untrained().actor)
    state, _, (metrics,) = learn(1, config=config)
    assert metrics["kl"] == pytest.approx(0.0, abs=1e-6)
    assert metrics["learning_rate"] == pytest.approx(config.learning_rate)
    moved = [np.abs(a - b).max() for a, b in zip(before, arrays(state.actor), strict=True)]
    assert 0.0 < max(moved) < 10 * config.learning_rate


def test_learning_finds_the_best_action(learn):
    state, rewards, metrics = learn(40)
    assert rewards[-1] > 0.25 * rewards[0]
    mean = state.actor(state.actor_normaliser(jnp.zeros((1, OBSERVATIONS))))
    np.testing.assert_allclose(mean[0], TARGET, atol=0.15)
    assert (state.actor.std() < 0.6 * INITIAL_STD).all()
    assert metrics[-1]["critic_loss"] < metrics[0]["critic_loss"]
    # The critic's inputs are constant, so the best it can say is the mean reward.
    constant = jnp.ones((1, CRITIC_OBSERVATIONS))
    assert ppo.predict_values(state, constant)[0] == pytest.approx(np.mean(rewards[-5:]), abs=0.2)


@pytest.mark.parametrize("limits", [(0.9, 1.0), (0.05, 0.2)])
def test_the_standard_deviation_of_actions_keeps_to_its_limits(learn, limits):
    state, _, metrics = learn(5, limits)
    low, high = limits
    std = np.asarray(state.actor.std())
    assert (std > low - 1e-6).all()
    assert (std < high + 1e-6).all()
    assert metrics[-1]["std"] == pytest.approx(std.mean())
    # Learning makes it smaller here, and it began at 1: one limit or the other was reached.
    assert np.abs(std - limits).min() < 0.05


def test_the_same_rollouts_make_the_same_state(learn):
    once, again = (arrays(learn(3)[0]) for _ in range(2))
    assert len(once) > 20
    for first, second in zip(once, again, strict=True):
        np.testing.assert_array_equal(first, second)


def test_an_update_keeps_every_type_so_that_it_is_compiled_once(untrained, learn):
    types = [
        [jax.typeof(leaf) for leaf in jax.tree.leaves(eqx.filter(state, eqx.is_array))]
        for state in (untrained(), learn(1)[0])
    ]
    assert types[0] == types[1]
    assert not any(kind.weak_type for kind in types[0])


def test_the_learning_rate_stays_under_its_limit(learn):
    *_, metrics = learn(3, max_learning_rate=1e-4)
    assert max(logged["learning_rate"] for logged in metrics) == pytest.approx(1e-4)
