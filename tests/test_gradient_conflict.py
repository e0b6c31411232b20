"""Gradient conflict: what is measured in training, after it, and what it comes to."""

import shutil
from dataclasses import dataclass, replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from synthetic import write_dataset

from bodyplan.cli import main
from bodyplan.errors import BodyplanError
from bodyplan.experiments.pretraining import train
from bodyplan.learn.algorithms.td3_bc import TD3BC
from bodyplan.learn.combiners.gradient_surgery import robot_gradients
from bodyplan.learn.combiners.pcgrad import PCGrad
from bodyplan.learn.combiners.pooled import Pooled
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.conflicts import Conflicts
from bodyplan.learn.data.batch_loader import MEASURING
from bodyplan.learn.gradient_conflict import ConflictMeter
from bodyplan.learn.measure_conflict import measure_conflicts
from bodyplan.learn.run import Run
from bodyplan.learn.training_setup import TrainingSetup

ROBOTS = {"crab": (4, 2), "dog": (3, 2), "ant": (4, 2)}
"""All in one build, in which one lacks a joint."""
UPDATES = 12


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("conflict")
    write_dataset(place / "data", ROBOTS, steps=300)
    write_dataset(place / "other", ROBOTS, steps=300, seed=1)
    return place


def config_for(place, name, **change):
    settings = {
        "data": place / "data",
        "out": place / name,
        "algorithm": "bc",
        "network": "tiny",
        "batch_size": 16,
        "updates": UPDATES,
        "log_every": 2,
        "checkpoint_every": 6,
        "conflicts_every": 4,
    }
    return TrainConfig(**{**settings, **change})


@pytest.fixture(scope="module")
def run(place):
    return train(config_for(place, "run"))


@pytest.fixture(scope="module")
def unmeasured(place):
    return train(config_for(place, "unmeasured", conflicts_every=0))


@pytest.mark.parametrize(
    "algorithm",
    [
        pytest.param("iql", marks=pytest.mark.slow),
        pytest.param("td3_bc", marks=pytest.mark.slow),
        TD3BC(q_scale="robot"),
    ],
    ids=["iql", "td3_bc", "td3_bc by robot"],
)
def test_robots_gradients_sum_to_the_pooled_one(place, algorithm):
    setup = TrainingSetup.of(config_for(place, "none", algorithm=algorithm))
    algorithm, loader = setup.learner.algorithm, setup.loader()
    key, state = jax.random.PRNGKey(1), setup.initial_state(0)
    with jax.enable_x64(True):
        state, batch = jax.tree.map(
            lambda leaf: leaf.astype(float) if eqx.is_inexact_array(leaf) else leaf,
            (state, loader.table.unpack(loader.batch(np.array(key), 0))),
        )

        @jax.jit
        def both(state, batch):
            policy, critic = state.actor.policy, state.critic
            _, aux, _ = algorithm.critic_update(critic, policy, batch, key)
            batch = batch._replace(aux=aux)

            def loss(policy):
                return algorithm.actor_losses(policy, critic, batch, key)[0].sum()

            each = robot_gradients(algorithm, policy, critic, batch, key).gradients
            pooled = jax.grad(loss)(policy)
            return each, ravel_pytree(pooled)[0]

        each, whole = map(np.asarray, both(state, batch))
    assert each.shape == (3, len(whole))
    np.testing.assert_allclose(each.sum(axis=0), whole, atol=1e-6 * float(np.abs(whole).max()))


@dataclass(frozen=True, kw_only=True)
class FrozenCritic(TD3BC):
    """TD3+BC whose critics do not learn, which spares their part of the program."""

    def critic_update(self, critic, actor, batch, key):
        return critic, (), {}


@dataclass(frozen=True)
class WithoutConflict(PCGrad):
    """PCGrad as it is where no two gradients oppose each other."""

    def weigh(self, gram, key):
        return super().weigh(jnp.abs(gram), key)


@pytest.mark.slow
def test_without_conflict_pcgrad_takes_the_pooled_step_of_td3_bc(place):
    """Which it does only if Q is divided by the same size, whichever robot's gradient is taken."""
    setup = TrainingSetup.of(config_for(place, "none", algorithm="td3_bc"))
    loader, policies = setup.loader(), []
    batch = loader.table.unpack(loader.batch(np.zeros(2, np.uint32), 0))
    for combiner in (Pooled(), WithoutConflict()):
        learner = replace(setup.learner, algorithm=FrozenCritic(), combiner=combiner)
        state, _ = jax.jit(learner.update)(learner.init(0, setup.sizes), [batch])
        policies.append(ravel_pytree(state.actor.policy)[0])
    np.testing.assert_allclose(*policies, atol=1e-6)


def test_a_measurement_is_of_robots_own_gradients(place):
    """By `jax.grad` of each robot's loss alone, on the batch that the key decides."""
    setup = TrainingSetup.of(config_for(place, "none"))
    state, loader, learner = setup.initial_state(3), setup.loader(), setup.learner
    found = ConflictMeter(learner, learner.numbers, loader)(state)
    batch = loader.table.unpack(loader.batch(np.array(state.key), 0, MEASURING))
    training = loader.table.unpack(loader.batch(np.array(state.key), 0))
    assert np.any(batch.rewards != training.rewards)
    key, algorithm, policy = jax.random.PRNGKey(9), learner.algorithm, state.actor.policy

    @jax.jit
    def gradients(policy, batch):
        _, aux, _ = algorithm.critic_update(state.critic, policy, batch, key)
        batch = batch._replace(aux=aux)

        def loss(policy, robot):
            return algorithm.actor_losses(policy, state.critic, batch, key)[0][robot]

        return [ravel_pytree(jax.grad(loss)(policy, r))[0] for r in range(len(ROBOTS))]

    gradients = gradients(policy, batch)
    expected = np.array([[float(a @ b) for b in gradients] for a in gradients])
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-6)
    measured = Conflicts.of(tuple(ROBOTS), np.array([1]), found[None])
    lengths = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(
        measured.cosines[0], expected / np.outer(lengths, lengths), atol=2e-4
    )
    np.testing.assert_allclose(measured.norms[0], lengths, rtol=2e-4)


def test_measuring_changes_nothing_that_is_learned(run, unmeasured):
    name = f"checkpoints/{UPDATES}.safetensors"
    assert (unmeasured.path / name).read_bytes() == (run.path / name).read_bytes()
    assert not (unmeasured.path / "conflicts.jsonl").exists()


def test_measurements_come_at_their_updates_and_go_to_the_metrics(run):
    """Intervals of 2, measurements every 4."""
    measured = Conflicts.read(run)
    assert measured.updates.tolist() == [4, 8, 12]
    assert measured.robots == ("dog", "ant", "crab")  # in build order
    assert measured.cosines.shape == (3, 3, 3)
    assert (measured.cosines == measured.cosines.transpose(0, 2, 1)).all()
    assert (np.diagonal(measured.cosines, axis1=1, axis2=2) == 1.0).all()
    told = {line["update"]: line for line in run.metrics}
    assert "actor/cosine" not in told[10]
    others = (measured.cosines[2].sum(axis=1) - 1.0) / 2.0
    for place, robot in enumerate(measured.robots):
        assert told[12][f"actor/cosine/{robot}"] == pytest.approx(others[place], abs=1e-5)


@pytest.mark.parametrize(
    "algorithm", ["bc", *(pytest.param(own, marks=pytest.mark.slow) for own in ("awac", "td3_bc"))]
)
def test_every_algorithm_is_measured_and_batches_from_disk_give_the_same(place, algorithm):
    grams = []
    for source in ("device", "host") if algorithm == "td3_bc" else ("device",):
        setup = TrainingSetup.of(config_for(place, "none", algorithm=algorithm, data_on=source))
        measure = ConflictMeter(setup.learner, setup.learner.numbers, setup.loader())
        grams.append(measure(setup.initial_state(0)))
    for gram in grams:
        np.testing.assert_allclose(gram, grams[0], rtol=1e-5)
        assert (np.linalg.eigvalsh(gram) > 0.0).all()


def test_shares_and_means_are_those_counted_by_hand():
    cosines = np.array([[[1, 0.5, -0.2], [0.5, 1, -0.1], [-0.2, -0.1, 1]], np.eye(3)])
    measured = Conflicts(("a", "b", "c"), np.array([1, 2]), np.ones((2, 3)), cosines)
    assert measured.negative_share == pytest.approx(2 / 6)
    assert measured.opposed_share == pytest.approx(2 / 3)
    np.testing.assert_allclose(measured.robot_shares, [0.25, 0.25, 0.5])
    np.testing.assert_allclose(measured.robot_cosines, [0.075, 0.1, -0.075])
    assert [line["cosines"] for line in measured.lines()] == [[0.5, -0.2, -0.1], [0.0, 0.0, 0.0]]


def test_a_gradient_that_vanishes_is_in_conflict_with_none():
    measured = Conflicts.of(("a", "b"), np.array([1]), np.array([[[4.0, 0.0], [0.0, 0.0]]]))
    assert measured.cosines[0].tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert measured.negative_share == 0.0


def test_what_was_measured_after_the_last_checkpoint_is_measured_again(place, run):
    resumed = config_for(place, "resumed")
    shutil.copytree(run.path, resumed.out)
    (resumed.out / "checkpoints" / f"{UPDATES}.safetensors").unlink()
    (resumed.out / "policy" / "card.json").unlink()
    path = resumed.out / "conflicts.jsonl"
    before = path.read_text()
    with path.open("a") as file:
        file.write('{"update": 13, "norms": [1')
    train(resumed)
    assert path.read_text() == before


def test_a_finished_policy_is_measured_on_any_data(place, run):
    """The larger the batch, the less its gradients are noise, and the more measurements agree."""
    own = measure_conflicts(run, batches=3)
    other = measure_conflicts(run, place / "other", batch_size=2048, batches=2)
    assert own.updates.tolist() == [UPDATES] * 3
    assert other.cosines.shape == (2, 3, 3)
    large, small = (np.abs(np.diff(found.pairs, axis=0)).mean() for found in (other, own))
    assert large < 0.5 * small


def test_the_command_says_what_is_missing(run, unmeasured, tmp_path, capsys):
    assert main(["conflicts", str(unmeasured.path)]) == 2
    assert "--conflicts-every" in capsys.readouterr().err
    assert main(["conflicts", str(run.path), "--plot", "figure.txt"]) == 2
    assert "--plot figure.txt" in capsys.readouterr().err
    (tmp_path / "config.json").write_text((run.path / "config.json").read_text())
    (tmp_path / "conflicts.jsonl").write_text('{"update": 4, "norms": [1, 2], "cosines": [0.5]}\n')
    with pytest.raises(BodyplanError, match=r"conflicts\.jsonl"):
        Conflicts.read(Run(tmp_path))
