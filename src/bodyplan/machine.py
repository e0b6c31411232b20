"""Where commands keep what can be made again. Library functions are told where, or keep nothing."""

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """`bodyplan/<name>` in the user's cache folder, by the XDG Base Directory Specification."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "bodyplan" / name


def available_cores() -> int:
    """Cores; at least one."""
    if hasattr(os, "sched_getaffinity"):  # Linux: what a container or a scheduler leaves us
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
