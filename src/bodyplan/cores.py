"""How many cores this process may use, on every system."""

import os


def available() -> int:
    """Cores; at least one."""
    if hasattr(os, "sched_getaffinity"):  # Linux: what a container or a scheduler leaves us
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
