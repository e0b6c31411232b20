"""Parts recorded by several threads: every order gives the same, and one error stops all.

The simulation is replaced by episodes whose rewards tell robot and step.
"""

import threading
import time
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
from synthetic import synthetic_episodes

from bodyplan.datasets.parallel_recording import ALL_ROBOTS, record_all
from bodyplan.datasets.recording_parts import join_parts
from bodyplan.datasets.rollout_schedule import RecordingSizes
from bodyplan.errors import BodyplanError

ROBOTS = ("dog", "crab")
STEPS = 230
SIZES = RecordingSizes(part_steps=100)


@dataclass(frozen=True)
class StandInTask:
    """What `record_all` reads of a `RecordingTask`."""

    robot: SimpleNamespace
    steps: int = STEPS
    sizes: RecordingSizes = SIZES
    threads: int | None = None


TASKS = [StandInTask(SimpleNamespace(name=name)) for name in ROBOTS]


def part_episodes(task, start, stop):
    """One part; the reward of step n of a robot is 1000 times the robot's number, plus n."""
    episodes = synthetic_episodes(task.robot.name, 2, 1, steps=stop - start, length=25)
    rewards = 1000.0 * ROBOTS.index(task.robot.name) + np.arange(start, stop)
    return replace(episodes, rewards=rewards.astype(np.float32))


def record_at_once(task, number, start, stop, on_step):
    for _ in range(start, stop, 10):
        on_step(10)
    return part_episodes(task, start, stop)


def record(folder, threads, record=record_at_once, progress=None, tasks=TASKS):
    """Records all robots; returns the rewards of each, in the order in which they are finished."""
    joined = {}

    def finish(task, parts):
        joined[task.robot.name] = join_parts(parts)

    record_all(tasks, folder, finish, progress, threads, record)
    return joined


def assert_complete(joined):
    assert list(joined) == list(ROBOTS)
    for number, name in enumerate(ROBOTS):
        expected = 1000.0 * number + np.arange(STEPS)
        np.testing.assert_array_equal(joined[name].rewards, expected)
        assert joined[name].episode_ends[-1] == STEPS


@pytest.mark.parametrize("threads", [None, 1, 2, 9])
def test_parts_are_joined_in_order(tmp_path, threads):
    assert_complete(record(tmp_path, threads))


def test_the_first_part_may_be_ready_last(tmp_path):
    ready = threading.Event()

    def last_first(task, number, *others):
        if (task.robot.name, number) == (ROBOTS[0], 0):
            assert ready.wait(30)
        episodes = record_at_once(task, number, *others)
        if (task.robot.name, number) == (ROBOTS[1], 2):
            ready.set()
        return episodes

    assert_complete(record(tmp_path, 3, last_first))


def test_parts_that_are_there_are_not_recorded_again(tmp_path):
    recorded = []

    def noted(task, number, *others):
        recorded.append((task.robot.name, number))
        return record_at_once(task, number, *others)

    record(tmp_path, 2, noted)
    assert sorted(recorded) == [(name, number) for name in sorted(ROBOTS) for number in range(3)]
    recorded.clear()
    (tmp_path / "crab" / "part-0001.npz").unlink()
    assert_complete(record(tmp_path, 2, noted))
    assert recorded == [("crab", 1)]


@pytest.mark.parametrize(("threads", "native"), [(1, 1), (6, 1), (13, 2)])
def test_cores_without_a_part_help_the_others(tmp_path, threads, native):
    given = []

    def noted(task, *others):
        given.append(task.threads)
        return record_at_once(task, *others)

    record(tmp_path, threads, noted)
    assert set(given) == {native}


def test_progress_is_of_each_robot_and_of_all(tmp_path):
    seen = []
    record(tmp_path, 2, progress=lambda *call: seen.append(call))
    for name, total in ((ROBOTS[0], STEPS), (ROBOTS[1], STEPS), (ALL_ROBOTS, 2 * STEPS)):
        done = [steps for who, steps, of in seen if who == name and of == total]
        assert done == sorted(done)
        assert done[-1] == total
    seen.clear()
    record(tmp_path, 2, progress=lambda *call: seen.append(call))  # nothing is missing
    assert seen[-1] == (ALL_ROBOTS, 2 * STEPS, 2 * STEPS)


@pytest.mark.parametrize("error", [BodyplanError("a fall through the floor"), KeyboardInterrupt()])
def test_an_error_of_one_part_stops_all(tmp_path, error):
    begun, counted = threading.Event(), []

    def fails(task, number, start, stop, on_step):
        if task.robot.name == ROBOTS[1]:
            assert begun.wait(30)
            raise error
        for _ in range(start, stop):
            begun.set()
            counted.append(1)
            time.sleep(0.01)
            on_step(1)
        return part_episodes(task, start, stop)

    with pytest.raises(type(error)):
        record(tmp_path, 4, fails)
    assert len(counted) < STEPS // 2


def test_a_diverged_simulation_names_robot_part_and_array(tmp_path):
    def diverges(task, number, start, stop, on_step):
        episodes = part_episodes(task, start, stop)
        if number == 1:
            episodes.rewards[3] = np.nan
        return episodes

    with pytest.raises(BodyplanError, match="dog diverged in part-0001 .*rewards"):
        record(tmp_path, 1, diverges)
    assert not (tmp_path / "dog" / "part-0001.npz").exists()
