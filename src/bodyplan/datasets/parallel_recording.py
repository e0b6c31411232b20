"""The crew: all missing parts of a dataset recorded by as many threads as there are cores.

MuJoCo and NumPy let go of Python's lock while they compute, so threads suffice and a build may be
started from a notebook. Parts are shared out first; where there are fewer parts than cores, each
simulation runs on several.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from bodyplan.datasets.recording_parts import Part, parts_of, save_part
from bodyplan.datasets.snapshot_rollouts import RecordingTask, record_rollouts
from bodyplan.machine import available_cores
from bodyplan.progress import OnProgress

EVERYONE = "all robots"


class ProgressCount:
    """Counts the crew's steps, tells of them, and passes on that everybody is to stop."""

    def __init__(self, runs: Sequence[RecordingTask], progress: OnProgress | None) -> None:
        self._progress = progress
        self._totals = {run.robot.name: run.steps for run in runs}
        self._done = dict.fromkeys(self._totals, 0)
        self._lock = threading.Lock()
        self._fault: BaseException | None = None

    def add(self, robot: str, steps: int) -> None:
        """Some steps of a robot are done.

        Raises:
            BaseException: why the crew is to stop.
        """
        with self._lock:
            if self._fault:
                raise self._fault
            self._done[robot] += steps
            if not self._progress:
                return
            self._progress(robot, self._done[robot], self._totals[robot])
            if len(self._totals) > 1:
                done, total = sum(self._done.values()), sum(self._totals.values())
                self._progress(EVERYONE, done, total)

    def stop(self, fault: BaseException) -> None:
        """Whoever reports next will fail, with the first fault that is told."""
        with self._lock:
            self._fault = self._fault or fault


def record_all(
    runs: Sequence[RecordingTask],
    folder: Path,
    finish: Callable[[RecordingTask, list[Part]], None],
    progress: OnProgress | None,
    threads: int | None,
) -> None:
    """Records what is missing, and finishes each robot once all of its parts are there.

    Args:
        runs: robots that are not finished.
        folder: has a folder for each of them.
        finish: called with each of them, in order, and its parts, in this thread.
        progress: called after every control step.
        threads: at work at the same time; all cores where not given.
    """
    parts = {run.robot.name: parts_of(folder / run.robot.name, run.steps) for run in runs}
    missing = sum(not part.path.is_file() for own in parts.values() for part in own)
    cores = available_cores() if threads is None else threads
    jobs = max(1, min(cores, missing))
    tally = ProgressCount(runs, progress)

    def work(run: RecordingTask, part: Part) -> None:
        tick = partial(tally.add, run.robot.name)
        if part.path.is_file():
            return tick(part.stop - part.start)
        try:
            save_part(part.path, record_rollouts(run, part.number, part.start, part.stop, tick))
        except BaseException as fault:
            tally.stop(fault)
            raise

    with ThreadPoolExecutor(jobs, thread_name_prefix="recorder") as pool:
        futures: dict[str, list[Future[None]]] = {
            run.robot.name: [
                pool.submit(work, replace(run, threads=cores // jobs), part)
                for part in parts[run.robot.name]
            ]
            for run in runs
        }
        try:
            for run in runs:
                for future in futures[run.robot.name]:
                    future.result()
                finish(run, parts[run.robot.name])
        except BaseException as fault:  # an interrupt too must not wait for the others' parts
            tally.stop(fault)
            pool.shutdown(cancel_futures=True)
            raise
