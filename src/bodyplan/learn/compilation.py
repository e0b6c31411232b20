"""How programs are compiled, and kept on disk so that the second run of a command need not."""

from pathlib import Path

import jax
from jax.stages import Compiled, Lowered

from bodyplan.machine import cache_folder

_ON_CPU: dict[str, str | bool] = {
    "xla_backend_optimization_level": "1",
    "xla_cpu_experimental_ynn_fusion_type": "",
    "xla_cpu_use_xnnpack": False,
}


def compiled(lowered: Lowered) -> Compiled:
    """A training program, compiled for many updates on whatever there is.

    On a CPU it is two thousand small kernels around a few large products. XLA's last rounds of
    optimisation never pay, and its libraries for small products make updates up to a fifth slower.
    """
    if jax.default_backend() != "cpu":
        return lowered.compile()
    try:
        return lowered.compile(_ON_CPU)
    except jax.errors.JaxRuntimeError:  # XLA's options come and go from version to version
        return lowered.compile()


def enable_compilation_cache(folder: Path | None = None) -> Path:
    """Keep what XLA compiles in `folder`; `bodyplan/xla` in the user's cache folder if not given.

    For commands only: a library does not choose where to write. A folder that cannot be written
    costs the cache, nothing else.
    """
    if folder is None:
        folder = cache_folder("xla")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    return folder
