"""PCGrad, CAGrad and Aligned-MTL against their definitions, other libraries and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from actor_only import ActorOnly, batch_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from synthetic import drawn_batch, write_dataset

from bodyplan.learn.algorithms.algorithm import ActorState, over_joints
from bodyplan.learn.combiners.aligned_mtl import AlignedMTL, align
from bodyplan.learn.combiners.cagrad import CAGrad, avert
from bodyplan.learn.combiners.gradient_surgery import conflict_metrics, robot_gradients
from bodyplan.learn.combiners.pcgrad import PCGrad, random_orders, surgery
from bodyplan.learn.combiners.pooled import Pooled
from bodyplan.learn.data.batches import normal
from bodyplan.learn.networks.urma import PRESETS
from bodyplan.learn.networks.urma_heads import URMAPolicy

SURGERY, ALIGN, AVERT = jax.jit(surgery), jax.jit(align, static_argnums=1), jax.jit(avert)
ROBOTS = 5
KEY = jax.random.PRNGKey(0)


def drawn(seed, robots=ROBOTS, parameters=7, shared=0.0):
    """Gradients of unlike lengths; the more they share, the less they conflict."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(robots, parameters)) * rng.uniform(0.3, 3.0, (robots, 1))
    return (own + shared * rng.normal(size=parameters)).astype(np.float32)


def orders_of(seed, robots=ROBOTS):
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(robots) for _ in range(robots)])


def literal_pcgrad(gradients, orders):
    """Algorithm 1 of the paper on the gradients themselves, with a mean for its sum."""
    gradients = gradients.astype(np.float64)
    projected = gradients.copy()
    for i, order in enumerate(orders):
        for j in order:
            product = projected[i] @ gradients[j]
            if j != i and product < 0:
                projected[i] -= product / (gradients[j] @ gradients[j]) * gradients[j]
    return projected.mean(axis=0)


def most_help(gradients, c):
    """A bound on how much any allowed step helps the worst-off robot (the paper's equation 3).

    Every mix of the gradients gives one, so that it does not matter how well SciPy does here; the
    better, the sharper the test.
    """
    gradients = gradients.astype(np.float64)
    robots, mean = len(gradients), gradients.mean(axis=0)

    def bound(weights):
        mixed = weights @ gradients
        return mixed @ mean + c * np.linalg.norm(mean) * np.linalg.norm(mixed)

    found = minimize(
        bound,
        np.full(robots, 1.0 / robots),
        method="SLSQP",
        bounds=[(0.0, 1.0)] * robots,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1.0},
        options={"maxiter": 500, "ftol": 1e-12},
    )
    weights = np.clip(found.x, 0.0, None)
    return bound(weights / weights.sum())


@pytest.mark.parametrize("seed", range(4))
def test_surgery_is_the_papers_algorithm(seed):
    gradients, orders = drawn(seed), orders_of(seed)
    weights = SURGERY(gradients @ gradients.T, orders)
    np.testing.assert_allclose(weights @ gradients, literal_pcgrad(gradients, orders), atol=1e-5)
    # The order matters, so that a wrong one would be noticed.
    backwards = SURGERY(gradients @ gradients.T, orders[:, ::-1])
    assert not np.allclose(weights, backwards, rtol=1e-3)


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        pytest.param([[1, 0], [0, 2]], [0.5, 1.0], id="orthogonal"),
        pytest.param([[1, 1], [1, 1]], [1.0, 1.0], id="equal"),
        pytest.param([[1, 0], [-2, 0]], [0.0, 0.0], id="opposed"),
        pytest.param([[1, 0], [-1, 1]], [0.25, 0.75], id="at 135 degrees"),
    ],
)
def test_surgery_on_two_robots(pair, expected):
    pair = np.array(pair, np.float32)
    weights = SURGERY(pair @ pair.T, orders_of(0, 2))
    np.testing.assert_allclose(weights @ pair, expected, atol=1e-6)


def test_a_robot_without_a_gradient_is_no_obstacle():
    gradients = np.array([[1, 0], [0, 0], [-1, 1]], np.float32)
    weights = SURGERY(gradients @ gradients.T, orders_of(0, 3))
    np.testing.assert_allclose(weights @ gradients, [1 / 6, 1 / 2], atol=1e-6)


def test_each_robot_has_a_random_order_of_its_own():
    draw = jax.jit(jax.vmap(lambda key: random_orders(key, 3)))
    orders = np.asarray(draw(jax.random.split(KEY, 60)))
    np.testing.assert_array_equal(np.sort(orders), np.broadcast_to(np.arange(3), orders.shape))
    assert all(len(np.unique(orders[:, robot], axis=0)) == 6 for robot in range(3))
    assert np.any(orders[:, 0] != orders[:, 1])


@pytest.mark.parametrize("c", [0.2, 0.5, 0.9])
@pytest.mark.parametrize(("robots", "shared"), [(2, 0.0), (5, 0.5), (16, 1.0)])
def test_cagrad_helps_the_worst_off_most(robots, shared, c):
    gradients = drawn(robots, robots, parameters=20, shared=shared)
    step = np.asarray(AVERT(gradients @ gradients.T, c)) @ gradients
    mean = gradients.mean(axis=0)
    assert np.linalg.norm(step - mean) < (1.0 + 1e-5) * c * np.linalg.norm(mean)
    bound = most_help(gradients, c)
    assert abs((gradients @ step).min() - bound) < 2e-3 * np.linalg.norm(mean) ** 2
    assert (gradients @ mean).min() < bound  # the mean alone would not do


def test_cagrad_where_a_mix_of_gradients_vanishes():
    """g and -2 g: no step helps both; nearest to helping is the shortest one that is allowed."""
    gradients = np.array([[1.0, 0.0], [-2.0, 0.0]], np.float32)
    step = AVERT(gradients @ gradients.T, 0.5) @ gradients
    np.testing.assert_allclose(step, [-0.25, 0.0], atol=1e-3)
    zero = AVERT(np.zeros((3, 3), np.float32), 0.5)
    assert np.isfinite(zero).all()


@pytest.mark.parametrize("scale", ["min", "median", "rmse"])
@pytest.mark.parametrize("shape", [(4, 9), (5, 9), (5, 3)])
def test_aligned_gradients_are_orthogonal_and_of_one_length(shape, scale):
    gradients = drawn(1, *shape)
    u, values, v = np.linalg.svd(gradients.astype(np.float64), full_matrices=False)
    size = {
        "min": values.min(),
        "median": np.sort(values)[(len(values) - 1) // 2],
        "rmse": np.sqrt(np.mean(values**2)),
    }[scale]
    step = ALIGN(gradients @ gradients.T, scale) @ gradients
    np.testing.assert_allclose(step, (size * u @ v).mean(axis=0), atol=1e-4)


def test_aligned_without_gradients_is_the_mean():
    np.testing.assert_array_equal(ALIGN(np.zeros((4, 4), np.float32), "min"), 0.25)


@pytest.mark.parametrize("seed", range(2))
def test_torchjd_agrees(seed):
    torch = pytest.importorskip("torch")
    torchjd = pytest.importorskip("torchjd.aggregation")
    gradients = drawn(seed, shared=0.3)
    gram, jacobian = gradients @ gradients.T, torch.from_numpy(gradients)
    torch.manual_seed(seed)
    orders = torch.stack([torch.randperm(ROBOTS) for _ in range(ROBOTS)]).numpy()
    torch.manual_seed(seed)
    theirs = torchjd.PCGrad()(jacobian).numpy() / ROBOTS
    np.testing.assert_allclose(SURGERY(gram, orders) @ gradients, theirs, atol=1e-5)
    for scale in ("min", "median", "rmse"):
        theirs = torchjd.AlignedMTL(scale_mode=scale)(jacobian).numpy()
        np.testing.assert_allclose(ALIGN(gram, scale) @ gradients, theirs, atol=1e-4)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**16), factor=st.sampled_from([1e-3, 0.1, 30.0]))
def test_names_and_units_do_not_matter(seed, factor):
    gradients, orders = drawn(seed), orders_of(seed)
    new = np.random.default_rng(seed).permutation(ROBOTS)
    gram, places = gradients @ gradients.T, np.argsort(new)
    methods = {
        "surgery": (lambda gram, orders: SURGERY(gram, orders), 1e-4),
        "align": (lambda gram, orders: ALIGN(gram, "min"), 1e-3),
        "avert": (lambda gram, orders: AVERT(gram, 0.5), 1e-2),
    }
    for name, (method, near) in methods.items():
        weights = np.asarray(method(gram, orders))
        scaled = method(gram * np.float32(factor**2), orders)
        np.testing.assert_allclose(scaled, weights, atol=near, err_msg=name)
        renamed = method(gram[new][:, new], places[orders[new]])
        np.testing.assert_allclose(renamed, weights[new], atol=near, err_msg=name)


def test_conflicts_count_the_others():
    gradients = jnp.array([[1.0, 0.0], [2.0, 0.0], [-3.0, 0.0], [0.0, 0.0]])
    told = conflict_metrics(gradients @ gradients.T)
    np.testing.assert_allclose(told["actor/conflict"], [1 / 3, 1 / 3, 2 / 3, 0.0], rtol=1e-6)
    np.testing.assert_allclose(told["actor/cosine"], [0.0, 0.0, -2 / 3, 0.0], atol=1e-6)


def regression(policy, batch, key):
    """Each robot's squared error, a loss of the real networks with random noise on top."""
    answers = policy.over_robots(batch.observations, batch.bodies)
    losses, noises = [], [own[:, 0, 0] for own in normal(key, batch)]
    for build, (mean, std) in zip(batch.builds, answers, strict=True):
        squares = over_joints(jnp.square(mean - build.action), build.bodies, "mean").mean(axis=1)
        losses.append(squares + over_joints(jnp.log(std), build.bodies, "mean")[:, 0])
    return jnp.concatenate(losses), {"actor/noise": jnp.concatenate(noises)}


@pytest.fixture(scope="module")
def robots(tmp_path_factory):
    """A policy and a batch of robots; one of the first build lacks a joint."""
    shapes = {"dog": (5, 2), "crab": (4, 2), "cat": (5, 2), "ant": (6, 6)}
    dataset = write_dataset(tmp_path_factory.mktemp("alike") / "data", shapes, 60, 20)
    batch = drawn_batch(dataset, 8)._replace(weights=jnp.array([0.5, 1.0, 2.5, 0.0]))
    return URMAPolicy(np.random.default_rng(0), PRESETS["tiny"]), batch


@pytest.fixture(scope="module")
def found(robots):
    algorithm = ActorOnly(losses=regression)
    return jax.jit(lambda p: robot_gradients(algorithm, p, (), robots[1], KEY))(robots[0])


def test_robots_gradients_add_up_to_the_pooled_one(robots, found):
    policy, batch = robots

    def mean_loss(policy):
        return (batch.weights * regression(policy, batch, KEY)[0]).mean()

    pooled = jax.jit(jax.grad(mean_loss))(policy)
    flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(pooled)])
    np.testing.assert_allclose(found.gradients.mean(axis=0), flat, atol=1e-6)
    np.testing.assert_array_equal(found.gradients[3], 0.0)  # the robot that weighs nothing
    assert np.abs(found.gradients[:3]).max(axis=1).min() > 0.01


def test_robots_keep_their_places_and_their_noise(robots, found):
    policy, batch = robots
    losses, told = jax.jit(lambda policy: regression(policy, batch, KEY))(policy)
    np.testing.assert_allclose(found.metrics["actor/loss"], losses, rtol=1e-5)
    np.testing.assert_array_equal(found.metrics["actor/noise"], told["actor/noise"])
    assert len(np.unique(found.metrics["actor/noise"])) == 4


GOALS = drawn(0, parameters=3)


def toward_goals(policy, batch, key):
    """Each robot wants the parameters at a place of its own."""
    return jnp.square(policy["w"] - batch.aux).sum(axis=1), {}


def stepped(combiner, goals):
    policy, algorithm = {"w": jnp.zeros(3)}, ActorOnly(losses=toward_goals)
    batch, groups = batch_of(goals), (tuple(range(len(goals))),)
    actor = ActorState(
        policy, algorithm.actor_optimiser().init(policy), combiner.init(policy, groups)
    )
    step = jax.jit(lambda a: combiner.step(algorithm, a, (), batch, groups, KEY))
    return step(actor)


def test_without_conflict_pcgrad_and_a_narrow_cagrad_step_as_pooled_does():
    agreeing = np.abs(GOALS)
    expected, losses = stepped(Pooled(), agreeing)
    for combiner in (PCGrad(), CAGrad(c=0.0)):
        actor, told = stepped(combiner, agreeing)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), actor, expected)
        np.testing.assert_array_equal(told["actor/loss"], losses["actor/loss"])
        np.testing.assert_array_equal(told["actor/conflict"], 0.0)


@pytest.mark.parametrize(
    ("combiner", "weights"),
    [
        pytest.param(CAGrad(c=0.4), lambda gram: AVERT(gram, 0.4) / 1.16, id="cagrad"),
        pytest.param(CAGrad(c=0.4, unscaled=True), lambda gram: AVERT(gram, 0.4), id="unscaled"),
        pytest.param(AlignedMTL(scale="rmse"), lambda gram: ALIGN(gram, "rmse"), id="aligned"),
    ],
)
def test_the_step_is_along_the_weighted_gradients(combiner, weights):
    actor, told = stepped(combiner, GOALS)
    gradients = -2.0 * GOALS
    direction = weights(gradients @ gradients.T) @ gradients
    direction = direction * min(1.0, 0.5 / np.linalg.norm(direction))
    (mean,) = actor.optimiser.mean
    np.testing.assert_allclose(mean, 0.1 * direction, rtol=1e-4)
    assert told["actor/conflict"].shape == (ROBOTS,)
