"""Memory that is free: what the machine says, and what a limit of the process leaves."""

import os
import resource
import subprocess
import sys

import pytest

from bodyplan.errors import BodyplanError
from bodyplan.memory import available_memory, require_memory

LIMITED = """
import resource
from bodyplan.memory import available_memory
resource.setrlimit(resource.RLIMIT_AS, (2**32, resource.RLIM_INFINITY))
print(available_memory())
"""


def test_no_more_than_the_machine_has():
    total = resource.getpagesize() * os.sysconf("SC_PHYS_PAGES")
    assert 0 < available_memory() <= total


@pytest.mark.skipif(sys.platform != "linux", reason="reads the size of the process from /proc")
def test_a_limit_of_the_process_counts():
    told = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True)
    assert 0 < int(told.stdout) < 2**32


def test_what_does_not_fit_is_refused_with_a_fix():
    require_memory(1, "one byte", "take less")
    with pytest.raises(BodyplanError, match=r"the moon needs 1048576.0 GiB .*; take less"):
        require_memory(2**50, "the moon", "take less")
