"""`bodyplan report`: write a run as one self-contained HTML page."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from bodyplan.cli.output import print_json, print_line
from bodyplan.errors import BodyplanError
from bodyplan.machine import cache_folder
from bodyplan.progress import progress


@dataclass(frozen=True)
class WriteReport:
    """Write report.html: returns, learning curves, body distances, histograms and films.

    Of a folder that holds seeds, each seed has its page.
    """

    run_folder: tyro.conf.Positional[Path]
    """Folder of a run, or of the seeds of one."""
    out: Path | None = None
    """The page; by default report.html in the folder of the run."""
    videos: Annotated[bool, tyro.conf.arg(name="films")] = True
    """Leave out the films of the robots under the policy."""
    json: bool = False
    """Print JSON."""

    def run(self) -> None:
        """Render the films, write the pages, print their paths."""
        from bodyplan.learn.run import runs_in

        folders = [run.path for run in runs_in(self.run_folder)]
        if self.out is not None and len(folders) > 1:
            raise BodyplanError(
                f"--out {self.out} is one page, and {self.run_folder} holds {len(folders)} runs; "
                "give the folder of one of them"
            )
        pages = [str(self._write(folder)) for folder in folders]
        if self.json:
            print_json({"report": pages[0] if len(pages) == 1 else pages})
            return
        for page in pages:
            print_line(page)

    def _write(self, folder: Path) -> Path:
        from bodyplan.datasets.dataset import Dataset
        from bodyplan.envs.walking_task import parse_command
        from bodyplan.evaluation.trained_policy import load_policy
        from bodyplan.evaluation.video import robot_videos
        from bodyplan.learn.run import Run
        from bodyplan.report.page import write_report
        from bodyplan.report.run_record import RunRecord
        from bodyplan.robots.robot import Robot

        record = RunRecord.read(folder)
        policy = load_policy(folder) if Run(folder).has_policy else None
        data = Path(record.config["data"])
        dataset = Dataset.open(data) if data.is_dir() else None
        videos: dict[str, bytes] = {}
        if self.videos and policy:
            command = record.evaluation.get("command") or policy.card.get("command") or "forward"
            robots = [Robot.load(robot, record.models) for robot in record.robots]
            with progress() as report:
                videos = robot_videos(policy, robots, parse_command(command), report)
        return write_report(folder, dataset, videos, self.out, cache_folder("distances"))
