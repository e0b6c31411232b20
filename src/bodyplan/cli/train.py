"""Pre-train one policy on many robots' data."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import tyro

from bodyplan.cli.output import listed, print_json, progress, say
from bodyplan.learn.train import TrainConfig, TrainingDiverged, train


@dataclass(frozen=True)
class Train:
    """Pre-train; the same command continues an interrupted run.

    The run's folder takes config.json, metrics.jsonl, checkpoints and the policy.
    """

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    episodes: int = 8
    """Episodes of each robot in an evaluation on the way (see --evaluate-every)."""
    json: bool = False
    """Answer in JSON."""

    def _robots(self) -> tuple[str, ...]:
        names = listed(self.config.robots)
        return () if names == ("all",) else names

    def run(self) -> int:
        """Train; 1 where it diverged."""
        from bodyplan.datasets.episodes import Dataset
        from bodyplan.evaluate.evaluation import Trial, evaluate
        from bodyplan.learn.compilation import enable_compilation_cache

        enable_compilation_cache()
        config = replace(self.config, robots=self._robots())

        def on_interval(update: int, policy: Any) -> Mapping[str, Any]:
            card = Dataset.open(config.data).card
            robots = config.robots or tuple(card["robots"])
            trial = Trial(self.episodes, config.seed)
            return evaluate(policy, robots, card["command"], trial, card)["robots"]

        with progress() as report:

            def log(update: int, metrics: Mapping[str, Any]) -> None:
                note = f"{metrics['updates_per_s']:.1f} updates/s"
                report(f"{config.algorithm} {config.combine}", update, config.updates, note)

            try:
                run = train(config, log, on_interval)
            except TrainingDiverged as diverged:
                sys.stderr.write(f"failed: {diverged}\n")
                return 1
        if self.json:
            print_json({"run": str(run.path), "policy": run.policy.card})
        else:
            say(f"trained; look at it with `bodyplan evaluate {run.path}`")
        return 0


COMMAND = Train
