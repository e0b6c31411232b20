"""How programs are compiled, and kept on disk so that the second run of a command need not."""

import os
from pathlib import Path

import jax
from jax.stages import Compiled, Lowered

LARGE = 250_000
"""Parameters of a policy from which on large products take most of an update's time on a CPU."""
_FEW_ROUNDS: dict[str, str | bool] = {"xla_backend_optimization_level": "1"}
_FOR_LARGE = _FEW_ROUNDS | {"xla_cpu_use_fusion_emitters": False}
_FOR_SMALL = _FEW_ROUNDS | {
    "xla_cpu_experimental_ynn_fusion_type": "",
    "xla_cpu_use_xnnpack": False,
}


def compiled(lowered: Lowered, parameters: int) -> Compiled:
    """A training program, compiled with an eye on how long that takes on a CPU.

    There it is two thousand small kernels around a few large products. XLA's last rounds of
    optimisation never pay. Its newer way of making kernels pays where networks are small and is
    left out where they are large: IQL in four groups on sixteen robots then compiles in 18 s
    instead of about 50 on one core, and its updates are as fast. Its library for small products
    costs small networks a tenth of an update.

    Args:
        lowered: the program.
        parameters: of the policy that it trains.
    """
    if jax.default_backend() != "cpu":
        return lowered.compile()
    try:
        return lowered.compile(_FOR_LARGE if parameters > LARGE else _FOR_SMALL)
    except jax.errors.JaxRuntimeError:  # XLA's options come and go from version to version
        return lowered.compile()


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
