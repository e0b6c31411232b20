"""IQL's losses, weights and order of updates against figures worked out apart from it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import literal_urma as literal
import numpy as np
import pytest
from scipy.stats import norm

from bodyplan.learn.algorithms.algorithm import log_probability
from bodyplan.learn.algorithms.iql import IQL, expectile_loss
from bodyplan.learn.data.batches import Batch, Bodies, RobotBatch
from bodyplan.learn.networks.urma import PRESETS

KEY = jax.random.PRNGKey(0)
TERMINATED = np.array([0.0, 1.0, 0.0, 1.0, 0.0], np.float32)


@pytest.fixture(scope="module")
def update():
    """One compiled update and all that went into it."""
    observations, descriptors, actions = literal.bodies(builds=((3, 2), (4, 2)))
    next_observations, _, _ = literal.bodies(seed=1, builds=((3, 2), (4, 2)))
    rewards = np.random.default_rng(2).uniform(size=(2, 5)).astype(np.float32)
    robots = [
        RobotBatch(observation, action, reward, after, TERMINATED, body, body)
        for observation, action, reward, after, body in zip(
            observations, actions, rewards, next_observations, descriptors, strict=True
        )
    ]
    batch = Batch(literal.in_builds(robots, "padded"), jnp.ones(2), jnp.arange(2, dtype="uint32"))
    iql = IQL(weight_clip=0.1)
    actor, critic = iql.init(np.random.default_rng(0), PRESETS["tiny"])
    actor = literal.randomised(actor)
    moved = literal.randomised((critic.value, critic.q, critic.target))
    critic = eqx.tree_at(lambda c: (c.value, c.q, c.target), critic, moved)

    @jax.jit
    def run(actor, critic, batch):
        new, weights, metrics = iql.critic_update(critic, actor, batch, KEY)
        losses, _ = iql.actor_losses(actor, new, batch._replace(aux=weights), KEY)
        return new, weights, metrics, losses

    return actor, critic, robots, lambda actor, critic: run(actor, critic, batch)


def literal_numbers(critic, batch):
    """V(s), V(s'), both Q and both target Q of every sample, each shaped [B] or [B, 2]."""
    columns = []
    for i in range(len(batch.reward)):
        here, after = (
            literal.sample(batch.observation, i),
            literal.sample(batch.next_observation, i),
        )
        columns.append(
            (
                literal.value(critic.value, here, batch.body),
                literal.value(critic.value, after, batch.body),
                literal.twin_q(critic.q, here, batch.action[i], batch.body),
                literal.twin_q(critic.target, here, batch.action[i], batch.body),
            )
        )
    return tuple(map(np.array, zip(*columns, strict=True)))


def test_losses_and_weights_of_an_update(update):
    actor, critic, robots, run = update
    _, weights, metrics, losses = run(actor, critic)
    clipped: list[bool] = []
    for robot, batch in enumerate(robots):
        value, after, q, target = literal_numbers(critic, batch)
        advantage = target.min(axis=1) - value
        side = np.where(advantage > 0, 0.7, 0.3)
        # Steps 1 and 3 fell: nothing is expected after them. The others may have been truncated.
        bootstrapped = batch.reward + 0.99 * np.array([1, 0, 1, 0, 1]) * after
        squares = np.square(q - bootstrapped[:, None]).sum(axis=1)
        expected = np.minimum(np.exp(3.0 * advantage), 0.1)
        clipped += list(expected == 0.1)
        near = {"rtol": 2e-4}
        np.testing.assert_allclose(
            metrics["critic/v_loss"][robot], (side * advantage**2).mean(), **near
        )
        np.testing.assert_allclose(metrics["critic/q_loss"][robot], squares.mean(), **near)
        np.testing.assert_allclose(metrics["critic/q_mean"][robot], q.mean(), rtol=2e-3, atol=1e-4)
        np.testing.assert_allclose(weights[robot], expected, **near)
        np.testing.assert_allclose(
            metrics["actor/weight_clipped"][robot], (expected == 0.1).mean(), **near
        )
        imitation = []
        for i, weight in enumerate(expected):
            mean, std = literal.policy(actor, literal.sample(batch.observation, i), batch.body)
            imitation.append(-weight * norm.logpdf(batch.action[i], mean, std).mean())
        np.testing.assert_allclose(losses[robot], np.mean(imitation), **near)
    assert 0 < sum(clipped) < len(clipped)  # both sides of the clip were compared


def test_advantages_can_be_of_q_itself(update):
    actor, critic, robots, _ = update
    online = IQL(weight_clip=0.1, advantages="online")
    batch = Batch(literal.in_builds(robots, "padded"), jnp.ones(2), jnp.arange(2, dtype="uint32"))
    _, weights, _ = jax.jit(online.critic_update)(critic, actor, batch, KEY)
    judged = jax.jit(online.judge)(critic, actor, batch, KEY)
    for robot, own in enumerate(robots):
        value, _, q, _ = literal_numbers(critic, own)
        expected = np.minimum(np.exp(3.0 * (q.min(axis=1) - value)), 0.1)
        np.testing.assert_allclose(weights[robot], expected, rtol=2e-4)
        np.testing.assert_allclose(judged.weight[robot], expected, rtol=2e-4)


def test_an_update_steps_value_and_q_and_leaves_targets(update):
    actor, critic, _, run = update
    new, *_ = run(actor, critic)

    def moved(left, right):
        pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
        return max(float(np.abs(a - b).max()) for a, b in pairs)

    # Adam's first step moves a parameter by the learning rate, whatever the gradient's size.
    assert moved(new.value, critic.value) == pytest.approx(3e-4, rel=1e-2)
    assert moved(new.q, critic.q) == pytest.approx(3e-4, rel=1e-2)
    assert moved(new.target, critic.target) == 0.0


def test_targets_follow_slowly(update):
    actor, critic, *_ = update
    moved = jax.jit(IQL(tau=0.1).update_targets)(critic, actor)
    for new, q, old in zip(
        *map(jax.tree.leaves, (moved.target, critic.q, critic.target)), strict=True
    ):
        np.testing.assert_allclose(new, 0.9 * old + 0.1 * q, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("expectile", [0.5, 0.7, 0.9])
def test_expectile_of_a_coin_is_the_expectile(expectile):
    # argmin_v of the mean loss over {0, 1} solves tau (1 - v) = (1 - tau) v.
    grid = np.linspace(0.0, 1.0, 1001)
    coin = jnp.array([0.0, 1.0])
    loss = expectile_loss(coin[None] - grid[:, None], expectile).mean(axis=1)
    assert grid[int(loss.argmin())] == pytest.approx(expectile, abs=1e-3)


@pytest.mark.parametrize("joints", [3, 2])
def test_log_probability_is_that_of_independent_gaussians(joints):
    """Also of a robot with fewer joints than its build."""
    rng = np.random.default_rng(0)
    action, mean = rng.normal(size=(2, 1, 4, 3))
    std = rng.uniform(0.1, 2, (1, 1, 3))
    mask = None if joints == 3 else jnp.array([[1.0, 1.0, 0.0]])
    bodies = Bodies(*(jnp.zeros((1, 3, 23)), jnp.zeros((1, 0, 10)), jnp.zeros((1, 7))), None, mask)
    each = norm.logpdf(action, mean, std)[..., :joints]
    for reduction, expected in (("mean", each.mean(axis=-1)), ("sum", each.sum(axis=-1))):
        answer = log_probability(*map(jnp.asarray, (action, mean, std)), bodies, reduction)
        np.testing.assert_allclose(answer, expected, rtol=1e-5)


def test_target_starts_as_q_and_beta_zero_is_cloning():
    iql = IQL(beta=0.0)
    _, critic = iql.init(np.random.default_rng(0), PRESETS["tiny"])
    for q, target in zip(jax.tree.leaves(critic.q), jax.tree.leaves(critic.target), strict=True):
        np.testing.assert_array_equal(q, target)
    np.testing.assert_array_equal(iql.weights(jnp.array([-5.0, 5.0])), [1.0, 1.0])
