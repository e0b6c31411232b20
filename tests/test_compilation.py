"""Compiling training programs: what of a program the options are chosen by."""

import jax
import jax.numpy as jnp
import pytest

from bodyplan.learn.compilation import (
    compile_program,
    enable_compilation_cache,
    tallest_product,
)


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


@pytest.fixture
def own_cache(monkeypatch, tmp_path):
    """A cache of compiled programs that is this test's alone."""
    from jax.experimental.compilation_cache import compilation_cache

    before = jax.config.jax_compilation_cache_dir
    compilation_cache.reset_cache()
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield tmp_path
    compilation_cache.reset_cache()
    jax.config.update("jax_compilation_cache_dir", before)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


def test_a_damaged_program_in_the_cache_is_replaced(own_cache):
    folder = enable_compilation_cache()
    assert folder is not None
    assert folder.is_relative_to(own_cache)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)

    def doubled(x):
        return x * 2.0

    def compiled():
        program = compile_program(lowered(doubled, (3,)))
        assert program(jnp.ones(3, "float32")).tolist() == [2.0] * 3
        jax.clear_caches()
        (file,) = folder.glob("jit_doubled-*-cache")
        return file

    file = compiled()
    whole = file.stat().st_size
    for damage in (b"", b"nothing", file.read_bytes()[: whole // 2]):
        file.write_bytes(damage)
        assert compiled().stat().st_size > whole // 2


def test_a_cache_that_cannot_be_written_is_done_without(own_cache):
    (own_cache / "bodyplan").write_text("a file where the folder should be")
    assert enable_compilation_cache() is None
    assert not jax.config.jax_compilation_cache_dir
