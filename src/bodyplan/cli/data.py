"""Datasets of logged walking: build one, look at some, check some, bring them in and out."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from bodyplan.cli.data_inspect import say_contents
from bodyplan.cli.output import comma_list
from bodyplan.datasets.build import build_dataset
from bodyplan.datasets.policy_snapshots import robots_with_snapshots
from bodyplan.datasets.replay_log import robots_with_log
from bodyplan.envs.disturbances import NO_DISTURBANCES, Disturbances
from bodyplan.envs.walking_task import parse_command
from bodyplan.progress import progress


@dataclass(frozen=True)
class BuildData:
    """Build a dataset from PPO runs; the same command continues an interrupted build."""

    out: Path
    """Folder of the dataset."""
    robots: tuple[str, ...] = ("all",)
    """Names, or paths of MJCFs; `all` is every robot that has snapshots for the command."""
    recipe: str = "suboptimal70"
    """expert, expert_replay, or suboptimal<k>: k percent of steps from the early phase."""
    command: str = "forward"
    """forward, backward or vx,vy,wz."""
    steps: int = 1_000_000
    """Control steps for each robot."""
    seed: int = 0
    """Decides everything; equal seeds give equal bytes."""
    initial_state: str = "random"
    """random or nominal."""
    snapshots: Path | None = None
    """Folder of your own snapshots; robots that it lacks, and all where not given, have packaged
    ones."""
    replay: Path | None = None
    """Folder of logs from `experts train --log-replay`: choose from what was logged then, rather
    than let snapshots act again."""
    threads: int | None = None
    """Native threads of the simulation; the bytes do not depend on it."""
    disturbances: tyro.conf.OmitArgPrefixes[Disturbances] = NO_DISTURBANCES
    """What disturbs the robots while they are recorded."""
    json: bool = False
    """Answer in JSON."""

    def run(self) -> None:
        """Build, then say what was built."""
        names = comma_list(self.robots)
        if names == ("all",):
            command = parse_command(self.command)
            names = (
                robots_with_log(command, self.replay)
                if self.replay
                else robots_with_snapshots(command, self.snapshots)
            )
        with progress() as report:
            dataset = build_dataset(
                self.out,
                names,
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
            )
        say_contents(dataset, self.json)
