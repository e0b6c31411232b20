"""Pre-train one policy on many robots' data."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from bodyplan.bounds import CountFromOne, CountFromZero
from bodyplan.cli.output import comma_list, print_json, print_line
from bodyplan.cli.train_arguments import train_arguments, with_config_file
from bodyplan.errors import BodyplanError
from bodyplan.learn.config import TrainConfig

if TYPE_CHECKING:
    from bodyplan.learn.run import Run


@dataclass(frozen=True)
class Hosts:
    """Several machines as one learner: the same command on each, but for --host."""

    coordinator: str | None = None
    """Address and port of the first host, such as 10.0.0.1:8476."""
    hosts: CountFromOne = 1
    """How many there are."""
    host: CountFromZero = 0
    """Which of them this one is, from 0 on; the first one writes."""

    def join(self) -> None:
        """Meet the others, where there are others.

        Raises:
            BodyplanError: it is not said where.
        """
        if self.hosts == 1:
            return
        if self.coordinator is None:
            raise BodyplanError("--hosts asks for --coordinator, the first host's address:port")
        from bodyplan.learn.distributed import join_hosts

        join_hosts(self.coordinator, self.hosts, self.host)


@dataclass(frozen=True)
class Train:
    """Pre-train; the same command continues an interrupted run, more --updates a finished one.

    The run's folder takes config.json, metrics.jsonl, checkpoints and the policy.
    """

    settings: Annotated[train_arguments(), tyro.conf.arg(name="")]  # type: ignore[valid-type]
    config: Path | None = None
    """The config.json of a run, or its folder: its settings are taken, but for its --out. Options
    given beside it win."""
    seeds: CountFromOne = 1
    """Seeds to train side by side, from --seed on, each in its own folder in --out."""
    episodes: CountFromOne = 8
    """Episodes of each robot in an evaluation during training (see --evaluate-every)."""
    cluster: tyro.conf.OmitArgPrefixes[Hosts] = field(default_factory=Hosts)
    json: bool = False
    """Answer in JSON."""

    @classmethod
    def expanded(cls, arguments: Sequence[str]) -> list[str]:
        """The arguments with those of `--config` in them."""
        return with_config_file(arguments)

    def run(self) -> int:
        """Train; 1 where it diverged."""
        self.cluster.join()
        config = self.settings.to_config()
        names = comma_list(config.robots)
        config = replace(config, robots=() if names == ("all",) else names)
        return train_and_report(config, self.seeds, self.episodes, self.json)


def train_and_report(config: TrainConfig, seeds: int, episodes: int, json: bool) -> int:
    """Train with a progress bar and print where the runs are; 1 where training diverged."""
    from bodyplan.experiments.pretraining import train, train_seeds
    from bodyplan.learn.nan_guard import TrainingDiverged

    try:
        if seeds == 1:
            runs: tuple[Run, ...] = (train(config, episodes=episodes, show_progress=True),)
        else:
            runs = train_seeds(config, seeds, episodes=episodes, show_progress=True)
    except TrainingDiverged as diverged:
        sys.stderr.write(f"failed: {diverged}\n")
        return 1
    if json:
        answers = [{"run": str(run.path), "policy": run.policy.card} for run in runs]
        print_json(answers[0] if seeds == 1 else answers)
        return 0
    for run in runs:
        print_line(f"trained; evaluate it with `bodyplan evaluate {run.path}`")
    return 0
