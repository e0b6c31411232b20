"""Gradient conflict: what is measured in training, after it, and what it comes to."""

import json
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from synthetic import write_dataset

from bodyplan.cli import main
from bodyplan.errors import BodyplanError
from bodyplan.experiments.pretraining import train, train_seeds
from bodyplan.learn.algorithms.algorithm import ActorBatch
from bodyplan.learn.algorithms.td3_bc import TD3BC
from bodyplan.learn.combiners.gradient_surgery import robot_gradients
from bodyplan.learn.combiners.pcgrad import PCGrad
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.data.batches import DeviceData
from bodyplan.learn.gradient_conflict import Conflicts, gradient_gram
from bodyplan.learn.measure_conflict import measure_conflicts
from bodyplan.learn.run import Run
from bodyplan.learn.training_setup import TrainingSetup

ROBOTS = {"dog": (3, 2), "crab": (4, 2), "ant": (4, 2), "biped": (3, 2)}
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


@pytest.fixture
def quick_compilation():
    """Programs that run once are compiled sooner rather than run faster."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.parametrize(
    "change",
    [
        {"algorithm": "bc"},
        {"algorithm": "iql"},
        {"algorithm": "td3_bc"},
        {"algorithm": TD3BC(q_scale="robot")},
    ],
    ids=["bc", "iql", "td3_bc", "td3_bc by robot"],
)
def test_robots_gradients_sum_to_the_pooled_one(place, change, quick_compilation):
    plan = TrainingSetup.of(config_for(place, "none", robots=("crab", "ant", "dog"), **change))
    algorithm, mixture, key = (
        plan.learner.algorithm,
        DeviceData.of(plan.data),
        jax.random.PRNGKey(1),
    )
    with jax.enable_x64(True):
        state, mixture = jax.tree.map(
            lambda leaf: leaf.astype(float) if eqx.is_inexact_array(leaf) else leaf,
            (plan.initial_state(0), mixture),
        )

        @jax.jit
        def both(state, mixture):
            policy, critic = state.actor.policy, state.critic
            batches = mixture.sample(key, 16)
            _, aux, _ = algorithm.critic_update(critic, policy, batches, mixture.descriptors, key)
            batch = ActorBatch(batches, mixture.descriptors, aux)

            def loss(policy):
                return algorithm.actor_losses(policy, critic, batch, key)[0].sum()

            each = robot_gradients(algorithm, policy, critic, batch, key).gradients
            pooled = jax.grad(loss)(policy)
            return each, ravel_pytree(pooled)[0]

        each, whole = map(np.asarray, both(state, mixture))
    assert each.shape == (3, len(whole))
    np.testing.assert_allclose(each.sum(axis=0), whole, atol=1e-6 * float(np.abs(whole).max()))


def test_without_conflict_pcgrad_takes_the_pooled_step_of_td3_bc(place):
    """Which it does only if Q is divided by the same size, whoever is looked at."""
    one = {"robots": ("crab", "ant"), "algorithm": "td3_bc", "conflicts_every": 0}
    ends = []
    for combine in ("pooled", "pcgrad"):
        plan = TrainingSetup.of(config_for(place, "none", combine=combine, **one))
        learner = plan.learner
        if combine == "pcgrad":
            learner = replace(learner, combiner=_Unopposed())
        state, _ = jax.jit(learner.update)(plan.initial_state(0), DeviceData.of(plan.data), None)
        ends.append(ravel_pytree(state.actor.policy)[0])
    np.testing.assert_allclose(*ends, atol=1e-6)


class _Unopposed(PCGrad):
    """PCGrad as it is where no two gradients oppose each other."""

    def weigh(self, gram, key):
        return super().weigh(jnp.abs(gram), key)


def test_a_measurement_is_of_robots_own_gradients(place, quick_compilation):
    """By `jax.grad` of each robot's loss alone, on the batch that the key decides."""
    config = config_for(place, "none")
    plan = TrainingSetup.of(config)
    state, mixture = plan.initial_state(3), DeviceData.of(plan.data)
    found = np.asarray(jax.jit(lambda state: gradient_gram(plan.learner, state, mixture))(state))
    sample_key, _, _ = jax.random.split(jax.random.fold_in(state.key, 1), 3)
    batches = mixture.sample(sample_key, plan.learner.batch_size)
    critic_key = jax.random.PRNGKey(9)
    algorithm, policy = plan.learner.algorithm, state.actor.policy

    @jax.jit
    def gradients(policy, batches):
        _, aux, _ = algorithm.critic_update(
            state.critic, policy, batches, mixture.descriptors, critic_key
        )
        batch = ActorBatch(batches, mixture.descriptors, aux)

        def loss(policy, robot):
            return algorithm.actor_losses(policy, state.critic, batch, critic_key)[0][robot]

        return [ravel_pytree(jax.grad(loss)(policy, r))[0] for r in range(len(ROBOTS))]

    gradients = gradients(policy, batches)
    expected = np.array([[float(a @ b) for b in gradients] for a in gradients])
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-6)
    measured = Conflicts.of(tuple(ROBOTS), np.array([1]), found[None])
    lengths = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(
        measured.cosines[0], expected / np.outer(lengths, lengths), atol=2e-4
    )
    np.testing.assert_allclose(measured.norms[0], lengths, rtol=2e-4)


def test_measuring_changes_nothing_that_is_learned(place, run):
    plain = train(config_for(place, "plain", conflicts_every=0))
    name = f"checkpoints/{UPDATES}.safetensors"
    assert (plain.path / name).read_bytes() == (run.path / name).read_bytes()
    assert not (plain.path / "conflicts.jsonl").exists()


def test_measurements_come_at_their_updates_and_go_to_the_metrics(run):
    """Intervals of 2, measurements every 4."""
    measured = Conflicts.read(run)
    assert measured.updates.tolist() == [4, 8, 12]
    assert measured.robots == tuple(ROBOTS)
    assert measured.cosines.shape == (3, 4, 4)
    assert (measured.cosines == measured.cosines.transpose(0, 2, 1)).all()
    assert (np.diagonal(measured.cosines, axis1=1, axis2=2) == 1.0).all()
    told = {line["update"]: line for line in run.metrics}
    assert "actor/cosine" not in told[10]
    others = (measured.cosines[2].sum(axis=1) - 1.0) / 3.0
    for place, robot in enumerate(ROBOTS):
        assert told[12][f"actor/cosine/{robot}"] == pytest.approx(others[place], abs=1e-5)


@pytest.mark.parametrize("algorithm", ["iql", "td3_bc"])
def test_batches_from_disk_are_measured_the_same(place, run, algorithm):
    if algorithm == "td3_bc":
        run = train(config_for(place, "td3_bc", algorithm="td3_bc"))
    streamed = train(config_for(place, f"{algorithm}_disk", algorithm=algorithm, data_on="host"))
    here, there = (Conflicts.read(one) for one in (run, streamed))
    np.testing.assert_allclose(here.cosines, there.cosines, atol=1e-5)


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
    again = train(config_for(place, "resumed"))
    path = again.path / "conflicts.jsonl"
    before = path.read_text()
    assert before == (run.path / "conflicts.jsonl").read_text()
    (again.path / "checkpoints" / f"{UPDATES}.safetensors").unlink()
    (again.path / "policy" / "card.json").unlink()
    with path.open("a") as file:
        file.write('{"update": 13, "norms": [1')
    train(config_for(place, "resumed"))
    assert path.read_text() == before


def test_seeds_side_by_side_measure_what_each_does_alone(place, run):
    together = train_seeds(config_for(place, "seeds", seed=0), 2)
    alone, own = Conflicts.read(run), Conflicts.read(together[0])
    np.testing.assert_allclose(own.cosines, alone.cosines, atol=2e-3)
    assert np.abs(Conflicts.read(together[1]).cosines - alone.cosines).max() > 0.01


def test_a_finished_policy_is_measured_on_any_data(place, run):
    """The larger the batch, the less its gradients are noise, and the more measurements agree."""
    own = measure_conflicts(run, batches=3)
    other = measure_conflicts(run, place / "other", batch_size=2048, batches=2)
    assert own.updates.tolist() == [UPDATES] * 3
    assert other.cosines.shape == (2, 4, 4)
    large, small = (np.abs(np.diff(found.pairs, axis=0)).mean() for found in (other, own))
    assert large < 0.5 * small


def test_the_command_says_what_is_missing(place, run, tmp_path, capsys):
    plain = train(config_for(place, "unmeasured", conflicts_every=0))
    assert main(["conflicts", str(plain.path)]) == 2
    assert "--conflicts-every" in capsys.readouterr().err
    assert main(["conflicts", str(run.path), "--plot", "figure.txt"]) == 2
    assert "--plot figure.txt" in capsys.readouterr().err
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "config.json").write_text((run.path / "config.json").read_text())
    (damaged / "conflicts.jsonl").write_text('{"update": 4, "norms": [1, 2], "cosines": [0.5]}\n')
    with pytest.raises(BodyplanError, match=r"conflicts\.jsonl is damaged or of other robots"):
        Conflicts.read(Run(damaged))


@pytest.mark.parametrize("algorithm", ["bc", "awac"])
def test_other_algorithms_are_measured_the_same_way(place, algorithm):
    config = config_for(
        place, algorithm, algorithm=algorithm, updates=6, log_every=6, conflicts_every=6
    )
    run = train(config)
    measured = Conflicts.read(run)
    assert np.isfinite(measured.cosines).all()
    assert (measured.norms > 0.0).all()
    line = json.loads((run.path / "conflicts.jsonl").read_text())
    assert len(line["cosines"]) == 6
