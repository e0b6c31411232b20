"""Policy, V and twin Q against literal forward passes, and what must not depend on what."""

from dataclasses import replace
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import literal_urma as literal
import numpy as np
import pytest

from bodyplan.errors import BodyplanError
from bodyplan.learn.data.batches import Bodies
from bodyplan.learn.networks.urma import PRESETS
from bodyplan.learn.networks.urma_heads import URMAPolicy, URMATwinQ, URMAValue

TINY = PRESETS["tiny"]
RNG = np.random.default_rng
NEAR = {"rtol": 1e-4, "atol": 1e-5}


@jax.jit
def ask(head, *inputs):
    """A head called on its own, compiled."""
    return head(*inputs)


@pytest.fixture(scope="module")
def three():
    """Observations, descriptors and actions of three unlike robots."""
    return literal.bodies()


def builds_of(three, layout):
    """Observations, actions and bodies of the robots, build by build."""
    observations, descriptors, actions = three
    builds = literal.in_builds(literal.robot_batches(observations, descriptors, actions), layout)
    parts = [(own.observation, own.action, own.bodies) for own in builds]
    return [list(part) for part in zip(*parts, strict=True)]


LAYOUTS = pytest.mark.parametrize("layout", ["apart", "padded"])


@LAYOUTS
@pytest.mark.parametrize("readout", [False, True])
def test_policy_is_the_literal_one(three, readout, layout):
    observations, descriptors, _ = three
    policy = literal.randomised(URMAPolicy(RNG(1), replace(TINY, readout=readout)))
    seen, _, bodies = builds_of(three, layout)
    answers = jax.jit(lambda: policy.over_robots(seen, bodies))()
    means = [mean for build, _ in answers for mean in build]
    stds = [std[0] for _, build in answers for std in build]
    for observation, descriptor, mean, std in zip(
        observations, descriptors, means, stds, strict=True
    ):
        mean, std = mean[:, : len(descriptor.joints)], std[: len(descriptor.joints)]
        for i in range(len(mean)):
            expected = literal.policy(policy, literal.sample(observation, i), descriptor)
            np.testing.assert_allclose(mean[i], expected[0], **NEAR)
            np.testing.assert_allclose(std, expected[1], **NEAR)


def test_policy_keeps_its_bounds(three):
    observations, descriptors, _ = three
    policy = URMAPolicy(RNG(1), TINY)
    policy = eqx.tree_at(lambda p: p.mean.weight, policy, policy.mean.weight * 1e6)
    policy = eqx.tree_at(lambda p: p.log_std.bias, policy, policy.log_std.bias + 50.0)
    mean, std = ask(policy, observations[0], descriptors[0])
    assert np.abs(mean).max() == 10.0
    np.testing.assert_allclose(std, 2.0, rtol=1e-6)
    policy = eqx.tree_at(lambda p: p.log_std.bias, policy, policy.log_std.bias - 100.0)
    np.testing.assert_allclose(ask(policy, observations[0], descriptors[0])[1], 1e-8, rtol=1e-5)


def test_policy_starts_near_zero_with_a_spread_of_one(three):
    observations, descriptors, _ = three
    mean, std = ask(URMAPolicy(RNG(0), TINY), observations[0], descriptors[0])
    assert np.abs(mean).max() < 0.1
    np.testing.assert_allclose(std, 1.0, atol=0.4)


def test_policy_sees_neither_linear_velocity_nor_height(three):
    (observation, *_), (descriptor, *_), _ = three
    policy = literal.randomised(URMAPolicy(RNG(1), TINY))
    other = np.array(observation.general)
    other[:, [0, 1, 2, 12]] += 1.0
    mean, _ = ask(policy, observation, descriptor)
    np.testing.assert_array_equal(
        ask(policy, observation._replace(general=other), descriptor)[0], mean
    )
    other[:, 3] += 1.0
    assert not np.allclose(ask(policy, observation._replace(general=other), descriptor)[0], mean)


def test_order_of_joints_matters_only_to_the_order_of_actions(three):
    observations, descriptors, _ = three
    observation, descriptor = observations[1], descriptors[1]
    order = RNG(3).permutation(len(descriptor.joints))
    shuffled = observation._replace(joints=observation.joints[:, order])
    body = descriptor._replace(joints=descriptor.joints[order])
    policy, value = (
        literal.randomised(URMAPolicy(RNG(1), TINY)),
        literal.randomised(URMAValue(RNG(2), TINY)),
    )
    for answer, expected in zip(
        ask(policy, shuffled, body), ask(policy, observation, descriptor), strict=True
    ):
        np.testing.assert_allclose(answer, expected[..., order], **NEAR)
    np.testing.assert_allclose(
        ask(value, shuffled, body), ask(value, observation, descriptor), **NEAR
    )


def test_decoder_does_not_train_the_joint_encoder(three):
    (observation, *_), (descriptor, *_), _ = three
    policy = literal.randomised(URMAPolicy(RNG(1), TINY))
    # With the core's way into the decoder cut, the joint states enter it only directly.
    cut = np.array(policy.decoder.weight)
    cut[: TINY.core[-1]] = 0.0
    policy = eqx.tree_at(lambda p: p.decoder.weight, policy, cut)

    def spread(policy: URMAPolicy, scale: float) -> jax.Array:
        scaled = observation._replace(joints=observation.joints * scale)
        return jnp.square(policy(scaled, descriptor)[0]).sum()

    compiled = jax.jit(jax.value_and_grad(spread))
    (sum_of_squares, gradient), (other, _) = compiled(policy, 1.0), compiled(policy, 2.0)
    assert sum_of_squares != other
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradient.torso))
    assert np.any(gradient.decoder.weight)


@LAYOUTS
def test_value_is_the_literal_one_whoever_shares_the_batch(three, layout):
    observations, descriptors, _ = three
    value = literal.randomised(URMAValue(RNG(1), TINY))
    seen, _, bodies = builds_of(three, layout)
    answers = jax.jit(lambda: value.over_robots(seen, bodies))()
    for observation, descriptor, values in zip(observations, descriptors, answers, strict=True):
        expected = [
            literal.value(value, literal.sample(observation, i), descriptor)
            for i in range(len(values))
        ]
        np.testing.assert_allclose(values, expected, **NEAR)
        np.testing.assert_allclose(ask(value, observation, descriptor), values, **NEAR)


@LAYOUTS
@pytest.mark.parametrize("way", ["slots", "joints"])
def test_twin_q_is_the_literal_one_however_actions_enter(three, way, layout):
    observations, descriptors, actions = three
    q = literal.randomised(URMATwinQ(RNG(1), replace(TINY, actions=way)))
    builds = builds_of(three, layout)
    answers = jax.jit(lambda q: q.over_robots(*builds))(q).swapaxes(0, 1)
    for observation, action, descriptor, values in zip(
        observations, actions, descriptors, answers, strict=True
    ):
        expected = [
            literal.twin_q(q, literal.sample(observation, i), action[i], descriptor)
            for i in range(len(action))
        ]
        np.testing.assert_allclose(values.T, expected, **NEAR)
        assert not np.allclose(values[0], values[1])


def test_too_many_joints_for_q_is_said(three):
    observations, descriptors, actions = three
    q = URMATwinQ(RNG(0), replace(TINY, action_slots=5))
    with pytest.raises(BodyplanError, match="--q-actions joints"):
        q(observations[1], actions[1], descriptors[1])


def test_actions_beside_joints_know_no_order_and_no_largest_number(three):
    observations, descriptors, actions = three
    q = literal.randomised(URMATwinQ(RNG(1), replace(TINY, actions="joints", action_slots=1)))
    expected = ask(q, observations[1], actions[1], descriptors[1])
    order = RNG(3).permutation(len(descriptors[1].joints))
    shuffled = observations[1]._replace(joints=observations[1].joints[:, order])
    body = descriptors[1]._replace(joints=descriptors[1].joints[order])
    np.testing.assert_allclose(ask(q, shuffled, actions[1][:, order], body), expected, **NEAR)
    # Only with its own joint is an action the same one.
    assert not np.allclose(ask(q, shuffled, actions[1], body), expected)


@pytest.fixture(scope="module")
def heads():
    """Policy, V and Q with nothing at zero."""
    fresh = [
        kind(RNG(1), replace(TINY, readout=True)) for kind in (URMAPolicy, URMAValue, URMATwinQ)
    ]
    return tuple(map(literal.randomised, fresh))


def say(heads, observations, actions, bodies):
    """Means, standard deviations, V and Q of each build's samples."""
    policy, value, q = heads
    gaussians = policy.over_robots(observations, bodies)
    values = value.over_robots(observations, bodies)
    twins = q.over_robots(observations, actions, bodies).swapaxes(0, 1)
    cuts = np.cumsum([len(seen.general) for seen in observations])[:-1]
    each = zip(gaussians, jnp.split(values, cuts), jnp.split(twins, cuts), strict=True)
    return [(*gaussian, value, twin) for gaussian, value, twin in each]


def say_alone(heads, observations, actions, own):
    """The same of one robot, sample by sample as if each were a robot of its own."""
    policy, value, q = heads

    def one(seen, action, body):
        seen, action = jax.tree.map(lambda part: part[None], (seen, action))
        mean, std = policy(seen, body)
        return mean[0], std[0], value(seen, body)[0], q(seen, action, body)[:, 0]

    seen, action = jax.tree.map(lambda part: part[0], (observations[0], actions[0]))
    mean, std, values, twins = jax.vmap(one)(seen, action, own)
    return [(mean[None], std[None], values[None], twins.T[None])]


@partial(jax.jit, static_argnums=0)
def answer(saying, heads, observations, actions, bodies):
    """The gradient of all that the heads say of the first robot, and what they say of each."""

    def loss(heads):
        told = saying(heads, observations, actions, bodies)
        mean, std, values, twins = told[0]
        # As often as there are samples, where all have one standard deviation.
        likelihood = jnp.square((actions[0] - mean) / std) + jnp.log(std)
        return likelihood.sum() + jnp.square(values).sum() + jnp.square(twins).sum(), told

    return jax.grad(loss, has_aux=True)(heads)


def assert_near(found, expected):
    """Each head's gradient as one vector, to 1e-5 of its largest entry."""
    for one, other in zip(found, expected, strict=True):
        one, other = (np.concatenate([x.ravel() for x in jax.tree.leaves(g)]) for g in (one, other))
        assert np.abs(one - other).max() <= 1e-5 * np.abs(other).max()


@pytest.fixture(scope="module")
def two():
    """A robot that will be of many bodies, and one that is of one."""
    return literal.bodies(builds=((4, 2), (3, 2)))


def of_table(two, table, ids):
    """Builds in which the first robot's samples are of a table's bodies."""
    observations, actions, bodies = builds_of(two, "apart")
    bodies[0] = Bodies(*map(jnp.asarray, table), jnp.asarray(ids)[None])
    return observations, actions, bodies


def repeated(table, count):
    return type(table)(*(np.stack([part] * count) for part in table))


def test_samples_of_many_bodies_are_those_of_their_own(two, heads):
    observations, (_, steady), actions = two
    drawn = [literal.bodies(seed, builds=((4, 2),))[1][0] for seed in range(10, 13)]
    table = type(steady)(*map(np.stack, zip(*drawn, strict=True)))
    ids = RNG(0).integers(0, 3, 5)
    builds = of_table(two, table, ids)
    own = [type(steady)(*(part[ids] for part in table)), repeated(steady, 5)]
    gradient, answers = answer(say, heads, *builds)
    policy, value, q = heads
    for robot, (means, stds, values, twins) in enumerate(answers):
        stds = np.broadcast_to(stds, means.shape)
        for i, action in enumerate(actions[robot]):
            seen, body = literal.sample(observations[robot], i), literal.sample(own[robot], i)
            mean, std = literal.policy(policy, seen, body)
            np.testing.assert_allclose(means[0, i], mean, **NEAR)
            np.testing.assert_allclose(stds[0, i], std, **NEAR)
            np.testing.assert_allclose(values[0, i], literal.value(value, seen, body), **NEAR)
            twin_q = literal.twin_q(q, seen, action, body)
            np.testing.assert_allclose(twins[0, :, i], twin_q, **NEAR)
    alone, _ = answer(say_alone, heads, *builds[:2], own[0])
    assert_near(gradient, alone)


def test_many_equal_bodies_are_one(two, heads):
    _, (body, _), _ = two
    builds = of_table(two, repeated(body, 3), np.arange(5) % 3)
    one, _ = answer(say_alone, heads, *builds[:2], repeated(body, 5))
    assert_near(answer(say, heads, *builds)[0], one)
