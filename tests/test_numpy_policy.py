"""Policies in NumPy: they act as JAX does, whatever network, algorithm or body, and without JAX."""

import json
import subprocess
import sys
from dataclasses import replace

import jax
import literal_urma as literal
import numpy as np
import pytest

from bodyplan.envs.environment import Environment
from bodyplan.envs.walking_task import Observation
from bodyplan.errors import BodyplanError
from bodyplan.learn.algorithms.bc import BC
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.algorithms.td3_bc import TD3BC
from bodyplan.learn.data.normalisation import ObservationScale
from bodyplan.learn.networks.architectures import architecture_of
from bodyplan.learn.networks.mlp import FlatSizes
from bodyplan.learn.networks.urma import PRESETS
from bodyplan.learn.numpy_policy import ACTION_LIMITS, NumPyPolicy
from bodyplan.learn.policy import Policy
from bodyplan.learn.registry import ALGORITHMS

BUILD = (6, 4)
FLAT = FlatSizes(*BUILD, hidden=(16, 16))


def trained(sizes, algorithm, scale=None):
    """A policy whose every weight was moved, but too little for actions at their limits."""
    network = architecture_of(sizes).policy(np.random.default_rng(0), sizes)
    return Policy.of(literal.randomised(network, size=0.07), algorithm, sizes, scale)


def jax_actions(policy, observation, descriptor):
    """What the algorithm does with the network, by JAX, for copies of one body."""
    return np.asarray(policy.algorithm.act(policy.network, observation, descriptor))


def assert_close(actions, expected):
    assert actions.dtype == np.float32
    np.testing.assert_allclose(actions, expected, rtol=1e-5, atol=1e-5)
    assert np.ptp(expected) > 0.1


@pytest.fixture
def loaded(tmp_path):
    def save_and_load(policy):
        policy.save(tmp_path)
        return NumPyPolicy.load(tmp_path)

    return save_and_load


@pytest.mark.parametrize(
    ("preset", "kind"),
    [
        *((preset, "iql") for preset in PRESETS),
        *(("tiny", kind) for kind in ACTION_LIMITS if kind != "iql"),
    ],
)
def test_every_preset_and_algorithm_acts_as_with_jax(loaded, preset, kind):
    policy = trained(PRESETS[preset], ALGORITHMS.make(kind))
    (observation,), (descriptor,), _ = literal.bodies(builds=(BUILD,))
    expected = jax_actions(policy, observation, descriptor)
    assert_close(loaded(policy).act(observation, descriptor), expected)
    assert_close(policy.act(observation, descriptor), expected)


def test_a_robot_may_have_no_feet(loaded):
    policy = trained(PRESETS["tiny"], IQL())
    (observation,), (descriptor,), _ = literal.bodies(builds=((3, 0),))
    expected = jax_actions(policy, observation, descriptor)
    assert_close(loaded(policy).act(observation, descriptor), expected)


@pytest.mark.parametrize(
    "sizes",
    [
        FLAT,
        replace(FLAT, activation="elu", hidden=(8,)),
        replace(FLAT, activation="tanh", squash=2.0),
    ],
    ids=["relu", "elu", "squashed"],
)
@pytest.mark.parametrize("algorithm", [IQL(), TD3BC(max_action=3.0)], ids=["iql", "td3_bc"])
def test_flat_networks_act_as_with_jax(loaded, sizes, algorithm):
    policy = trained(sizes, algorithm)
    (observation,), (descriptor,), _ = literal.bodies(builds=(BUILD,))
    expected = jax_actions(policy, observation, descriptor)
    assert_close(loaded(policy).act(observation, descriptor), expected)


def test_many_copies_are_acted_for_as_few_are():
    policy = trained(PRESETS["tiny"], IQL())
    (observation,), (descriptor,), _ = literal.bodies(builds=(BUILD,), batch=300)
    actions = policy.act(observation, descriptor)
    assert_close(actions, jax_actions(policy, observation, descriptor))


@pytest.mark.parametrize("preset", ["tiny", "small"])
def test_bodies_that_differ_are_each_acted_for(loaded, preset):
    policy = trained(PRESETS[preset], TD3BC())
    (observation,), _, _ = literal.bodies(builds=(BUILD,))
    own = [literal.bodies(seed, builds=(BUILD,))[1][0] for seed in range(len(observation.general))]
    together = type(own[0])(*map(np.stack, zip(*own, strict=True)))
    one = [literal.sample(observation, np.s_[index : index + 1]) for index in range(len(own))]
    expected = [jax_actions(policy, seen, body)[0] for seen, body in zip(one, own, strict=True)]
    assert_close(loaded(policy).act(observation, together), expected)


def test_a_scale_of_observations_comes_first(loaded):
    rng = np.random.default_rng(0)
    mean, std = (
        Observation(*(rng.uniform(0.5, 2.0, width).astype(np.float32) for width in (3, 2, 13)))
        for _ in range(2)
    )
    scale = ObservationScale(mean, std)
    policy = trained(PRESETS["tiny"], IQL(), scale)
    (observation,), (descriptor,), _ = literal.bodies(builds=(BUILD,))
    expected = jax_actions(policy, scale(observation), descriptor)
    assert_close(loaded(policy).act(observation, descriptor), expected)


def test_a_walking_robot_is_acted_for_as_with_jax(load):
    robot = load("unitree_go1")
    policy = trained(PRESETS["small"], IQL())
    environment = Environment(robot, num_envs=3, initial_state="random")
    for _ in range(5):
        seen = environment.observation
        actions = policy.act(seen, environment.descriptor)
        assert_close(actions, jax_actions(policy, seen, robot.descriptor))
        environment.step(actions)


def test_a_body_is_known_by_its_content(loaded):
    policy = loaded(trained(PRESETS["tiny"], IQL()))
    (observation,), (descriptor,), _ = literal.bodies(builds=(BUILD,))
    before = policy.act(observation, descriptor)
    descriptor.context[:] += 1.0
    changed = policy.act(observation, descriptor)
    assert (before != changed).any()
    for seed in range(100):  # more bodies than it remembers
        policy.act(observation, literal.bodies(seed + 1, builds=(BUILD,))[1][0])
    np.testing.assert_array_equal(policy.act(observation, descriptor), changed)


class Halved(IQL):
    """Acts in a way of its own."""

    def act(self, actor, observation, descriptor):
        return 0.5 * super().act(actor, observation, descriptor)


class Renamed(BC):
    """Acts by the mean, as algorithms do by default."""


@pytest.mark.parametrize("kind", [Halved, Renamed])
def test_other_algorithms_act_as_they_say(tmp_path, kind):
    policy = trained(PRESETS["tiny"], kind())
    (observation,), (descriptor,), _ = literal.bodies(builds=(BUILD,))
    expected = jax_actions(policy, observation, descriptor)
    assert_close(policy.act(observation, descriptor), expected)
    policy.save(tmp_path)
    assert NumPyPolicy.load(tmp_path) is None  # only JAX knows what they do


def test_all_algorithms_of_the_package_are_known():
    assert set(ACTION_LIMITS) == set(ALGORITHMS.builtin)


def test_a_flat_network_refuses_another_robot(loaded):
    policy = loaded(trained(FLAT, IQL()))
    (observation,), (descriptor,), _ = literal.bodies(builds=((4, 2),))
    with pytest.raises(BodyplanError, match="6 joints"):
        policy.act(observation, descriptor)


@pytest.mark.parametrize("change", [{"parameters": 7}, {"network": {"family": "flat"}}])
def test_a_card_of_another_policy_is_refused(tmp_path, change):
    trained(PRESETS["tiny"], IQL()).save(tmp_path)
    card = tmp_path / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | change))
    with pytest.raises(BodyplanError, match="belong") as error:
        NumPyPolicy.load(tmp_path)
    assert str(card) in str(error.value)


def test_nothing_of_jax_is_loaded(tmp_path):
    trained(PRESETS["tiny"], TD3BC()).save(tmp_path)
    program = (
        "import sys; from bodyplan.evaluation.evaluate import evaluate; "
        f"evaluate({str(tmp_path)!r}, 'unitree_h1', 'forward', episodes=1); "
        "print({'jax', 'equinox', 'optax'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr


def test_policies_may_be_copied(copied):
    policy = trained(PRESETS["tiny"], IQL())
    (observation,), (descriptor,), _ = literal.bodies(builds=(BUILD,))
    expected = policy.act(observation, descriptor)
    again = copied(NumPyPolicy(dict(tensors(policy)), policy.card))
    np.testing.assert_array_equal(again.act(observation, descriptor), expected)


def tensors(policy):
    leaves = jax.tree_util.tree_leaves_with_path(policy.network)
    for path, leaf in leaves:
        yield jax.tree_util.keystr(path, simple=True, separator="."), np.asarray(leaf)
