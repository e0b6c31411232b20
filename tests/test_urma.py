"""The encoder and core against a literal forward pass, and the figures of the paper's network."""

import jax
import jax.numpy as jnp
import literal_urma as literal
import numpy as np
import pytest

from bodyplan.learn.networks.layers import LayerNorm, elu, lecun_normal, orthogonal
from bodyplan.learn.networks.urma import PRESETS, SetEncoder, Torso
from bodyplan.learn.networks.urma_heads import URMAPolicy

TINY = PRESETS["tiny"]


def core_of(torso, observations, descriptors, actions, layout="apart"):
    builds = literal.in_builds(literal.robot_batches(observations, descriptors, actions), layout)
    seen, bodies = [own.observation for own in builds], [own.bodies for own in builds]
    return jax.jit(lambda: torso(seen, [own.general for own in seen], bodies))().core


@pytest.mark.parametrize("layout", ["apart", "padded"])
def test_torso_is_the_literal_encoder_and_core(layout):
    torso = literal.randomised(Torso(np.random.default_rng(1), TINY, TINY.core, general=13))
    observations, descriptors, actions = literal.bodies()
    expected = [
        literal.core(torso, literal.sample(observation, i), observation.general[i], descriptor)
        for observation, descriptor in zip(observations, descriptors, strict=True)
        for i in range(len(observation.general))
    ]
    found = core_of(torso, observations, descriptors, actions, layout)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_attention_is_over_the_channels_of_each_joint():
    encoder = SetEncoder(np.random.default_rng(0), 23, 3, channels=8, width=4)
    descriptions = np.random.default_rng(1).normal(size=(5, 23)).astype(np.float32)
    attention = jax.jit(lambda: encoder.attention(descriptions))()
    np.testing.assert_allclose(attention.sum(axis=1), np.ones(5), rtol=1e-5)
    assert np.ptp(attention.sum(axis=0)) > 0.01
    # logits are tanh values and the temperature starts at one: no weight beats another by e^2
    assert attention.max() / attention.min() <= np.exp(2.0)


def test_paper_policy_has_the_published_number_of_parameters():
    policy = URMAPolicy(np.random.default_rng(0), PRESETS["paper"])
    assert sum(leaf.size for leaf in jax.tree.leaves(policy)) == 431_648


def test_a_body_without_feet_is_a_body():
    torso = Torso(np.random.default_rng(1), TINY, TINY.core, general=13)
    robots = literal.bodies(builds=((4, 0),))
    (observation,), (descriptor,), _ = robots
    expected = [
        literal.core(torso, literal.sample(observation, i), observation.general[i], descriptor)
        for i in range(5)
    ]
    np.testing.assert_allclose(core_of(torso, *robots), expected, rtol=1e-4, atol=1e-5)


def test_elu_and_its_derivative():
    x = jnp.linspace(-6.0, 6.0, 101)
    np.testing.assert_allclose(elu(x), jax.nn.elu(x), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(jax.vmap(jax.grad(elu))(x), np.where(x > 0, 1, np.exp(x)), rtol=1e-4)


def test_layer_norm_uses_flax_epsilon():
    x = jnp.array([0.0, 2e-3])
    expected = (x - 1e-3) / np.sqrt(1e-6 + 1e-6)
    np.testing.assert_allclose(LayerNorm(2)(x), expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(40, 16), (16, 40)])
def test_orthogonal_weights_keep_lengths(shape):
    weight = orthogonal(2**0.5)(np.random.default_rng(0), *shape)
    small = weight.T @ weight if shape[0] > shape[1] else weight @ weight.T
    np.testing.assert_allclose(small, 2.0 * np.eye(16), atol=1e-6)


def test_lecun_normal_is_cut_at_two_deviations_and_keeps_its_variance():
    weight = lecun_normal(np.random.default_rng(0), 100, 2000)
    assert weight.std() == pytest.approx(0.1, rel=0.01)
    assert np.abs(weight).max() <= 2.0 * 0.1 / 0.8796 + 1e-6
