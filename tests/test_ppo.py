"""PPO's parts against plain NumPy and SciPy, and the whole on a problem with a known answer."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from bodyplan.experts import ppo
from bodyplan.experts.ppo import Normaliser, PPOConfig, Rollout

SENSES, PRIVILEGED, JOINTS = 3, 4, 2
INITIAL_STD = 1.0
TARGET = np.array([0.5, -0.25], np.float32)
CONFIG = PPOConfig(num_envs=32, rollout_steps=8, epochs=2, minibatches=2, hidden=8)


def fresh(config=CONFIG):
    return ppo.init_ppo(jax.random.key(0), config, SENSES, PRIVILEGED, JOINTS, INITIAL_STD)


def arrays(tree):
    """All numbers of a pytree, keys as integers."""
    leaves = jax.tree.leaves(eqx.filter(tree, eqx.is_array))
    keys = jax.dtypes.prng_key
    return [
        np.array(jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, keys) else x)
        for x in leaves
    ]


def one_step_episodes(config, learner, seed):
    """A rollout in which every step ends an episode and is paid for nearness to `TARGET`."""
    rng = np.random.default_rng(seed)
    shape = (config.rollout_steps, config.num_envs)
    senses = rng.normal(size=(*shape, SENSES)).astype(np.float32)
    flat, key = senses.reshape(-1, SENSES), jax.random.key(seed)
    actions, log_probs = (
        np.asarray(part) for part in ppo.sample_actions(learner, jnp.asarray(flat), key)
    )
    rewards = -np.square(actions - TARGET).sum(axis=1)
    parts = (
        senses,
        np.ones((shape[0] + 1, shape[1], PRIVILEGED)),
        actions.reshape(*shape, JOINTS),
        log_probs.reshape(shape),
        rewards.reshape(shape),
        np.ones(shape),
    )
    return Rollout(*(jnp.asarray(part, jnp.float32) for part in parts))


def learn(iterations, std_bounds=(0.05, 1.0), config=CONFIG, highest_rate=1e-2):
    """The learner at the end, and each iteration's mean reward and metrics."""
    learner, rewards, metrics = fresh(config), [], []
    for seed in range(iterations):
        rollout = one_step_episodes(config, learner, seed)
        rewards.append(float(rollout.rewards.mean()))
        bounds = ppo.Bounds(*(jnp.asarray(bound) for bound in (*std_bounds, highest_rate)))
        learner, logged = ppo.ppo_update(config, learner, rollout, bounds)
        metrics.append({name: float(value) for name, value in logged.items()})
    return learner, rewards, metrics


def test_advantages_are_those_of_a_plain_loop():
    rng = np.random.default_rng(0)
    steps, count = 7, 5
    rewards, values = rng.normal(size=(steps, count)), rng.normal(size=(steps + 1, count))
    dones = (rng.random((steps, count)) < 0.3).astype(float)
    expected, after = np.zeros((steps, count)), np.zeros(count)
    for t in reversed(range(steps)):
        for n in range(count):
            alive = 0.0 if dones[t, n] else 1.0
            error = rewards[t, n] + 0.9 * alive * values[t + 1, n] - values[t, n]
            after[n] = error + 0.9 * 0.8 * alive * after[n]
            expected[t, n] = after[n]
    blank = jnp.zeros((steps, count, 1))
    privileged = jnp.zeros((steps + 1, count, 1))
    paid, done = jnp.asarray(rewards), jnp.asarray(dones)
    rollout = Rollout(blank, privileged, blank, jnp.zeros((steps, count)), paid, done)
    config = PPOConfig(discount=0.9, trace=0.8)
    advantages = ppo._advantages(config, rollout, jnp.asarray(values))
    np.testing.assert_allclose(advantages, expected, rtol=1e-5, atol=1e-6)
    assert 0 < dones.sum() < dones.size


def test_the_normaliser_knows_mean_and_variance_of_all_it_has_seen():
    rng = np.random.default_rng(0)
    batches = [rng.normal(3.0 * i, 1.0 + i, (10 * i + 5, 2, 3)) for i in range(4)]
    normaliser = Normaliser(jnp.zeros(3), jnp.ones(3), jnp.asarray(1e-4))
    for batch in batches:
        normaliser = normaliser.update(jnp.asarray(batch, jnp.float32))
    everything = np.concatenate([batch.reshape(-1, 3) for batch in batches])
    np.testing.assert_allclose(normaliser.mean, everything.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(normaliser.variance, everything.var(axis=0), rtol=1e-4)
    normal = normaliser(jnp.asarray(everything, jnp.float32))
    np.testing.assert_allclose(normal.mean(axis=0), 0.0, atol=1e-3)
    np.testing.assert_allclose(normal.std(axis=0), 1.0, rtol=1e-3)


def test_actions_come_with_the_logarithm_of_their_density():
    learner = fresh()
    spread = jnp.log(jnp.array([0.3, 0.8]))
    learner = learner._replace(actor=eqx.tree_at(lambda a: a.log_std, learner.actor, spread))
    senses = jnp.asarray(np.random.default_rng(0).normal(size=(2000, SENSES)), jnp.float32)
    actions, log_probs = ppo.sample_actions(learner, senses, jax.random.key(1))
    mean = np.asarray(learner.actor(learner.actor_normaliser(senses)))
    expected = stats.norm.logpdf(np.asarray(actions), mean, [0.3, 0.8]).sum(axis=1)
    np.testing.assert_allclose(log_probs, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose((actions - mean).std(axis=0), [0.3, 0.8], rtol=0.1)


def test_a_mean_action_is_bounded_and_a_first_one_small():
    learner = fresh()
    senses = jnp.ones((1, SENSES))
    assert np.abs(learner.actor(senses)).max() < 0.1
    far = eqx.tree_at(lambda a: a.mlp.layers[-1].bias, learner.actor, jnp.array([50.0, -50.0]))
    assert far(senses).tolist() == [[10.0, -10.0]]


def test_loss_and_move_of_a_changed_policy_are_scipys():
    rng = np.random.default_rng(0)
    actor = eqx.tree_at(lambda a: a.log_std, fresh().actor, jnp.log(jnp.array([0.5, 0.9])))
    senses = rng.normal(size=(40, SENSES)).astype(np.float32)
    mean, std = np.asarray(actor(jnp.asarray(senses))), np.array([0.5, 0.9])
    old_mean, old_std = mean + rng.normal(0.0, 0.2, mean.shape), np.array([0.7, 0.6])
    actions = old_mean + old_std * rng.normal(size=mean.shape)
    old = stats.norm.logpdf(actions, old_mean, old_std).sum(axis=1)
    advantages = rng.normal(2.0, 3.0, 40)
    batch = {
        "senses": senses,
        "actions": actions,
        "log_probs": old,
        "advantages": advantages,
        "old_mean": old_mean,
    }
    batch = {name: jnp.asarray(value, jnp.float32) for name, value in batch.items()}
    loss, kl = ppo._actor_loss(actor, batch, jnp.asarray(old_std, jnp.float32), 0.2)
    ratio = np.exp(stats.norm.logpdf(actions, mean, std).sum(axis=1) - old)
    normal = (advantages - advantages.mean()) / advantages.std()
    kept = np.minimum(ratio * normal, np.clip(ratio, 0.8, 1.2) * normal)
    assert loss == pytest.approx(-kept.mean(), rel=1e-3)

    def divergence(before, after):
        def integrand(x):
            return before.pdf(x) * (before.logpdf(x) - after.logpdf(x))

        centre, spread = before.mean(), before.std()
        return integrate.quad(integrand, centre - 9 * spread, centre + 9 * spread)[0]

    each = [
        divergence(stats.norm(old_mean[n, j], old_std[j]), stats.norm(mean[n, j], std[j]))
        for n in range(40)
        for j in range(JOINTS)
    ]
    assert kl == pytest.approx(np.sum(each) / 40, rel=1e-3)


def test_an_unchanged_policy_has_not_moved():
    config = PPOConfig(num_envs=32, rollout_steps=8, epochs=1, minibatches=1, hidden=8)
    before = arrays(fresh(config).actor)
    learner, _, (metrics,) = learn(1, config=config)
    assert metrics["kl"] == pytest.approx(0.0, abs=1e-6)
    assert metrics["learning_rate"] == pytest.approx(config.learning_rate)
    moved = [np.abs(a - b).max() for a, b in zip(before, arrays(learner.actor), strict=True)]
    assert 0.0 < max(moved) < 10 * config.learning_rate


def test_learning_finds_the_best_action():
    learner, rewards, metrics = learn(40)
    assert rewards[-1] > 0.25 * rewards[0]
    mean = learner.actor(learner.actor_normaliser(jnp.zeros((1, SENSES))))
    np.testing.assert_allclose(mean[0], TARGET, atol=0.15)
    assert (learner.actor.std() < 0.6 * INITIAL_STD).all()
    assert metrics[-1]["critic_loss"] < metrics[0]["critic_loss"]
    # The critic's inputs are constant, so the best it can say is the mean reward.
    privileged = jnp.ones((1, PRIVILEGED))
    assert ppo.predict_values(learner, privileged)[0] == pytest.approx(
        np.mean(rewards[-5:]), abs=0.2
    )


@pytest.mark.parametrize("bounds", [(0.9, 1.0), (0.05, 0.2)])
def test_the_spread_of_actions_keeps_to_its_bounds(bounds):
    learner, _, metrics = learn(5, bounds)
    low, high = bounds
    std = np.asarray(learner.actor.std())
    assert (std > low - 1e-6).all()
    assert (std < high + 1e-6).all()
    assert metrics[-1]["std"] == pytest.approx(std.mean())
    # Learning pulls the spread down here, and it began at 1: one bound or the other was felt.
    assert np.abs(std - bounds).min() < 0.05


def test_the_same_rollouts_make_the_same_learner():
    once, again = (arrays(learn(3)[0]) for _ in range(2))
    assert len(once) > 20
    for first, second in zip(once, again, strict=True):
        np.testing.assert_array_equal(first, second)


def test_an_update_keeps_every_type_so_that_it_is_compiled_once():
    before, after = fresh(), learn(1)[0]
    types = [
        [jax.typeof(leaf) for leaf in jax.tree.leaves(eqx.filter(learner, eqx.is_array))]
        for learner in (before, after)
    ]
    assert types[0] == types[1]
    assert not any(kind.weak_type for kind in types[0])


def test_the_learning_rate_stays_under_its_bound():
    *_, metrics = learn(3, highest_rate=1e-4)
    assert max(logged["learning_rate"] for logged in metrics) == pytest.approx(1e-4)
