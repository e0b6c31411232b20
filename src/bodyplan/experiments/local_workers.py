"""Workers on this machine: processes that execute runs of an experiment, each on its own cores."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from bodyplan.errors import BodyplanError
from bodyplan.experiments.experiment_run import ExperimentRun
from bodyplan.experiments.run_queue import ATTEMPTS, RunOutcome, execute
from bodyplan.machine import available_cores

SECONDS_TO_SAVE = 10.0
"""Which workers have to write a checkpoint when all is stopped."""
_SPAWN = multiprocessing.get_context("spawn")  # JAX does not survive a fork


@dataclass(frozen=True)
class LocalWorkers:
    """Processes that share this machine's cores.

    Raises:
        BodyplanError: there is no worker.
    """

    count: int = 1
    """Runs at a time."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise BodyplanError(f"workers is {self.count}; give 1 or more")

    def outcomes(self, runs: Sequence[ExperimentRun]) -> Iterator[RunOutcome]:
        """Execute runs; yield each as it ends. What runs is stopped where the caller stops."""
        waiting = deque((run, 1) for run in runs)
        workers = [_Worker.start(cores) for cores in _shares(min(self.count, len(runs)))]
        try:
            while waiting or any(worker.task for worker in workers):
                for worker in workers:
                    if waiting and worker.task is None:
                        worker.give(*waiting.popleft())
                busy = {worker.connection: worker for worker in workers if worker.task}
                for connection in wait(list(busy)):
                    worker = busy[connection]  # type: ignore[index]
                    run, attempt = worker.task or (runs[0], 0)
                    outcome = worker.take()
                    if outcome is not None:
                        yield outcome
                        continue
                    workers[workers.index(worker)] = _Worker.start(worker.cores)
                    if attempt < ATTEMPTS:
                        waiting.append((run, attempt + 1))
                    else:
                        problem = f"its process died {ATTEMPTS} times ({worker.end()})"
                        yield RunOutcome(run, "failed", problem=problem)
        finally:
            _stop(workers)


@dataclass(eq=False)
class _Worker:
    """A process, and the run that it executes."""

    process: BaseProcess
    connection: Connection
    cores: frozenset[int]
    task: tuple[ExperimentRun, int] | None = None
    """The run and the number of this attempt."""

    @classmethod
    def start(cls, cores: frozenset[int]) -> "_Worker":
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(target=_work, args=(theirs, cores), daemon=True)
        process.start()
        theirs.close()  # so that the pipe ends when the process does
        return cls(process, ours, cores)

    def give(self, run: ExperimentRun, attempt: int) -> None:
        self.task = (run, attempt)
        with suppress(OSError):  # it has died, which `take` finds
            self.connection.send(run)

    def take(self) -> RunOutcome | None:
        """The outcome of its run; None where the process has died."""
        self.task = None
        try:
            outcome: RunOutcome = self.connection.recv()
        except (EOFError, OSError):
            return None
        return outcome

    def end(self) -> str:
        """How the process ended."""
        self.process.join()
        code = self.process.exitcode or 0
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"


def _work(connection: Connection, cores: frozenset[int]) -> None:
    """What a process does until nobody gives it runs any more."""
    for name in ("SIGINT", "SIGHUP"):  # a terminal sends them to all; one decides
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    while True:
        try:
            run = connection.recv()
        except EOFError:
            return
        connection.send(execute(run))


def _end_with_parent() -> None:
    """End where the parent was killed, so that whoever starts again finds nobody at work."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _shares(count: int) -> list[frozenset[int]]:
    """The cores of each of so many workers; where there are too few, workers share them."""
    cores = (
        sorted(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else list(range(available_cores()))
    )
    return [
        frozenset(cores[at::count]) or frozenset({cores[at % len(cores)]}) for at in range(count)
    ]


def _stop(workers: Sequence[_Worker]) -> None:
    """Stop processes after they have saved what they can."""
    for worker in workers:
        worker.connection.close()
        worker.process.terminate()
    for worker in workers:
        worker.process.join(SECONDS_TO_SAVE)
        worker.process.kill()
        worker.process.join()
