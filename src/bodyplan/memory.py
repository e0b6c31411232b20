"""Memory: how much is free, compared with what is about to be needed."""

import os
from collections.abc import Iterator
from pathlib import Path

from bodyplan.errors import BodyplanError


def available_memory() -> int:
    """Bytes that this process may still take: what the machine, its container and limits leave."""
    return max(0, min(_limits(), default=2**63))


def require_memory(needed: int, what: str, fix: str) -> None:
    """Refuses what memory cannot hold, before anything of it is made.

    Args:
        needed: bytes.
        what: what needs them; the beginning of a sentence.
        fix: what the user can do; the end of it.

    Raises:
        BodyplanError: less is available.
    """
    available = available_memory()
    if needed > available:
        raise BodyplanError(
            f"{what} needs {needed / 2**30:.1f} GiB of memory and {available / 2**30:.1f} GiB are "
            f"free; {fix}."
        )


def _limits() -> Iterator[int]:
    if os.name != "posix":  # whose memory only other packages know
        return
    import resource

    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    yield pages
    meminfo = _text("/proc/meminfo")  # Linux, as is all below
    if "MemAvailable:" in meminfo:
        yield int(meminfo.partition("MemAvailable:")[2].split()[0]) * 1024
    most, used = _text("/sys/fs/cgroup/memory.max"), _text("/sys/fs/cgroup/memory.current")
    if most.strip().isdecimal() and used.strip().isdecimal():
        # The kernel drops a container's cached files before anything fails.
        cached = _text("/sys/fs/cgroup/memory.stat").partition("inactive_file ")[2].split()
        yield int(most) - int(used) + int(cached[0] if cached else 0)
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    size = _text("/proc/self/statm").split()
    if soft != resource.RLIM_INFINITY and size:
        yield soft - int(size[0]) * os.sysconf("SC_PAGE_SIZE")


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except OSError:
        return ""
