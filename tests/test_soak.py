"""Half a minute of benchmarks/soak.py: builds that are killed, stopped, starved and damaged."""

import pytest
import soak


@pytest.mark.parametrize("command", ["build"])
def test_disturbed_commands_end_with_the_undisturbed_result(tmp_path, command):
    # A busy machine may end a build before it is disturbed. A signal that comes while Python itself
    # starts ends in Python's own traceback, so those are counted by the benchmark only.
    for trial in range(3):
        found = soak.soak(tmp_path / str(trial), seconds=8.0, commands=[command])
        for wrong in ("segmentation_faults", "unequal", "unfinished"):
            assert not found[wrong], found
        if found["disturbances"]:
            return
    pytest.fail("no build was disturbed")
