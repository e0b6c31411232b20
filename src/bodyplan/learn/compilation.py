"""Compiled programs kept on disk, so that the second run of a command does not compile again."""

import os
from pathlib import Path

import jax


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
