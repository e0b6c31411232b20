"""Compiling training programs: what of a program the options are chosen by."""

import jax
import jax.numpy as jnp
import pytest

from bodyplan.learn.compilation import compile_program, tallest_product


def lowered(function, *shapes):
    return jax.jit(function).lower(*(jax.ShapeDtypeStruct(shape, "float32") for shape in shapes))


@pytest.mark.parametrize(
    ("function", "shapes", "rows"),
    [
        (lambda x, w: x @ w, [(30, 4), (4, 5)], 30),
        (lambda x, v, w: (x @ v) @ w.T, [(30, 4), (4, 5), (70, 5)], 30),
        (lambda x, y: jnp.einsum("bij,bjk->bik", x, y), [(2, 30, 4), (2, 4, 5)], 60),
        (lambda x: x + 1.0, [(30, 4)], 0),
        (lambda x: jax.lax.scan(lambda c, _: (c @ c, None), x, length=9)[0], [(8, 8)], 8),
    ],
)
def test_the_tallest_product_is_found_wherever_it_is(function, shapes, rows):
    assert tallest_product(lowered(function, *shapes)) == rows


def test_programs_of_both_kinds_compile_and_agree():
    small, tall = jnp.ones((3, 4)), jnp.ones((5000, 4))
    weight = jnp.arange(12.0).reshape(4, 3)
    for rows in (small, tall):
        program = compile_program(jax.jit(jnp.matmul).lower(rows, weight))
        assert jnp.array_equal(program(rows, weight)[0], weight.sum(axis=0))


def test_flags_of_the_environment_are_left_alone(monkeypatch):
    asked = {}

    class Recorded:
        def as_text(self):
            return ""

        def compile(self, options):
            asked.update(options)

    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=2")
    compile_program(Recorded())
    assert "xla_backend_optimization_level" not in asked
