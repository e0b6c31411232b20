"""Let a trained policy walk, robot by robot."""

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from bodyplan.cli.output import comma_list, print_json, say, say_returns
from bodyplan.envs.disturbances import NO_DISTURBANCES
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.evaluate import Trial
from bodyplan.progress import progress


@dataclass(frozen=True)
class Evaluate:
    """Whole episodes of each robot in reference physics; writes evaluation.json into the run.

    Where something disturbs the robots, the file is evaluation_disturbed.json, and that of the best
    policy on the way is evaluation_best.json, so that the report keeps to the clean task and to
    what the run ended with.
    """

    run_folder: tyro.conf.Positional[Path]
    """Folder of a run."""
    robots: tuple[str, ...] = ()
    """Names, or paths of MJCFs; the robots of the run where not given."""
    command: str | None = None
    """forward, backward or vx,vy,wz; that of the run's data where not given."""
    best: bool = False
    """The policy that did best on the way (see `train --evaluate-every`), not the last one."""
    trial: tyro.conf.OmitArgPrefixes[Trial] = field(default_factory=Trial)
    json: bool = False
    """Answer in JSON."""

    def run(self) -> None:
        """Evaluate, write, print."""
        from bodyplan.evaluation.evaluate import evaluate
        from bodyplan.learn.policy import Policy
        from bodyplan.learn.run import BEST
        from bodyplan.report.run_record import RunRecord
        from bodyplan.robots.robot import Robot
        from bodyplan.storage import read_json, write_json

        config = RunRecord.read(self.run_folder).config
        policy = Policy.load(self.run_folder / BEST if self.best else self.run_folder)
        card_path = Path(config["data"]) / "card.json"
        card = read_json(card_path) if card_path.is_file() else {}
        models = policy.card.get("models")
        command = self.command or ",".join(map(str, policy.card.get("command") or ()))
        if not command:
            raise BodyplanError(f"{self.run_folder} does not tell its command; give --command.")
        robots = comma_list(self.robots)
        robots = tuple(config["robots"]) if robots in ((), ("all",)) else robots
        with progress() as report:
            answer = evaluate(
                policy,
                [Robot.load(robot, models) for robot in robots],
                command,
                self.trial,
                card,
                report,
            )
        clean = self.trial.disturbances == NO_DISTURBANCES
        name = "evaluation" + self.best * "_best" + (not clean) * "_disturbed"
        path = self.run_folder / f"{name}.json"
        write_json(path, answer)
        if self.json:
            print_json(answer)
            return
        say_returns(answer)
        say(f"written to {path}")
