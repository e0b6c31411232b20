"""The machine that bodyplan runs on: the user's cache folder, processor and CPU cores."""

import os
import platform
import tempfile
from pathlib import Path

import platformdirs


def cache_folder(name: str) -> Path:
    """The folder `bodyplan/<name>` in the user's cache folder; `XDG_CACHE_HOME` moves it.

    For a user without a home, as in some containers, it is in the folder of temporary files.
    """
    try:
        folder = platformdirs.user_cache_path("bodyplan", appauthor=False)
    except RuntimeError:
        folder = Path(tempfile.gettempdir()) / f"bodyplan-{os.getuid()}"
    return folder / name


def available_cores() -> int:
    """Number of CPU cores that this process may use, at least one."""
    if hasattr(os, "sched_getaffinity"):  # Linux: what a container or a scheduler leaves us
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """The processor's name and the cores that this process may use: `AMD EPYC 7763, 2 cores`."""
    name = platform.processor() or platform.machine()
    try:  # Linux, where Python knows the architecture only
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = available_cores()
    return f"{next(filter(None, names), name)}, {cores} core{'s' * (cores > 1)}"
