"""Runs of an experiment, executed by several workers: here by processes, elsewhere by Ray.

What is done is on disk, in the folders of the runs. So whatever is killed, workers or the process
that gave them their work, the same call goes on: finished runs are left alone, interrupted ones
continue from their checkpoints, and failed ones are tried again.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from bodyplan.errors import BodyplanError
from bodyplan.experiments.experiment_run import ExperimentRun
from bodyplan.progress import ProgressDisplay

ATTEMPTS = 3
"""Of a run whose worker dies. A run that is too large for the memory kills each of them."""
State = Literal["finished", "found", "failed"]


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended."""

    run: ExperimentRun
    state: State
    """`found` is a run that was finished before."""
    seconds: float = 0.0
    problem: str = ""
    """Why it failed, in a sentence."""


class Workers(Protocol):
    """What executes runs, some at a time."""

    def outcomes(self, runs: Sequence[ExperimentRun]) -> Iterator[RunOutcome]:
        """Execute runs; yield each as it ends, in any order.

        A worker that dies does not end the others: its run is given to another one.
        """


def execute(run: ExperimentRun) -> RunOutcome:
    """What a worker does with a run."""
    from bodyplan.learn.nan_guard import TrainingDiverged  # and JAX with it

    start = time.monotonic()
    try:
        run.execute()
    except (BodyplanError, TrainingDiverged) as error:
        return RunOutcome(run, "failed", time.monotonic() - start, str(error))
    return RunOutcome(run, "finished", time.monotonic() - start)


def execute_all(
    runs: Sequence[ExperimentRun],
    workers: Workers,
    display: ProgressDisplay | None = None,
) -> list[RunOutcome]:
    """Execute what is not finished yet.

    Args:
        runs: the runs; several may share a folder, which is then trained once.
        workers: who executes them.
        display: shows how many have ended, and says which failed.

    Returns:
        An outcome of each run, in their order.
    """
    found: dict[str, RunOutcome] = {}
    for run in runs:
        if run.is_finished():
            found[str(run.path)] = RunOutcome(run, "found")
    missing = list({str(run.path): run for run in runs if str(run.path) not in found}.values())
    total = len(found) + len(missing)
    if display:
        display("runs", len(found), total, f"{len(found)} were finished before")
    for outcome in workers.outcomes(missing) if missing else ():
        found[str(outcome.run.path)] = outcome
        if display:
            if outcome.state == "failed":
                display.say(f"failed: {outcome.run.label}: {outcome.problem}")
            note = f"last: {outcome.run.label}, {outcome.seconds:.0f} s"
            display("runs", len(found), total, note)
    return [found[str(run.path)] for run in runs]
