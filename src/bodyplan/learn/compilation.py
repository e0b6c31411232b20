"""Compilation of training programs, and the cache on disk that spares it the next time."""

import glob
import math
import os
import re
import warnings
from contextlib import suppress
from pathlib import Path

import jax
from jax.stages import Compiled, Lowered

from bodyplan.machine import available_cores, cache_folder

_OPTIONS: dict[str, str | bool] = {"xla_backend_optimization_level": "1"}
_OPTIONS_TALL: dict[str, str | bool] = {**_OPTIONS, "xla_cpu_experimental_ynn_fusion_type": ""}
_TALL = 4_000
"""Rows of a program's tallest product, from which on YNNPACK, XLA's library for products, is left.

It gains 2 to 60 % updates a CPU-second up to 3,300 rows: plain networks, and URMA on one robot or
four. From 4,300 on it loses 2 to 14 %, but for the `paper` network, where it makes no difference.
"""


def compile_program(lowered: Lowered) -> Compiled:
    """A training program, compiled for many updates on whatever there is.

    On a CPU it is up to two thousand small kernels around a few large products. XLA's last rounds
    of optimisation never pay, and its library for products does not where these are tall (the
    measurements are in docs/speed.md). What the environment's `XLA_FLAGS` sets is left as it is.
    """
    if jax.default_backend() != "cpu":
        return _compiled(lowered)
    flags = os.environ.get("XLA_FLAGS", "")
    chosen = _OPTIONS if tallest_product(lowered) < _TALL else _OPTIONS_TALL
    options = {name: value for name, value in chosen.items() if f"--{name}=" not in flags}
    try:
        return _compiled(lowered, options)
    except jax.errors.JaxRuntimeError:  # XLA's options come and go from version to version
        return _compiled(lowered)


def _compiled(lowered: Lowered, options: dict[str, str | bool] | None = None) -> Compiled:
    """The program, from the cache on disk where it is there; a damaged file there is replaced.

    A process that is killed while it writes leaves half a file. JAX warns of it, compiles, and
    leaves it as it is, so that the next run does the same.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("error", _DAMAGED, UserWarning)
        warnings.filterwarnings("ignore", "Error writing persistent compilation cache", UserWarning)
        try:
            return lowered.compile(options)
        except UserWarning as warning:
            found = re.match(_DAMAGED, str(warning))
            if found is None:
                raise
            folder = Path(jax.config.jax_compilation_cache_dir)  # type: ignore[attr-defined]
            for file in folder.glob(f"{glob.escape(found[1])}-*"):
                with suppress(OSError):
                    file.unlink()
        warnings.filterwarnings("ignore", _DAMAGED, UserWarning)  # where it cannot be removed
        return lowered.compile(options)


_DAMAGED = r"Error reading persistent compilation cache entry for '(\w+)'"


def tallest_product(lowered: Lowered) -> int:
    """Rows of the program's tallest product of matrices; 0 where it has none."""
    results = re.findall(r"dot_general.*-> tensor<((?:\d+x)+)\w+>", lowered.as_text())
    shapes = [[int(size) for size in result.split("x")[:-1]] for result in results]
    return max((math.prod(shape[:-1]) for shape in shapes), default=0)


def keeps_programs() -> bool:
    """Whether compiled programs are kept on disk."""
    return bool(jax.config.jax_compilation_cache_dir)  # type: ignore[attr-defined]


def enable_compilation_cache() -> Path | None:
    """Keep what XLA compiles on disk, in `bodyplan/xla` of the user's cache folder.

    Where JAX already has a folder, as by `JAX_COMPILATION_CACHE_DIR`, that one is kept.
    A folder that cannot be written costs the cache, nothing else.

    Returns:
        The folder; None where there is none.
    """
    present: str | None = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    if present:
        return Path(present)
    # XLA splits work among the cores that it compiles on, of which its cache takes no note.
    folder = cache_folder("xla") / f"{available_cores()}_cores"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    return folder
