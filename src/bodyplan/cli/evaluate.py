"""`bodyplan evaluate`: run episodes with a trained policy, robot by robot."""

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from bodyplan.cli.output import comma_list, print_evaluation, print_json, print_line
from bodyplan.envs.disturbances import NO_DISTURBANCES
from bodyplan.evaluation.evaluation import EvaluationConfig
from bodyplan.progress import progress


@dataclass(frozen=True)
class Evaluate:
    """Run whole episodes of each robot in reference physics; write evaluation.json into the run.

    With disturbances, the file is evaluation_disturbed.json. With --best it is
    evaluation_best.json. The report reads only evaluation.json.
    """

    run_folder: tyro.conf.Positional[Path]
    """Folder of a run."""
    robots: tuple[str, ...] = ()
    """Names of robots, or paths of MJCFs; by default the robots of the run."""
    command: str | None = None
    """forward, backward or vx,vy,wz (m/s, m/s, rad/s); by default that of the run's data."""
    best: bool = False
    """Evaluate the best policy of the training, not the last (see `train --evaluate-every`)."""
    trial: tyro.conf.OmitArgPrefixes[EvaluationConfig] = field(default_factory=EvaluationConfig)
    json: bool = False
    """Print JSON."""

    def run(self) -> None:
        """Evaluate, write, print."""
        from bodyplan.evaluation.evaluate import evaluate
        from bodyplan.learn.run import Run

        names = comma_list(self.robots)
        robots = None if names in ((), ("all",)) else names
        with progress() as report:
            evaluation = evaluate(
                Run(self.run_folder),
                robots,
                self.command,
                episodes=self.trial.episodes,
                seed=self.trial.seed,
                initial_state=self.trial.initial_state,
                threads=self.trial.threads,
                disturbances=self.trial.disturbances,
                best=self.best,
                progress=report,
            )
        disturbed = self.trial.disturbances != NO_DISTURBANCES
        name = "evaluation" + self.best * "_best" + disturbed * "_disturbed"
        path = self.run_folder / f"{name}.json"
        evaluation.save(path)
        if self.json:
            print_json(evaluation.document)
            return
        print_evaluation(evaluation)
        print_line(f"written to {path}")
