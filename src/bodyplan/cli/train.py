"""Pre-train one policy on many robots' data."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import tyro

from bodyplan.cli.output import comma_list, print_json, print_line
from bodyplan.errors import BodyplanError
from bodyplan.learn.run import Run
from bodyplan.learn.train import TrainConfig, TrainingDiverged, train, train_seeds
from bodyplan.progress import progress


@dataclass(frozen=True)
class Hosts:
    """Several machines as one learner: the same command on each, but for --host."""

    coordinator: str | None = None
    """Address and port of the first host, such as 10.0.0.1:8476."""
    hosts: int = 1
    """How many there are."""
    host: int = 0
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
    """Pre-train; the same command continues an interrupted run.

    The run's folder takes config.json, metrics.jsonl, checkpoints and the policy.
    """

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    seeds: int = 1
    """Seeds to train side by side, from --seed on, each in its own folder in --out."""
    episodes: int = 8
    """Episodes of each robot in an evaluation on the way (see --evaluate-every)."""
    cluster: tyro.conf.OmitArgPrefixes[Hosts] = field(default_factory=Hosts)
    json: bool = False
    """Answer in JSON."""

    def run(self) -> int:
        """Train; 1 where it diverged."""
        self.cluster.join()
        names = comma_list(self.config.robots)
        config = replace(self.config, robots=() if names == ("all",) else names)
        return pursue(config, self.seeds, self.episodes, self.json)


def pursue(config: TrainConfig, seeds: int, episodes: int, json: bool) -> int:
    """Train with a bar, say what came of it; 1 where it diverged."""
    from bodyplan.evaluation.evaluate import evaluation_callback
    from bodyplan.learn.compilation import enable_compilation_cache

    enable_compilation_cache()
    with progress() as report:

        def log(update: int, metrics: Mapping[str, Any]) -> None:
            note = f"{metrics['updates_per_s']:.1f} updates/s"
            report(f"{config.algorithm} {config.combine}", update, config.updates, note)

        on_interval = evaluation_callback(config, episodes)
        try:
            if seeds == 1:
                runs: tuple[Run, ...] = (train(config, log, on_interval),)
            else:
                runs = train_seeds(config, seeds, log, on_interval)
        except TrainingDiverged as diverged:
            sys.stderr.write(f"failed: {diverged}\n")
            return 1
    if json:
        answers = [{"run": str(run.path), "policy": run.policy.card} for run in runs]
        print_json(answers[0] if seeds == 1 else answers)
        return 0
    for run in runs:
        print_line(f"trained; look at it with `bodyplan evaluate {run.path}`")
    return 0
