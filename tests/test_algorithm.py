"""What algorithms share: the optimiser, against optax's own parts."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bodyplan.learn.algorithms.algorithm import apply_gradients, clipped_adam
from bodyplan.learn.algorithms.bc import BC


@pytest.mark.parametrize(("clip", "decay"), [(0.5, 0), (1e9, 0), (100.0, 6)])
def test_an_actor_steps_as_optax_has_it_with_numbers_that_the_program_is_given(clip, decay):
    rng = np.random.default_rng(0)
    ours = theirs = {"weight": jnp.ones((3, 2)), "bias": jnp.zeros(2)}
    rate = optax.cosine_decay_schedule(3e-3, decay) if decay else 3e-3
    reference = optax.chain(optax.clip_by_global_norm(clip), optax.adam(rate))
    state, reference_state = clipped_adam(0.0, 0.0).init(ours), reference.init(theirs)

    @jax.jit
    def step(parameters, gradient, state, update, *numbers):
        names = ("learning_rate", "gradient_clip", "actor_decay")
        algorithm = BC(**dict(zip(names, numbers, strict=True))).with_actor_rate(update)
        told = algorithm.gradient_metrics(gradient)
        return *apply_gradients(algorithm.actor_optimiser(), parameters, gradient, state), told

    for update, size in enumerate(10.0 ** rng.integers(-3, 3, size=8)):
        gradient = {
            name: jnp.asarray(rng.normal(scale=size, size=leaf.shape).astype(np.float32))
            for name, leaf in ours.items()
        }
        ours, state, told = step(ours, gradient, state, update, 3e-3, clip, decay)
        norm = np.sqrt(sum(np.square(leaf, dtype=float).sum() for leaf in gradient.values()))
        assert float(told["actor/grad_norm"]) == pytest.approx(norm, rel=1e-6)
        assert float(told["actor/clipped"]) == (norm > clip)
        theirs, reference_state = apply_gradients(reference, theirs, gradient, reference_state)
        for name, leaf in theirs.items():
            np.testing.assert_allclose(ours[name], leaf, rtol=1e-5, atol=1e-7)
    assert state.steps == 8


def test_a_gradient_of_zero_leaves_everything_where_it_is_and_nan_does_not_hide():
    parameters = {"weight": jnp.ones(3)}
    optimiser = clipped_adam(3e-3, 0.5)
    state = optimiser.init(parameters)
    still, _ = apply_gradients(optimiser, parameters, {"weight": jnp.zeros(3)}, state)
    np.testing.assert_array_equal(still["weight"], np.ones(3))
    broken = {"weight": jnp.array([0.0, jnp.nan, 0.0])}
    moved, _ = apply_gradients(optimiser, parameters, broken, state)
    assert np.isnan(moved["weight"]).any()
