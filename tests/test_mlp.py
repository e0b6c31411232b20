"""Flat networks: a plain MLP in NumPy says the same, and no robot but their own gets an answer."""

from dataclasses import replace

import jax
import literal_urma as literal
import numpy as np
import pytest

from bodyplan.errors import BodyplanError
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.networks.architectures import (
    NAMES,
    architecture_of,
    sizes_from_json,
    sizes_of,
    sizes_to_json,
)
from bodyplan.learn.networks.mlp import FlatPolicy, FlatSizes, FlatTwinQ, FlatValue
from bodyplan.learn.networks.urma import PRESETS
from bodyplan.learn.policy import Policy

SIZES = FlatSizes(joints=4, feet=2, hidden=(16, 8))
ACTIVATIONS = {"relu": lambda x: np.maximum(x, 0.0), "elu": literal.elu, "tanh": np.tanh}
NEAR = {"rtol": 1e-4, "atol": 1e-5}


def rng():
    return np.random.default_rng(1)


def mlp(layers, x, activation="relu"):
    """One row through the layers, in float64."""
    *hidden, last = layers.dense
    for layer in hidden:
        x = ACTIVATIONS[activation](literal.dense(layer, x))
    return literal.dense(last, x)


def row(observation, i, *rest, general=slice(None)):
    parts = (observation.joints[i], observation.feet[i], observation.general[i, general], *rest)
    return np.concatenate([np.float64(part).ravel() for part in parts])


@pytest.fixture(scope="module")
def one():
    """Observations, descriptor and actions of a robot of four joints and two feet."""
    (observation, *_), (descriptor, *_), (action, *_) = literal.bodies()
    return observation, descriptor, action


@pytest.fixture(scope="module")
def other():
    """The same of another build."""
    (_, observation, _), (_, descriptor, _), (_, action, _) = literal.bodies()
    return observation, descriptor, action


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("squash", [None, 2.5])
def test_policy_is_a_plain_mlp(one, activation, squash):
    observation, descriptor, _ = one
    sizes = replace(SIZES, activation=activation, squash=squash)
    policy = literal.randomised(FlatPolicy(rng(), sizes))
    mean, std = policy(observation, descriptor)
    assert std.shape == (1, 4)
    for i in range(len(mean)):
        said = mlp(policy.layers, row(observation, i, general=slice(3, 12)), activation)
        expected = np.clip(said, -10, 10) if squash is None else squash * np.tanh(said)
        np.testing.assert_allclose(mean[i], expected, **NEAR)
    np.testing.assert_allclose(std[0], np.exp(np.float64(policy.log_std)), **NEAR)


def test_policy_starts_near_zero_with_a_spread_of_one_and_keeps_its_bounds(one):
    observation, descriptor, _ = one
    policy = FlatPolicy(rng(), SIZES)
    mean, std = policy(observation, descriptor)
    assert np.abs(mean).max() < 0.1
    np.testing.assert_array_equal(std, 1.0)
    mean, std = jax.tree.map(lambda leaf: leaf + 50.0, policy)(observation, descriptor)
    assert np.abs(mean).max() == 10.0
    np.testing.assert_allclose(std, 2.0, rtol=1e-6)


def test_value_and_twin_q_are_plain_mlps_of_all_that_can_be_observed(one):
    observation, descriptor, action = one
    value = literal.randomised(FlatValue(rng(), SIZES))
    q = literal.randomised(FlatTwinQ(rng(), SIZES))
    values, twins = value(observation, descriptor), q(observation, action, descriptor)
    assert twins.shape == (2, len(action))
    for i in range(len(action)):
        (expected,) = mlp(value.layers, row(observation, i))
        np.testing.assert_allclose(values[i], expected, **NEAR)
        for index in range(2):
            twin = jax.tree.map(lambda leaf, index=index: leaf[index], q.twins)
            (expected,) = mlp(twin, row(observation, i, action[i]))
            np.testing.assert_allclose(twins[index, i], expected, **NEAR)


def heads_said(*robots):
    """What each head answers of a batch of robots, and of one robot alone."""
    builds = literal.in_builds(literal.robot_batches(*zip(*robots, strict=True)))
    seen, bodies = [own.observation for own in builds], [own.bodies for own in builds]
    policy, value, q = (make(rng(), SIZES) for make in architecture_of(SIZES))
    observation, descriptor, action = robots[0]
    return (
        (lambda: policy.over_robots(seen, bodies)[0], lambda: policy(observation, descriptor)),
        (lambda: value.over_robots(seen, bodies), lambda: value(observation, descriptor)),
        (
            lambda: q.over_robots(seen, [own.action for own in builds], bodies).swapaxes(0, 1),
            lambda: q(observation, action, descriptor),
        ),
    )


@pytest.mark.parametrize("head", [0, 1, 2])
def test_a_batch_of_one_robot_is_answered_as_the_robot_is(one, head):
    batch, robot = heads_said(one)[head]
    jax.tree.map(lambda own, alone: np.testing.assert_array_equal(own[0], alone), batch(), robot())


@pytest.mark.parametrize("head", [0, 1, 2])
def test_several_robots_and_other_robots_are_refused(one, other, head):
    with pytest.raises(BodyplanError, match="one robot"):
        heads_said(one, other)[head][0]()
    for said in heads_said(other)[head]:
        with pytest.raises(BodyplanError, match="4 joints"):
            said()


def test_names_stand_for_sizes():
    assert {*NAMES} == {*PRESETS, "flat"}
    assert sizes_of("small", [(12, 4), (18, 6)]) == PRESETS["small"]
    assert sizes_of("flat", [(12, 4)]) == FlatSizes(12, 4, (256, 256))
    with pytest.raises(BodyplanError, match="flat"):
        sizes_of("flat", [(12, 4), (18, 6)])
    with pytest.raises(BodyplanError, match="huge"):
        sizes_of("huge", [(12, 4)])


@pytest.mark.parametrize("sizes", [SIZES, *PRESETS.values()])
def test_cards_name_sizes_and_their_family(sizes):
    card = sizes_to_json(sizes)
    assert card["family"] == ("flat" if sizes is SIZES else "urma")
    listed = {name: list(v) if isinstance(v, tuple) else v for name, v in card.items()}
    assert sizes_from_json(listed) == sizes


def test_cards_without_a_family_are_of_urma():
    card = sizes_to_json(PRESETS["tiny"])
    del card["family"], card["actions"]
    assert sizes_from_json(card) == PRESETS["tiny"]


def test_a_released_policy_acts_after_the_disk_as_before(one, other, tmp_path):
    observation, descriptor, _ = one
    network, _ = IQL().init(rng(), SIZES)
    policy = Policy.of(literal.randomised(network), IQL(), SIZES, robots=["dog"])
    policy.save(tmp_path)
    loaded = Policy.load(tmp_path)
    assert isinstance(loaded.network, FlatPolicy)
    before = policy.act(observation, descriptor)
    np.testing.assert_array_equal(loaded.act(observation, descriptor), before)
    own = type(descriptor)(*(np.stack([part] * len(before)) for part in descriptor))
    np.testing.assert_allclose(loaded.act(observation, own), before, **NEAR)
    with pytest.raises(BodyplanError, match="robot"):
        loaded.act(other[0], other[1])
