"""Workers that execute runs: all of them once, whatever is killed."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from bodyplan.errors import BodyplanError
from bodyplan.experiments.local_workers import LocalWorkers
from bodyplan.experiments.ray_workers import RayWorkers
from bodyplan.experiments.run_queue import execute_all

# Ray forks to start programs, which is safe beside JAX.
pytestmark = pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")

STEPS = 6
PATHS = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])


@dataclass(frozen=True)
class CountingRun:
    """A run whose training is to write its steps into a file, and to continue that file."""

    path: Path
    killed_at: tuple[int, ...] = ()
    """Steps before which its worker is killed, once each."""
    refused: str = ""
    """What is wrong with it."""
    seconds: float = 0.0
    """Of each step."""

    @property
    def label(self) -> str:
        return self.path.name

    def steps(self) -> list[str]:
        file = self.path / "steps"
        return file.read_text().splitlines() if file.is_file() else []

    def is_finished(self) -> bool:
        return len(self.steps()) >= STEPS

    def execute(self) -> None:
        if self.refused:
            raise BodyplanError(self.refused)
        self.path.mkdir(parents=True, exist_ok=True)
        for step in range(len(self.steps()), STEPS):
            marker = self.path / f"killed{step}"
            if step in self.killed_at and not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            with (self.path / "steps").open("a") as file:
                file.write(f"{step} {os.getpid()}\n")
            time.sleep(self.seconds)


@pytest.fixture(params=["local", pytest.param("ray", marks=pytest.mark.slow)])
def workers(request, monkeypatch):
    if request.param == "local":
        return LocalWorkers(2)
    pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", PATHS)  # so that Ray's processes find this file
    return RayWorkers("local")


def test_every_run_is_executed_once_whoever_is_killed(workers, tmp_path):
    runs = [
        CountingRun(tmp_path / "plain"),
        CountingRun(tmp_path / "killed", killed_at=(2, 4)),
        CountingRun(tmp_path / "wrong", refused="gamma is 3; give less"),
        CountingRun(tmp_path / "hopeless", killed_at=(0, 1, 2)),
        CountingRun(tmp_path / "done"),
    ]
    runs[-1].execute()
    before = runs[-1].steps()
    outcomes = execute_all(runs, workers)
    states = {own.run.label: own.state for own in outcomes}
    assert states == {
        "plain": "finished",
        "killed": "finished",
        "wrong": "failed",
        "hopeless": "failed",
        "done": "found",
    }
    for name in ("plain", "killed"):
        steps = [line.split()[0] for line in CountingRun(tmp_path / name).steps()]
        assert steps == [str(step) for step in range(STEPS)]
    assert len({line.split()[1] for line in CountingRun(tmp_path / "killed").steps()}) == 3
    assert runs[-1].steps() == before
    problems = {own.run.label: own.problem for own in outcomes}
    assert problems["wrong"] == "gamma is 3; give less"
    assert "3 times" in problems["hopeless"]
    again = {own.run.label: own.state for own in execute_all(runs, LocalWorkers(1))}
    assert again["killed"] == "found"
    assert again["hopeless"] == "finished"  # its killers are gone


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_whoever_gave_them_work(tmp_path, end):
    run = CountingRun(tmp_path / "run", seconds=0.2)
    program = (
        "from pathlib import Path\n"
        "from bodyplan.experiments.local_workers import LocalWorkers\n"
        "from test_run_queue import CountingRun\n"
        "if __name__ == '__main__':\n"
        f"    run = CountingRun(Path({str(run.path)!r}), seconds=0.2)\n"
        "    list(LocalWorkers(1).outcomes([run]))\n"
    )
    script = tmp_path / "give.py"
    script.write_text(program)
    giver = subprocess.Popen([sys.executable, script], env={**os.environ, "PYTHONPATH": PATHS})
    while not run.steps():
        time.sleep(0.05)
        assert giver.poll() is None
    giver.send_signal(end)
    giver.wait(timeout=60)
    worker = int(run.steps()[0].split()[1])
    deadline = time.monotonic() + 60
    while _is_alive(worker):
        time.sleep(0.05)
        assert time.monotonic() < deadline
    assert 0 < len(run.steps()) < STEPS
    (outcome,) = execute_all([run], LocalWorkers(1))
    assert outcome.state == "finished"
    assert [int(line.split()[0]) for line in run.steps()] == list(range(STEPS))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"


def test_options_out_of_range_are_refused():
    with pytest.raises(BodyplanError, match="workers is 0"):
        LocalWorkers(0)
    with pytest.raises(BodyplanError, match="cores_per_run is 0"):
        RayWorkers("auto", cores_per_run=0)
    with pytest.raises(BodyplanError, match="gpus_per_run is nan"):
        RayWorkers("auto", gpus_per_run=float("nan"))


@pytest.mark.slow
def test_a_cluster_that_lacks_what_is_asked_for_is_not_waited_for(tmp_path):
    pytest.importorskip("ray")
    with pytest.raises(BodyplanError, match="--gpus-per-run 8"):
        list(RayWorkers("local", gpus_per_run=8.0).outcomes([CountingRun(tmp_path / "run")]))
