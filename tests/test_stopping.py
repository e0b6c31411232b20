"""Commands that are stopped: exit status, one line, and nothing that goes on alone."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from bodyplan.cli import COMMANDS, RESUMABLE, command_class, main
from bodyplan.cli.stopping import Stopped, quick_stop
from bodyplan.errors import BodyplanError

STOPS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
CALL = """
import signal, time
from bodyplan.cli.stopping import Stopped, quick_stop
with quick_stop("stopped; nothing is lost"):
    # As in a long call into a library, Python raises nothing, whenever the signal comes.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: None)
    print("calling", flush=True)
    time.sleep(60.0)
"""
SLOW_END = """
import time
from bodyplan.cli.stopping import Stopped, quick_stop
with quick_stop():
    try:
        print("working", flush=True)
        time.sleep(60.0)
    finally:
        time.sleep(60.0)
"""

DROPPED = """
import gc, sys, time
from bodyplan.cli.stopping import Stopped, quick_stop
def wait(phase, info):  # of what is raised here, Python says that it is ignored
    gc.callbacks.clear()
    print("collecting", flush=True)
    time.sleep(60.0)
try:
    with quick_stop():
        gc.callbacks.append(wait)
        gc.collect()
        time.sleep(60.0)
except KeyboardInterrupt:
    sys.exit(3)
"""
WORKING = """
import sys, threading, time
from bodyplan.cli import robots, run_and_exit
def work():
    print("working", flush=True)
    time.sleep(60.0)
def run(self):
    threading.Thread(target=work).start()
    time.sleep(60.0)
robots.ListRobots.run = run
sys.argv = ["bodyplan", "robots", "list"]
run_and_exit()
"""


EARLY = """
import signal, sys
from bodyplan.early_stop import stop_early
stop_early()
print("bodyplan.cli" in sys.modules, flush=True)
signal.pause()
"""


@contextmanager
def started(*command):
    """A process with a group of its own, as a terminal makes it; it ends with the test."""
    with subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def wait_for(condition):
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise TimeoutError


@pytest.mark.parametrize("number", STOPS)
def test_a_stopped_build_says_how_to_continue(tmp_path, number):
    out = tmp_path / "set"
    build = ["-m", "bodyplan", "data", "build", "--out", str(out), "--robots", "badger"]
    with started(*build) as running:
        wait_for((tmp_path / "set.partial" / "settings.json").is_file)
        time.sleep(0.3)  # into the threads that record
        os.killpg(running.pid, number)
        _, errors = running.communicate(timeout=60)
        assert running.returncode == STOPS[number]
        assert errors.splitlines()[-1] == "stopped; run the same command again to continue"
        assert "Traceback" not in errors
        assert not out.exists()


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_while_the_program_is_imported_ends_it_with_a_word(number):
    with started("-c", EARLY) as running:
        assert running.stdout.readline() == "False\n"
        os.killpg(running.pid, number)
        _, errors = running.communicate(timeout=30)
        assert running.returncode == STOPS[number]
        assert errors == "stopped\n"


def test_nothing_that_takes_long_is_imported_before_the_handlers():
    program = (
        "import sys; before = set(sys.modules); import bodyplan.__main__;"
        "print({'re', 'typing', 'socket', 'dataclasses'} & set(sys.modules) - before)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout == "set()\n", ran.stderr


@pytest.mark.parametrize("number", STOPS)
def test_a_call_that_python_waits_for_is_given_up(number):
    with started("-c", CALL) as running:
        assert running.stdout.readline() == "calling\n"
        os.killpg(running.pid, number)
        _, errors = running.communicate(timeout=30)
        assert running.returncode == STOPS[number]
        assert errors == "stopped; nothing is lost\n"


def test_the_second_signal_stops_what_takes_long_to_end():
    with started("-c", SLOW_END) as running:
        assert running.stdout.readline() == "working\n"
        os.killpg(running.pid, signal.SIGINT)
        assert "Ctrl-C again" in running.stderr.readline()
        os.killpg(running.pid, signal.SIGTERM)
        _, errors = running.communicate(timeout=30)
        assert running.returncode == 143
        assert errors == "stopped at once\n"


def test_an_interrupt_that_a_library_makes_an_error_of_still_stops():
    """As in an import of compiled code."""
    with pytest.raises(Stopped), quick_stop():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        except KeyboardInterrupt as interrupt:
            raise ImportError("cannot be initialised") from interrupt


def test_an_error_after_an_interrupt_that_python_dropped_stops_too():
    """As of an import that a callback's interrupt has left half done."""

    class Interrupted:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()

    with pytest.raises(Stopped), quick_stop():
        Interrupted()
        raise BodyplanError("the file cannot be read")


def test_a_signal_that_is_ignored_stays_ignored():
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with quick_stop():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_interrupt_that_python_would_drop_still_stops():
    with started("-c", DROPPED) as running:
        assert running.stdout.readline() == "collecting\n"
        os.killpg(running.pid, signal.SIGINT)
        _, errors = running.communicate(timeout=30)
        assert running.returncode == 3
        assert "Traceback" not in errors


def test_a_thread_that_works_does_not_hold_a_stopped_command():
    with started("-c", WORKING) as running:
        assert running.stdout.readline() == "working\n"
        os.killpg(running.pid, signal.SIGINT)
        _, errors = running.communicate(timeout=30)
        assert running.returncode == 130
        assert errors.splitlines()[-1] == "stopped"


@pytest.mark.parametrize("name", ["robots list", "train"])
def test_only_a_command_that_goes_on_later_says_so(name, monkeypatch, capsys):
    def interrupted(self):
        raise KeyboardInterrupt

    word, *sub = name.split()
    target = COMMANDS[word].target
    kind = command_class(target[sub[0]] if sub else target)
    monkeypatch.setattr(kind, "run", interrupted)
    assert main([*name.split(), *([] if sub else ["--data", "x", "--out", "y"])]) == 130
    error = capsys.readouterr().err
    assert error.startswith("stopped")
    assert ("again" in error) == (name in RESUMABLE)


def test_the_commands_that_go_on_later_exist():
    for name in RESUMABLE:
        word, *sub = name.split()
        target = COMMANDS[word].target
        assert sub[0] in target if sub else isinstance(target, str)


def test_handlers_are_as_before_when_a_command_has_ended(capsys):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    assert main(["robots", "list", "--json"]) == 0
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.parametrize("command", [["--help"], ["groups", "--help"], ["robots", "list"]])
def test_a_reader_that_has_read_enough_is_no_error(command):
    reader, writer = os.pipe()
    os.close(reader)
    ran = subprocess.run(
        [sys.executable, "-m", "bodyplan", *command], stdout=writer, stderr=subprocess.PIPE
    )
    os.close(writer)
    assert ran.stderr == b""
    assert ran.returncode == 1
