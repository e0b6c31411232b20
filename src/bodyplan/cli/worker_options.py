"""The options that say who executes the runs of an experiment: processes here, or a Ray cluster."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodyplan.bounds import CountFromOne, FromZero

if TYPE_CHECKING:
    from bodyplan.experiments.run_queue import Workers


@dataclass(frozen=True)
class WorkerOptions:
    """Who executes the runs."""

    workers: CountFromOne = 1
    """Runs at a time on this machine, each on its share of the cores; with one GPU, leave it 1."""
    cluster: str | None = None
    """Address of a Ray cluster that executes the runs instead; `auto` is the one that this machine
    is part of, `local` a new one here. It needs the extra `cluster`, and folders that all of its
    machines share."""
    cores_per_run: CountFromOne = 1
    """Cores that Ray gives each run."""
    gpus_per_run: FromZero = 0.0
    """GPUs that Ray gives each run; 0.5 lets two runs share one."""

    def make(self) -> "Workers":
        """The workers.

        Raises:
            BodyplanError: an option is out of its range, or there is no such cluster.
        """
        if self.cluster is None:
            from bodyplan.experiments.local_workers import LocalWorkers

            return LocalWorkers(self.workers)
        from bodyplan.experiments.ray_workers import RayWorkers

        return RayWorkers(self.cluster, self.cores_per_run, self.gpus_per_run)
