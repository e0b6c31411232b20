"""Compilation of training programs, and the cache on disk that spares it the next time."""

import os
from pathlib import Path

import jax
from jax.stages import Compiled, Lowered

from bodyplan.machine import cache_folder

_ON_CPU: dict[str, str | bool] = {
    "xla_backend_optimization_level": "1",
    "xla_cpu_experimental_ynn_fusion_type": "",
    "xla_cpu_use_xnnpack": False,
}


def compile_program(lowered: Lowered) -> Compiled:
    """A training program, compiled for many updates on whatever there is.

    On a CPU it is two thousand small kernels around a few large products. XLA's last rounds of
    optimisation never pay, and its libraries for small products make updates up to a fifth slower.
    Options that the environment's `XLA_FLAGS` sets are left as they are there.
    """
    if jax.default_backend() != "cpu":
        return lowered.compile()
    flags = os.environ.get("XLA_FLAGS", "")
    options = {name: value for name, value in _ON_CPU.items() if f"--{name}=" not in flags}
    try:
        return lowered.compile(options)
    except jax.errors.JaxRuntimeError:  # XLA's options come and go from version to version
        return lowered.compile()


def enable_compilation_cache() -> Path:
    """Keep what XLA compiles on disk, in `bodyplan/xla` of the user's cache folder.

    Where JAX already has a folder, as by `JAX_COMPILATION_CACHE_DIR`, that one is kept.
    A folder that cannot be written costs the cache, nothing else.
    """
    present: str | None = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    if present:
        return Path(present)
    folder = cache_folder("xla")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    return folder
