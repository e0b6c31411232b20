"""Signals wait until work has saved itself, and not for long."""

import os
import signal
import threading
import time

import pytest

from bodyplan.cli.stopping import Stopped, quick_stop
from bodyplan.safe_points import STOP_SIGNALS, holds_signals, is_saving, safe_points


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_waits_for_the_next_safe_point(number):
    done = []
    with pytest.raises(Stopped) as stopped, quick_stop(), safe_points() as stop:
        for piece in range(3):
            if piece == 1:
                send(number)
            done.append(piece)
            if stop.requested():
                assert is_saving()
                done.append("saved")
                stop.now()
    assert done == [0, 1, "saved"]
    assert stopped.value.number == number
    assert not holds_signals()


def test_without_a_command_around_it_ctrl_c_is_as_always():
    with pytest.raises(KeyboardInterrupt), safe_points():
        send(signal.SIGINT)


def test_a_signal_after_the_last_safe_point_comes_at_the_end():
    ended = False
    with pytest.raises(Stopped), quick_stop(), safe_points():
        send(signal.SIGTERM)
        ended = True
    assert ended


def test_what_has_nothing_to_save_is_stopped_at_once():
    with pytest.raises(Stopped), quick_stop(), safe_points() as stop, stop.at_once():
        assert not holds_signals()
        send(signal.SIGTERM)
        signal.pause()


def test_the_second_signal_does_not_wait():
    with pytest.raises(Stopped), safe_points_under_a_handler():
        send(signal.SIGTERM)
        time.sleep(0.15)
        send(signal.SIGTERM)
        pytest.fail("went on")


def test_a_signal_that_comes_by_two_ways_is_one():
    """As of a scheduler, to a worker and to its parent, which sends it on."""
    with pytest.raises(Stopped), safe_points_under_a_handler() as stop:
        send(signal.SIGTERM)
        send(signal.SIGTERM)
        assert stop.requested()


def safe_points_under_a_handler():
    """Safe points without the thread of `quick_stop`, which would end this process."""

    def stop(number, frame):
        raise Stopped(number)

    signal.signal(signal.SIGTERM, stop)
    return safe_points()


@pytest.fixture(autouse=True)
def _same_handlers_afterwards():
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    after = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    for number, handler in before.items():
        signal.signal(number, handler)
    del before[signal.SIGTERM], after[signal.SIGTERM]  # which one test sets
    assert after == before


def test_an_error_is_not_hidden_by_a_signal():
    with pytest.raises(ValueError, match="wrong"), quick_stop(), safe_points():
        send(signal.SIGINT)
        raise ValueError("wrong")


def test_other_threads_have_no_signals_to_hold():
    def work():
        with safe_points() as stop:
            held.append(holds_signals() or stop.requested())

    held: list[bool] = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert held == [False]
