"""File locks: one writer at a time, who is named, and who loses the lock when it is killed."""

import os
import signal
import subprocess
import sys

import pytest

from bodyplan.errors import BodyplanError
from bodyplan.locking import writer_lock

HOLD = """
import sys, time
from bodyplan.locking import writer_lock
with writer_lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_is_exclusive_and_leaves_no_file(tmp_path):
    out = tmp_path / "new" / "data"
    with writer_lock(out):
        assert (out.parent / ".data.lock").is_file()
        with pytest.raises(BodyplanError, match=f"process {os.getpid()} on "), writer_lock(out):
            raise AssertionError("two writers")
        with writer_lock(tmp_path / "other"):
            pass
    assert list(out.parent.iterdir()) == []
    with writer_lock(str(out)):
        pass


def test_an_error_in_the_block_releases_the_lock(tmp_path):
    with pytest.raises(KeyboardInterrupt), writer_lock(tmp_path / "data"):
        raise KeyboardInterrupt
    with writer_lock(tmp_path / "data"):
        pass


def test_another_process_is_named_and_its_death_releases_the_lock(tmp_path):
    out = tmp_path / "data"
    arguments = [sys.executable, "-c", HOLD, str(out)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        for _ in range(2):  # a refused attempt does not remove what the holder wrote
            with pytest.raises(BodyplanError, match=rf"process {process.pid} on .* -c"):
                writer_lock(out).__enter__()
        process.send_signal(signal.SIGKILL)
    with writer_lock(out):
        pass


def test_an_impossible_place_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BodyplanError, match="file.data cannot be written"):
        writer_lock(tmp_path / "file" / "data").__enter__()
