"""Provenance: with which versions, on which machine and when a file was made.

It says where a result comes from and decides nothing. So it is no part of what a run or a dataset
is compared by, and nothing reads it but people and pages.
"""

import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypedDict

from bodyplan import __version__
from bodyplan.machine import processor

PROVENANCE_FILE = "provenance.json"
"""Beside a dataset's card, whose bytes are the same wherever it is built."""

_GIT_SECONDS = 5.0


class Origin(TypedDict, total=False):
    """What `provenance` returns, as files have it; of older versions some of it."""

    bodyplan: str | None
    commit: str | None
    jax: str | None
    mujoco: str | None
    python: str | None
    host: str | None
    processor: str | None
    accelerator: str | None
    date: str | None


def provenance(accelerator: str | None = None) -> dict[str, Any]:
    """Versions, machine and date, as JSON has them.

    Args:
        accelerator: what computed beside the processor; nothing by default.

    Returns:
        `bodyplan`, `commit` (None outside a checkout), `jax`, `mujoco`, `python`, `host`,
        `processor`, `accelerator`, and `date` in UTC.
    """
    return {
        "bodyplan": __version__,
        "commit": _own_commit(),
        **{name: _version(name) for name in ("jax", "mujoco")},
        "python": platform.python_version(),
        "host": platform.node(),
        "processor": processor(),
        "accelerator": accelerator,
        "date": utc_now(),
    }


def utc_now() -> str:
    """Date and time in UTC, in ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@cache
def _own_commit() -> str | None:
    """Of the checkout that this package is imported from."""
    return commit_of(Path(__file__).parents[2])


def commit_of(checkout: Path) -> str | None:
    """The commit of a checkout; it ends in `-dirty` where files under `src` differ from it.

    It is None where the folder is no checkout, there is no git, or git does not trust the folder.
    """
    if not (checkout / ".git").exists():  # a file in worktrees
        return None
    # Neither a repository named by the environment nor a program that a configuration names.
    clean = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    options = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
    command = ("git", *options, "status", "--porcelain=v2", "--branch", "--", "src")
    try:
        answer = subprocess.run(
            command,
            cwd=checkout,
            env=clean | {"GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=True,
        ).stdout.splitlines()
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    oid = next((line.split()[-1] for line in answer if line.startswith("# branch.oid ")), "")
    if not oid or oid == "(initial)":
        return None
    return oid if all(line.startswith("#") for line in answer) else f"{oid}-dirty"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
