"""The released policy: it acts after the disk as before, on bodies it has never seen."""

import json
import re

import literal_urma as literal
import numpy as np
import pytest

from bodyplan.envs.walking_task import Observation
from bodyplan.errors import BodyplanError
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.data.normalisation import ObservationScale
from bodyplan.learn.networks.urma import PRESETS
from bodyplan.learn.networks.urma_heads import URMAPolicy
from bodyplan.learn.numpy_policy import NumPyPolicy
from bodyplan.learn.policy import Policy
from bodyplan.storage import read_json, read_tensors, write_json, write_tensors


@pytest.fixture(scope="module")
def policy():
    network = literal.randomised(URMAPolicy(np.random.default_rng(0), PRESETS["tiny"]))
    algorithm = IQL(beta=1.5)
    return Policy.of(network, algorithm, PRESETS["tiny"], robots=["dog"], update=3)


@pytest.fixture
def folder(policy, tmp_path):
    policy.save(tmp_path / "run" / "policy")
    return tmp_path / "run"


def test_it_acts_with_the_mean_of_any_body(policy):
    observations, descriptors, _ = literal.bodies(builds=((4, 2), (3, 0)))
    for observation, descriptor in zip(observations, descriptors, strict=True):
        actions = policy.act(observation, descriptor)
        assert isinstance(actions, np.ndarray)
        expected = [
            literal.policy(policy.network, literal.sample(observation, i), descriptor)[0]
            for i in range(len(actions))
        ]
        np.testing.assert_allclose(actions, expected, rtol=1e-4, atol=1e-5)


def test_each_robot_may_have_a_body_of_its_own(policy):
    (observation, *_), _, _ = literal.bodies()
    bodies = [literal.bodies(seed=seed)[1][0] for seed in range(len(observation.general))]
    together = type(bodies[0])(*map(np.stack, zip(*bodies, strict=True)))
    actions = policy.act(observation, together)
    for index, body in enumerate(bodies):
        alone = policy.act(observation, body)[index]
        np.testing.assert_allclose(actions[index], alone, rtol=1e-5, atol=1e-6)
    assert len(np.unique(actions.round(6), axis=0)) == len(bodies)


def test_it_scales_what_it_sees_as_in_training(policy, tmp_path):
    (observation, *_), (descriptor, *_), _ = literal.bodies()
    rng = np.random.default_rng(0)
    mean, spread = (
        Observation(*(rng.uniform(0.1, 2.0, width).astype(np.float32) for width in (3, 2, 13)))
        for _ in range(2)
    )
    scale = ObservationScale(mean, spread)
    scaled = Policy.of(policy.network, policy.algorithm, PRESETS["tiny"], scale)
    scaled.save(tmp_path)
    by_hand = Observation(
        *((np.asarray(o) - m) / s for o, m, s in zip(observation, mean, spread, strict=True))
    )
    np.testing.assert_array_equal(
        Policy.load(tmp_path).act(observation, descriptor),
        policy.act(by_hand, descriptor),
    )


@pytest.mark.parametrize("place", ["", "policy"])
def test_run_or_policy_folder_load_the_same(policy, folder, place):
    loaded = Policy.load(folder / place)
    (observation, *_), (descriptor, *_), _ = literal.bodies()
    np.testing.assert_array_equal(
        loaded.act(observation, descriptor), policy.act(observation, descriptor)
    )
    assert loaded.algorithm == IQL(beta=1.5)
    assert loaded.card == json.loads((folder / "policy" / "card.json").read_text())
    assert loaded.card["robots"] == ["dog"]
    assert loaded.card["parameters"] == 2220


def test_equal_policies_are_equal_files(policy, folder, tmp_path):
    policy.save(tmp_path / "again")
    for name in ("policy.safetensors", "card.json"):
        again = (tmp_path / "again" / name).read_bytes()
        assert again == (folder / "policy" / name).read_bytes()


def test_where_there_is_no_policy_it_is_said(tmp_path):
    with pytest.raises(BodyplanError, match="policy"):
        Policy.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"format": 99}, "format 99"),
        ({"algorithm": "alchemy"}, "alchemy"),
        ({"network": {"core": [1, 2, 3], "critic_core": [1, 2, 3], "colour": 4}}, "colour"),
    ],
)
def test_a_strange_card_is_refused(folder, change, word):
    card = folder / "policy" / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | change))
    with pytest.raises(BodyplanError, match=word) as error:
        Policy.load(folder)
    assert str(card) in str(error.value)


def test_damaged_tensors_are_named(folder):
    tensors = folder / "policy" / "policy.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:100])
    with pytest.raises(BodyplanError) as error:
        Policy.load(folder)
    assert str(tensors) in str(error.value)


@pytest.mark.parametrize("reader", [Policy, NumPyPolicy])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("joint_channels", 10**12),
        ("core", [16, 16, 10**9]),
        ("description", -1),
        ("decoder", "16"),
        ("readout", True),
        ("family", "transformer"),
    ],
)
def test_sizes_that_are_not_the_tensors_are_refused_before_they_are_built(
    tmp_path, reader, name, value
):
    sizes = PRESETS["tiny"]
    network = URMAPolicy(np.random.default_rng(0), sizes)
    Policy.of(network, IQL(), sizes).save(tmp_path)
    card = read_json(tmp_path / "card.json")
    write_json(tmp_path / "card.json", card | {"network": card["network"] | {name: value}})
    with pytest.raises(BodyplanError, match=re.escape(str(tmp_path))):
        reader.load(tmp_path)


@pytest.mark.parametrize("reader", [Policy, NumPyPolicy])
def test_parameters_that_are_no_numbers_are_refused(tmp_path, reader):
    sizes = PRESETS["tiny"]
    Policy.of(URMAPolicy(np.random.default_rng(0), sizes), IQL(), sizes).save(tmp_path)
    tensors, _ = read_tensors(tmp_path / "policy.safetensors")
    name = min(tensors)
    write_tensors(
        tmp_path / "policy.safetensors", tensors | {name: np.full_like(tensors[name], np.nan)}, {}
    )
    with pytest.raises(BodyplanError, match="NaN"):
        reader.load(tmp_path)
