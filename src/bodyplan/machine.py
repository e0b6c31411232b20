"""The machine that bodyplan runs on: the user's cache folder and the number of CPU cores."""

import os
from pathlib import Path

import platformdirs


def cache_folder(name: str) -> Path:
    """The folder `bodyplan/<name>` in the user's cache folder; `XDG_CACHE_HOME` moves it."""
    return platformdirs.user_cache_path("bodyplan", appauthor=False) / name


def available_cores() -> int:
    """Number of CPU cores that this process may use, at least one."""
    if hasattr(os, "sched_getaffinity"):  # Linux: what a container or a scheduler leaves us
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
