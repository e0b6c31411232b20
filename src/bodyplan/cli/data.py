"""The command `data build`: records a dataset."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from bodyplan.bounds import CountFromOne, NewPath, Seed, Threads
from bodyplan.cli.data_inspect import print_contents
from bodyplan.cli.output import comma_list
from bodyplan.datasets.build import build_dataset
from bodyplan.datasets.rollout_schedule import RecordingSizes
from bodyplan.envs.disturbances import NO_DISTURBANCES, Disturbances
from bodyplan.progress import progress


@dataclass(frozen=True)
class BuildData:
    """Build a dataset from PPO runs; the same command continues an interrupted build."""

    out: NewPath
    """Folder of the dataset."""
    robots: tuple[str, ...] = ("all",)
    """Names, or paths of MJCF files; `all` is every robot that has snapshots for the command."""
    recipe: str = "suboptimal70"
    """expert, expert_replay, or suboptimal<k>: k percent of the steps from the early phase."""
    command: str = "forward"
    """forward, backward or vx,vy,wz."""
    steps: CountFromOne = 1_000_000
    """Control steps of each robot."""
    seed: Seed = 0
    """Decides every random number; equal seeds give equal bytes."""
    initial_state: str = "random"
    """random or nominal."""
    snapshots: Path | None = None
    """Folder of your own snapshots. Robots that it lacks have their packaged ones."""
    replay: Path | None = None
    """Folder of logs from `experts train --log-replay`. Episodes are then selected from these logs
    instead of being simulated."""
    threads: Threads | None = None
    """Threads that record, one for each core by default; they do not change the bytes."""
    restart_steps: CountFromOne | None = None
    """Steps after which every second environment starts anew, for data with more starts. By
    default a robot that does not fall starts once in 1,000 steps."""
    disturbances: tyro.conf.OmitArgPrefixes[Disturbances] = NO_DISTURBANCES
    """Disturbances of the robots while they are recorded."""
    json: bool = False
    """Answer in JSON."""

    def run(self) -> None:
        """Build the dataset, then print what it contains."""
        with progress() as report:
            dataset = build_dataset(
                self.out,
                comma_list(self.robots),
                self.recipe,
                self.command,
                self.steps,
                self.seed,
                self.initial_state,
                report,
                self.snapshots,
                self.threads,
                self.disturbances,
                self.replay,
                RecordingSizes(restart_steps=self.restart_steps),
            )
        print_contents(dataset, self.json)
