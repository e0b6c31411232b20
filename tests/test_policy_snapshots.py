"""Snapshots: what a policy sees and does, and files that are refused."""

import json
import math

import numpy as np
import pytest
from synthetic import COMMAND, synthetic_snapshots

from bodyplan.datasets.policy_snapshots import Snapshots, policy_input, snapshot_path
from bodyplan.envs.walking_task import Observation
from bodyplan.errors import BodyplanError
from bodyplan.storage import write_tensors

RUN = synthetic_snapshots(joints=3, feet=2)


def observations(count, seed=0):
    rng = np.random.default_rng(seed)
    shapes = ((count, 3, 3), (count, 2, 2), (count, 13))
    return Observation(*(rng.normal(size=s).astype(np.float32) for s in shapes))


def by_hand(snapshots, index, senses):
    """The network once more, number by number."""
    tensors = {name: tensor[index].astype(float) for name, tensor in snapshots.tensors.items()}
    mean, std = tensors["observation_mean"], tensors["observation_std"]
    values = [(x - m) / s for x, m, s in zip(senses, mean, std, strict=True)]
    for layer in range(3):
        rows = zip(tensors[f"layers.{layer}.weight"], tensors[f"layers.{layer}.bias"], strict=True)
        values = [sum(w * x for w, x in zip(row, values, strict=True)) + b for row, b in rows]
        if layer < 2:
            values = [x if x > 0 else math.exp(x) - 1 for x in values]
    return values


def test_a_policy_sees_joints_feet_and_neither_velocity_nor_height():
    observation = Observation(
        np.arange(6.0).reshape(1, 2, 3), 10 + np.arange(2.0).reshape(1, 1, 2), np.arange(13.0)[None]
    )
    expected = [0, 1, 2, 3, 4, 5, 10, 11, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    assert policy_input(observation).tolist() == [expected]


@pytest.mark.parametrize("index", [0, 2, -1])
def test_mean_is_the_network_of_the_snapshot(index):
    observation = observations(5)
    means = RUN.policy(index).mean(observation)
    assert means.dtype == np.float32
    for row, senses in zip(means, policy_input(observation), strict=True):
        np.testing.assert_allclose(row, by_hand(RUN, index, senses), rtol=2e-5, atol=1e-5)


def test_means_are_clipped_and_samples_are_not():
    far = {**RUN.tensors, "layers.2.bias": np.full((4, 3), 50.0, np.float16)}
    policy = Snapshots(far, RUN.card).policy(0)
    observation = observations(50)
    assert (policy.mean(observation) == 10.0).all()
    assert policy.sample(observation, np.random.default_rng(0)).max() > 10.0


def test_samples_spread_by_each_joints_standard_deviation():
    spread = np.array([0.1, 0.5, 1.0])
    log_std = np.tile(np.log(spread), (4, 1)).astype(np.float16)
    policy = Snapshots({**RUN.tensors, "log_std": log_std}, RUN.card).policy(1)
    one = Observation(*(np.repeat(part, 20_000, axis=0) for part in observations(1)))
    drawn = policy.sample(one, np.random.default_rng(3))
    np.testing.assert_allclose(drawn.std(axis=0), spread, rtol=0.03)
    np.testing.assert_allclose(drawn.mean(axis=0), policy.mean(one)[0], atol=0.03)


def skipping():
    """The run with a layer that skips the network, of 22 senses and 3 joints."""
    rng = np.random.default_rng(5)
    weight, bias = rng.normal(0.0, 2.0, (3, 22)), rng.normal(size=3)
    skip = {"skip.weight": weight.astype(np.float32), "skip.bias": bias.astype(np.float32)}
    return Snapshots(RUN.tensors | skip, RUN.card)


def test_a_skip_layer_adds_to_the_mean_and_bounds_the_sum():
    run, observation = skipping(), observations(50)
    senses, skip = policy_input(observation).astype(float), run.tensors
    added = senses @ skip["skip.weight"].T.astype(float) + skip["skip.bias"]
    own = RUN.policy(2).mean(observation)
    together = run.policy(2).mean(observation)
    np.testing.assert_allclose(together, np.clip(own + added, -10.0, 10.0), rtol=1e-4, atol=1e-4)
    assert (np.abs(together) == 10.0).any()
    assert (np.abs(together) < 10.0).any()


def test_samples_with_a_skip_layer_are_those_without_and_the_layer():
    run, observation = skipping(), observations(50)
    drawn, own = (r.policy(1).sample(observation, np.random.default_rng(3)) for r in (run, RUN))
    weight, bias = run.tensors["skip.weight"], run.tensors["skip.bias"]
    together = np.clip(own + policy_input(observation) @ weight.T + bias, -10.0, 10.0)
    np.testing.assert_allclose(drawn, together, rtol=1e-4, atol=1e-4)


def test_a_skip_layer_is_saved_as_it_is_and_refused_in_part(tmp_path):
    run, path = skipping(), tmp_path / "run.safetensors"
    run.save(path)
    loaded = Snapshots.read(path)
    for name in ("skip.weight", "skip.bias"):
        np.testing.assert_array_equal(loaded.tensors[name], run.tensors[name])
    half = {name: tensor for name, tensor in run.tensors.items() if name != "skip.bias"}
    write_tensors(path, half, {"card": json.dumps(RUN.card)})
    with pytest.raises(BodyplanError, match="skip.bias"):
        Snapshots.read(path)
    write_tensors(path, half | {"skip.bias": np.zeros(2)}, {"card": json.dumps(RUN.card)})
    with pytest.raises(BodyplanError, match="skip.bias has shape"):
        Snapshots.read(path)


def test_text_is_short():
    assert repr(RUN) == "Snapshots('dog', 'forward', 4 policies, up to step 400)"
    assert repr(RUN.policy(0)) == "SnapshotPolicy(22 -> 8 -> 8 -> 3)"


def test_the_same_policies_stand_under_another_command():
    other = RUN.with_command((-1.0, 0.0, 0.0))
    assert (other.command, RUN.command) == ((-1.0, 0.0, 0.0), COMMAND)
    assert other.tensors is RUN.tensors


def test_saved_and_loaded_again(tmp_path):
    RUN.save(snapshot_path("dog", COMMAND, tmp_path))
    assert (tmp_path / "dog" / "forward.safetensors").is_file()
    loaded = Snapshots.load("dog", COMMAND, tmp_path)
    assert (loaded.robot, loaded.command, len(loaded)) == ("dog", COMMAND, 4)
    assert (loaded.steps, loaded.return_mean) == ((100, 200, 300, 400), (5.0, 10.0, 40.0, 50.0))
    assert loaded.sizes == (22, 3)
    for name, tensor in RUN.tensors.items():
        np.testing.assert_array_equal(loaded.tensors[name], tensor)


def test_unknown_run_names_the_command_that_makes_one(tmp_path):
    with pytest.raises(BodyplanError, match=r"experts train cat --command 0\.5,0,1"):
        Snapshots.load("cat", (0.5, 0.0, 1.0), tmp_path)


@pytest.mark.parametrize(
    ("tensors", "card", "message"),
    [
        ({"layers.1.bias": np.zeros((4, 7), np.float16)}, {}, "layers.1.weight has shape"),
        ({"log_std": np.zeros((3, 3), np.float16)}, {}, "log_std has shape"),
        ({"log_std": np.full((4, 3), np.nan, np.float16)}, {}, "log_std holds NaN"),
        ({"observation_std": np.zeros((4, 22), np.float32)}, {}, "not positive"),
        ({"observation_mean": np.float32(1.0)}, {}, "invalid"),
        ({}, {"steps": [100, 200, 200, 300]}, "steps do not rise"),
        ({}, {"steps": [100, 200]}, "steps and returns"),
        ({}, {"return_mean": [1.0, 2.0, 3.0, float("nan")]}, "invalid"),
        ({}, {"return_mean": None}, "return_mean is null"),
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path, tensors, card, message):
    path = tmp_path / "run.safetensors"
    write_tensors(path, RUN.tensors | tensors, {"card": json.dumps(RUN.card | card)})
    with pytest.raises(BodyplanError, match=rf"run.safetensors.*{message}"):
        Snapshots.read(path)


def test_missing_tensor_or_card_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    write_tensors(path, RUN.tensors, {})
    with pytest.raises(BodyplanError, match="'card'"):
        Snapshots.read(path)
    rest = {name: tensor for name, tensor in RUN.tensors.items() if name != "log_std"}
    write_tensors(path, rest, {"card": json.dumps(RUN.card)})
    with pytest.raises(BodyplanError, match="'log_std'"):
        Snapshots.read(path)
