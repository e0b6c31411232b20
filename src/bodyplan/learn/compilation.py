"""How programs are compiled, and kept on disk so that the second run of a command need not."""

import os
from pathlib import Path

import jax

_ON_CPU: dict[str, str | bool] = {
    "xla_cpu_use_fusion_emitters": False,
    "xla_backend_optimization_level": "1",
}
"""A training program is two thousand small kernels around a few large products. XLA's newer way of
making kernels, and its last rounds of optimising them, take longer to compile than they ever save:
19 s against 45 s for IQL in four groups on one core, 1.4 s against 5 s from disk, as fast."""


def compiler_options() -> dict[str, str | bool] | None:
    """What `Lowered.compile` should be given on this machine's devices."""
    return _ON_CPU if jax.default_backend() == "cpu" else None


def enable_compilation_cache(folder: Path | None = None) -> Path:
    """Keep what XLA compiles in `folder`; `bodyplan/xla` in the user's cache folder if not given.

    For commands only: a library does not choose where to write. A folder that cannot be written
    costs the cache, nothing else.
    """
    if folder is None:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(home) / "bodyplan" / "xla"
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    return folder
