"""A run as one self-contained page."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from bodyplan.cli.output import print_json, say
from bodyplan.progress import progress


@dataclass(frozen=True)
class WriteReport:
    """Write report.html: returns, curves, distances, histograms, and each robot walking."""

    run_folder: tyro.conf.Positional[Path]
    """Folder of a run."""
    out: Path | None = None
    """The page; report.html in the run's folder where not given."""
    films: bool = True
    """Film each robot walking under the policy."""
    json: bool = False
    """Answer in JSON."""

    def run(self) -> None:
        """Film, draw, write."""
        from bodyplan.datasets.dataset import Dataset
        from bodyplan.envs.walking_task import parse_command
        from bodyplan.learn.policy import Policy
        from bodyplan.report.page import write_report
        from bodyplan.report.run_record import RunRecord
        from bodyplan.report.run_videos import film
        from bodyplan.robots.robot import Robot

        record = RunRecord.read(self.run_folder)
        policy = None
        if (self.run_folder / "policy").is_dir():
            policy = Policy.load(self.run_folder)
        data = Path(record.config["data"])
        dataset = Dataset.open(data) if data.is_dir() else None
        films: dict[str, bytes] = {}
        if self.films and policy:
            asked = record.evaluation.get("command") or policy.card.get("command") or "forward"
            with progress() as report:
                films = film(
                    policy,
                    [Robot.load(robot, record.models) for robot in record.robots],
                    parse_command(asked),
                    report,
                )
        page = write_report(self.run_folder, dataset, films, self.out)
        if self.json:
            print_json({"report": str(page)})
        else:
            say(str(page))
