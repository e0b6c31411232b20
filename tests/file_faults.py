"""Errors at chosen file operations, as a full disk or an interrupted process would cause them."""

import os
import sys
from contextlib import contextmanager

_checks = []


@contextmanager
def failing(operation, ending, error):
    """Raises `error` at each operation on a path with this ending while the block runs.

    Args:
        operation: `open`, `os.rename` (to the path), `os.remove` or `shutil.copyfile` (from it).
        ending: of the path.
        error: what the operation raises.
    """

    def check(event, arguments):
        if event != operation:
            return
        path = arguments[1] if event == "os.rename" else arguments[0]
        if isinstance(path, str | os.PathLike) and os.fspath(path).endswith(ending):
            raise error

    _checks.append(check)
    try:
        yield
    finally:
        _checks.remove(check)


def _audit(event, arguments):
    for check in list(_checks):
        check(event, arguments)


sys.addaudithook(_audit)  # for the rest of the process; Python has no way to remove a hook
