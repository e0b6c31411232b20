"""Critics against what is known: exact values, made-up weights, and a run that converges."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from synthetic import write_dataset

from bodyplan.errors import BodyplanError
from bodyplan.experiments.pretraining import train
from bodyplan.learn.algorithms.algorithm import Algorithm, Judgement
from bodyplan.learn.algorithms.bc import BC
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.algorithms.td3_bc import TD3BC
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.critic_check import (
    CriticCheck,
    compare_with_returns,
    convergence_warning,
    covered_share,
    step_phases,
)
from bodyplan.learn.data.batch_loader import BatchLoader
from bodyplan.learn.data.discounted_returns import discounted_returns, known_returns
from bodyplan.learn.data.training_data import TrainingData
from bodyplan.storage import read_array, read_json, write_array

ROBOTS = {"dog": (3, 2), "crab": (4, 2)}


@dataclass(frozen=True, kw_only=True)
class Opinion(Algorithm):
    """Thinks of a transition what can be seen in it."""

    gamma: float = 0.9
    factor: float = 2.0

    def init(self, rng, sizes):
        raise NotImplementedError

    def critic_update(self, critic, actor, batch, key):
        raise NotImplementedError

    def actor_losses(self, actor, critic, batch, key):
        raise NotImplementedError

    def judge(self, critic, actor, batch, key):
        first = jnp.concatenate([action[..., 0] for action in batch.actions])
        return Judgement(q=self.factor * batch.rewards, value=first, weight=jnp.square(first))


class State(NamedTuple):
    actor: NamedTuple
    critic: tuple
    key: jax.Array


class Actor(NamedTuple):
    policy: tuple


STATE = State(Actor(()), (), jax.random.PRNGKey(0))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Of the dog two phases are known."""
    place = tmp_path_factory.mktemp("phases")
    dataset = write_dataset(place, ROBOTS, steps=2400, length=100)
    card = read_json(place / "card.json")
    card["robots"]["dog"]["segments"] = [
        {"snapshot": 0, "steps": 1600, "phase": "early"},
        {"snapshot": 1, "steps": 800, "phase": "late"},
    ]
    return replace(dataset, card=card)


def check_of(dataset, **options):
    data = TrainingData.of(dataset, **options)
    return CriticCheck(data, BatchLoader.of(data, 8), dataset.card["robots"])


def test_values_are_held_against_the_returns_that_followed(dataset):
    told = check_of(dataset, reward_scale="per_robot")(Opinion(), STATE)
    scales = TrainingData.of(dataset, "per_robot").reward_scales
    for robot, (episodes, scale) in enumerate(zip(dataset.episodes.values(), scales, strict=True)):
        known = known_returns(episodes, 0.9)
        returns = scale * discounted_returns(episodes, 0.9)[known]
        q = 2.0 * scale * episodes.rewards[known].astype(float)
        assert told["training_data/return"][robot] == pytest.approx(returns.mean(), rel=0.03)
        assert told["training_data/q_share"][robot] == pytest.approx(
            q.mean() / returns.mean(), rel=0.05
        )
        bias = (q - returns).mean()
        assert told["training_data/q_bias"][robot] == pytest.approx(bias, rel=0.05)
        expected = np.corrcoef(q, returns)[0, 1]
        assert told["training_data/q_correlation"][robot] == pytest.approx(expected, abs=0.1)


def test_numbers_are_heeded(dataset):
    check = check_of(dataset)
    one, two = (check(Opinion(factor=factor), STATE) for factor in (1.0, 2.0))
    np.testing.assert_allclose(
        two["training_data/q_share"], 2.0 * one["training_data/q_share"], rtol=1e-6
    )
    longer = check(Opinion(gamma=0.95), STATE)
    assert (longer["training_data/return"] > 1.5 * one["training_data/return"]).all()


def test_weights_are_told_by_the_phase_of_the_data(dataset):
    told = check_of(dataset)(Opinion(), STATE)
    actions = np.square(dataset.episodes["dog"].actions[:, 0])
    early, late = actions[:1600].mean(), actions[1600:].mean()
    dog = list(dataset.robots).index("dog")
    assert told["actor/weight_early"][dog] == pytest.approx(early, rel=0.2)
    assert told["actor/weight_late"][dog] == pytest.approx(late, rel=0.3)
    ratio = told["actor/weight_late"] / told["actor/weight_early"]
    np.testing.assert_array_equal(told["actor/late_preference"], ratio)
    assert np.isnan(ratio[1 - dog])  # of the crab all is of one phase
    assert not any("unknown" in name for name in told)


def test_what_is_not_known_is_not_told(dataset):
    """Episodes of 100 steps do not tell what 0.999 discounts, and BC has no opinion."""
    told = check_of(dataset)(Opinion(gamma=0.9999), STATE)
    assert not any(name.startswith("training_data") for name in told)
    assert check_of(dataset)(BC(), STATE) == {}


def test_exact_values_have_covered_all_of_the_way():
    """A chain of four states that earns at its end: V = gamma^3, gamma^2, gamma, 1."""
    values = np.array([[0.9**3, 0.9**2, 0.9, 1.0]])
    told = compare_with_returns(values, values)
    assert told["bias"] == 0.0
    assert told["share"] == pytest.approx(1.0)
    assert told["correlation"] == pytest.approx(1.0)
    half = compare_with_returns(values / 2.0, values)
    assert half["share"] == pytest.approx(0.5)
    assert half["correlation"] == pytest.approx(1.0)
    assert half["bias"] == pytest.approx(-values.mean() / 2.0)
    flat = compare_with_returns(np.ones((1, 4)), values)
    assert np.isnan(flat["correlation"]).all()
    assert np.isnan(compare_with_returns(values, np.zeros((1, 4)))["share"]).all()


def test_steps_have_the_phase_of_their_segment():
    segments = [{"phase": "early", "steps": 2}, {"phase": "late", "steps": 1}]
    rows = np.array([2, 0, 1])
    assert step_phases(segments, rows).tolist() == ["late", "early", "early"]
    assert step_phases((), rows).tolist() == ["unknown"] * 3


@pytest.mark.parametrize(("tau", "gamma", "updates"), [(0.01, 0.99, 2000), (0.005, 0.97, 5000)])
def test_the_covered_share_is_that_of_targets_that_follow(tau, gamma, updates):
    """v <- (1 - tau) v + tau (r + gamma v), whose fixed point is r / (1 - gamma)."""
    value = 0.0
    for _ in range(updates):
        value = (1.0 - tau) * value + tau * (0.3 + gamma * value)
    covered = value / (0.3 / (1.0 - gamma))
    assert covered_share(IQL(tau=tau, gamma=gamma), updates) == pytest.approx(covered, rel=1e-3)
    assert covered_share(TD3BC(tau=tau, gamma=gamma), 2 * updates) == pytest.approx(
        covered, rel=1e-3
    )


def test_short_runs_are_told_and_long_ones_are_not():
    assert "18 %" in convergence_warning(IQL(tau=0.01), 2000)
    assert convergence_warning(IQL(tau=0.01), 30_000) is None
    assert convergence_warning(BC(), 10) is None
    assert covered_share(BC(), 10) is None


@pytest.fixture(scope="module")
def constant(tmp_path_factory):
    """Data in which every step of every robot earns 0.1, whatever it does, and nobody falls."""
    place = tmp_path_factory.mktemp("constant")
    write_dataset(place / "data", ROBOTS, steps=800)
    for robot in ROBOTS:
        folder = place / "data" / robot
        for name, value in (("rewards", 0.1), ("terminated", False)):
            array = np.array(read_array(folder / f"{name}.npy"))
            write_array(folder / f"{name}.npy", np.full_like(array, value))
        ends = np.array(read_array(folder / "episode_ends.npy"))
        cut = np.zeros(ends[-1], bool)
        cut[ends - 1] = True
        write_array(folder / "truncated.npy", cut)
    return place


@pytest.mark.slow
def test_critics_that_converge_have_covered_their_way(constant):
    """V = 0.1 / (1 - gamma) everywhere; a recorded return lacks at most a twentieth of it."""
    config = TrainConfig(
        data=constant / "data",
        out=constant / "run",
        algorithm=IQL(gamma=0.7, tau=0.2, expectile=0.5, learning_rate=3e-3),
        network="tiny",
        batch_size=16,
        updates=300,
        log_every=20,
        checkpoint_every=20,
        held_out=0.2,
        verify=False,  # the data are changed after their checksums
    )
    first, *_, last = train(config).metrics
    assert first["critic/covered"] == pytest.approx(1.0 - np.exp(-1.2))
    assert last["critic/covered"] > 0.99
    for robot in ROBOTS:
        assert last[f"held_out/return/{robot}"] == pytest.approx(0.1 / 0.3, rel=0.05)
        for name in ("q", "v"):
            assert last[f"held_out/{name}_share/{robot}"] == pytest.approx(1.0, abs=0.15)
    assert first["held_out/v_share"] < 0.5
    assert {name for name in last if "clipped" in name} >= {
        *("critic/v_clipped", "critic/q_clipped", "actor/clipped")
    }


def test_whole_episodes_are_held_out_and_never_sampled(constant):
    dataset = write_dataset(constant / "some", ROBOTS, steps=400)
    data = TrainingData.of(dataset, held_out=0.3)
    for episodes, held_out in zip(data.episodes, data.held_out, strict=True):
        pieces = np.split(held_out, episodes.episode_ends[:-1])
        assert all(piece.all() or not piece.any() for piece in pieces)
        assert sum(piece.all() for piece in pieces) == 3  # of ten
    loader = BatchLoader.of(data, 64)
    seen = np.concatenate([loader.rows(np.array([0, 1], np.uint32), u) for u in range(40)], axis=1)
    for rows, held_out in zip(seen, data.held_out, strict=True):
        assert not held_out[rows].any()
        assert set(rows) == set(np.flatnonzero(~held_out))  # and all others are
    (again,) = {tuple(np.flatnonzero(TrainingData.of(dataset, held_out=0.3).held_out[0]))}
    assert again == tuple(np.flatnonzero(data.held_out[0]))


def test_a_robot_of_one_episode_has_none_to_hold_out(constant):
    dataset = write_dataset(constant / "one", {"dog": (3, 2)}, steps=40, length=40)
    with pytest.raises(BodyplanError, match="held_out"):
        TrainingData.of(dataset, held_out=0.1)
