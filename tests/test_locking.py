"""File locks: one writer at a time, who is named, and who loses the lock when it is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

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


def test_the_lock_is_exclusive_and_leaves_no_file(tmp_path, monkeypatch):
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
    monkeypatch.chdir(out.parent)
    with (
        writer_lock("."),
        pytest.raises(BodyplanError, match="writing to"),
        writer_lock(out.parent),
    ):
        raise AssertionError("two writers")


def test_a_folder_among_those_of_others_has_its_lock_in_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place) != tmp_path)
    (tmp_path / "mine").mkdir()
    with writer_lock(tmp_path / "mine"):
        assert (tmp_path / "mine" / ".mine.lock").is_file()
        with pytest.raises(BodyplanError, match="writing to"), writer_lock(tmp_path / "mine"):
            raise AssertionError("two writers")
    assert list((tmp_path / "mine").iterdir()) == []


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


CONTEND = """
import os, sys, time
from bodyplan.errors import BodyplanError
from bodyplan.locking import writer_lock
held, marker, until = 0, sys.argv[1] + ".marker", time.monotonic() + 3.0
while time.monotonic() < until:
    try:
        with writer_lock(sys.argv[1]):
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))  # fails where two hold the lock
            held += 1
            os.unlink(marker)
    except BodyplanError:
        pass
print(held)
"""


def test_there_are_never_two_holders(tmp_path):
    arguments = [sys.executable, "-c", CONTEND, str(tmp_path / "data")]
    processes = [subprocess.Popen(arguments, stdout=subprocess.PIPE) for _ in range(4)]
    held = [int(process.communicate()[0]) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert sum(count > 0 for count in held) > 1
    assert sum(held) > 100
    assert list(tmp_path.iterdir()) == []


def test_an_impossible_place_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BodyplanError, match="file.data cannot be written"):
        writer_lock(tmp_path / "file" / "data").__enter__()
