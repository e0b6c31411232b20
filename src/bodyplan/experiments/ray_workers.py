"""Workers of a Ray cluster, which execute runs of an experiment on many machines.

All machines must see the sweep's folder and the data under the same path. A machine that dies gives
its runs to others, which continue from the checkpoints. Where the process that started the sweep
dies, Ray stops its runs, and the same command goes on.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bodyplan.errors import BodyplanError
from bodyplan.experiments.experiment_run import ExperimentRun
from bodyplan.experiments.run_queue import ATTEMPTS, RunOutcome, execute


@dataclass(frozen=True)
class RayWorkers:
    """A Ray cluster.

    Raises:
        BodyplanError: an option is out of its range.
    """

    address: str
    """Such as `10.0.0.1:6379` or `ray://10.0.0.1:10001`; `auto` for the cluster that this machine
    is part of; `local` for a new one on this machine."""
    cores_per_run: int = 1
    """Cores that each run gets."""
    gpus_per_run: float = 0.0
    """GPUs that each run gets; 0.5 lets two runs share one."""

    def __post_init__(self) -> None:
        if self.cores_per_run < 1:
            raise BodyplanError(f"cores_per_run is {self.cores_per_run}; give 1 or more")
        if not 0.0 <= self.gpus_per_run < float("inf"):
            raise BodyplanError(f"gpus_per_run is {self.gpus_per_run}; give 0 or more")

    def outcomes(self, runs: Sequence[ExperimentRun]) -> Iterator[RunOutcome]:
        """Execute runs; yield each as it ends.

        Raises:
            BodyplanError: Ray is not installed, there is no such cluster, or it can never give a
                run what it asks for.
        """
        ray = self._connect()
        try:
            self._require_room(ray)
            task = ray.remote(
                num_cpus=self.cores_per_run,
                num_gpus=self.gpus_per_run,
                max_retries=ATTEMPTS - 1,
            )(execute)
            of = {task.remote(run): run for run in runs}
            waiting = list(of)
            while waiting:
                (done,), waiting = ray.wait(waiting)
                try:
                    yield ray.get(done)
                except ray.exceptions.RayTaskError as error:
                    reason = str(error).strip().splitlines()[-1]
                    problem = f"its worker cannot execute it ({reason})"
                    yield RunOutcome(of[done], "failed", problem=problem)
                except ray.exceptions.RayError as error:
                    problem = f"its worker died {ATTEMPTS} times ({type(error).__name__})"
                    yield RunOutcome(of[done], "failed", problem=problem)
        finally:
            ray.shutdown()

    def _connect(self) -> Any:
        try:
            import ray
        except ImportError as error:
            raise BodyplanError(
                "--cluster needs Ray; install it with `pip install 'bodyplan[cluster]'`"
            ) from error
        try:
            ray.init(address=self.address, logging_level=logging.ERROR, log_to_driver=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise BodyplanError(
                f"there is no Ray cluster at {self.address} ({reason}); start one with `ray start "
                "--head`, or give --cluster local"
            ) from error
        return ray

    def _require_room(self, ray: Any) -> None:
        """Refuse to wait for ever for what the cluster does not have."""
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        for name, asked in (("CPU", self.cores_per_run), ("GPU", self.gpus_per_run)):
            most = max((node.get(name, 0.0) for node in nodes), default=0.0)
            if asked > most:
                option = {"CPU": "--cores-per-run", "GPU": "--gpus-per-run"}[name]
                raise BodyplanError(
                    f"{option} {asked:g} is more than any machine of the cluster has ({most:g}); "
                    "give less"
                )
