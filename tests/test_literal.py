"""The optimised learner against its literal form (benchmarks/literal.py): losses, every gradient.

In float64, where nothing but a mistake tells the two apart.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import literal
import literal_urma
import numpy as np
import optax
import pytest

from bodyplan.learn.algorithms.awac import AWAC
from bodyplan.learn.algorithms.bc import BC
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.algorithms.td3_bc import TD3BC
from bodyplan.learn.data.batches import Batch, RobotBatch, normal
from bodyplan.learn.networks.urma import PRESETS

TINY = PRESETS["tiny"]
KEY = jax.random.PRNGKey(7)
NEAR = 1e-9
RECORDER = optax.GradientTransformation(
    lambda parameters: parameters,
    lambda gradient, _, parameters: (jax.tree.map(jnp.zeros_like, gradient), gradient),
)
"""Stands still and keeps the gradient as its state."""


@pytest.fixture(autouse=True, scope="module")
def double_precision():
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


def recording(algorithm):
    """The same algorithm, its critics' gradients left where their optimisers' states are."""

    @dataclass(frozen=True, kw_only=True)
    class Recording(type(algorithm)):
        def critic_optimiser(self):
            return RECORDER

    return Recording(**vars(algorithm))


def drawn(seed, count):
    """Joints and feet of random robots."""
    rng = np.random.default_rng(seed)
    return tuple((int(rng.integers(1, 25)), int(rng.integers(0, 7))) for _ in range(count))


def case(algorithm, robots, sizes=TINY, seed=0, batch=5):
    """Networks with nothing at zero, and each robot's part of a batch."""
    networks = literal_urma.randomised(algorithm.init(np.random.default_rng(seed), sizes), seed)
    observations, descriptors, actions = literal_urma.bodies(seed, robots, batch)
    following, _, _ = literal_urma.bodies(seed + 100, robots, batch)
    rng = np.random.default_rng(seed)
    rewards = rng.normal(size=(len(robots), batch))
    fallen = rng.integers(0, 2, (len(robots), batch))
    each = zip(
        observations, actions, rewards, following, fallen, descriptors, descriptors, strict=True
    )
    batches = [RobotBatch(*robot) for robot in each]
    return jax.tree.map(lambda x: np.asarray(x, np.float64), (*networks, batches))


def together(batches, layout):
    """The robots as one batch, each in a build of its own, or all in one padded build."""
    builds = literal_urma.in_builds(batches, layout)
    return Batch(builds, jnp.ones(len(batches)), jnp.arange(len(batches), dtype=jnp.uint32))


def optimised(algorithm, actor, critic, batch):
    """By name of what learns, the mean loss over robots and its gradient."""
    keep = recording(algorithm)
    new, aux, metrics = keep.critic_update(critic, actor, batch, KEY)

    def loss(actor):
        return keep.actor_losses(actor, critic, batch._replace(aux=aux), KEY)[0].mean()

    found = {"actor": jax.value_and_grad(loss)(actor)}
    for name, letter in (("value", "v"), ("q", "q")):
        if f"critic/{letter}_loss" in metrics:
            gradient = getattr(new, f"{name}_optimiser")
            found[name] = (metrics[f"critic/{letter}_loss"].mean(), gradient)
    return found


def written_down(algorithm, actor, critic, batches, noises, slots=literal.SLOTS):
    """The same by the literal form."""
    batch = literal.pad(batches, noises, slots)
    parts = literal.parts(algorithm, actor, critic, batch)
    return {name: jax.value_and_grad(loss)(learns) for name, (learns, loss) in parts.items()}


def noises(algorithm, batches):
    """What the algorithm draws with KEY: for an action of its own here, and in the next state."""
    here, following = jax.random.split(KEY) if isinstance(algorithm, AWAC) else (KEY, KEY)
    batch = together(batches, "apart")
    draw = jax.jit(lambda key: normal(key, batch))
    drawn = [[own[0] for own in draw(key)] for key in (here, following)]
    return list(zip(*drawn, strict=True))


def run(form, algorithm, *inputs, **settings):
    return jax.jit(lambda *inputs: form(algorithm, *inputs, **settings))(*inputs)


def assert_same(found, expected):
    """Losses, and each leaf of each gradient relative to its norm."""
    assert found.keys() == expected.keys()
    for name, (loss, gradient) in expected.items():
        np.testing.assert_allclose(found[name][0], loss, rtol=NEAR, err_msg=name)
        pairs = zip(
            jax.tree.leaves_with_path(gradient), jax.tree.leaves(found[name][1]), strict=True
        )
        for (path, leaf), own in pairs:
            error, norm = np.linalg.norm(own - leaf), np.linalg.norm(leaf)
            assert error <= NEAR * norm, f"{name}{jax.tree_util.keystr(path)}: {error} of {norm}"


CASES = {
    "bc": (BC(log_probability="sum"), drawn(0, 3), replace(TINY, readout=True)),
    "iql": (IQL(weight_clip=2.0), ((12, 4), (24, 2)), PRESETS["paper"]),
    "td3_bc": (TD3BC(), drawn(1, 2), TINY),
    "awac": (AWAC(weight_clip=2.0), drawn(2, 2), TINY),
}


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        *((name, "padded") for name in CASES if name != "awac"),
        ("bc", "apart"),
        pytest.param("awac", "padded", marks=pytest.mark.slow),
        *(pytest.param(name, "apart", marks=pytest.mark.slow) for name in CASES if name != "bc"),
    ],
)
def test_losses_and_gradients_are_the_literal_ones(name, layout):
    """In a padded build noise stands where there is padding, and the noise of actions is the same
    as without it."""
    algorithm, robots, sizes = CASES[name]
    actor, critic, batches = case(algorithm, robots, sizes)
    found = run(optimised, algorithm, actor, critic, together(batches, layout))
    assert_same(
        found, run(written_down, algorithm, actor, critic, batches, noises(algorithm, batches))
    )
    for part, (_, gradient) in found.items():
        still = [path for path, leaf in jax.tree.leaves_with_path(gradient) if not leaf.any()]
        assert all(part == "actor" and "log_std" in jax.tree_util.keystr(p) for p in still), still


def test_a_robot_gives_in_company_what_it_gives_alone():
    actor, critic, batches = case(BC(), ((4, 2), (4, 2)))
    each = [run(optimised, BC(), actor, critic, together([own], "apart")) for own in batches]
    mean = jax.tree.map(lambda *robots: sum(robots) / len(robots), *each)
    assert_same(run(optimised, BC(), actor, critic, together(batches, "padded")), mean)


def test_padding_does_not_matter_to_the_literal_form():
    inputs = (*case(BC(), ((4, 2), (7, 3))), None)
    little, much = (run(written_down, BC(), *inputs, slots=slots) for slots in ((7, 3), (24, 6)))
    assert_same(little, much)
