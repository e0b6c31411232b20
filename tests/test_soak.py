"""Half a minute of benchmarks/soak.py: builds that are killed, stopped, starved and damaged."""

import pytest
import soak


@pytest.mark.parametrize("command", ["build"])
def test_disturbed_commands_end_with_the_undisturbed_result(tmp_path, command):
    found = soak.soak(tmp_path, seconds=8.0, commands=[command])
    assert found["disturbances"] > 0
    for wrong in ("segmentation_faults", "tracebacks", "unequal", "unfinished"):
        assert not found[wrong], found
