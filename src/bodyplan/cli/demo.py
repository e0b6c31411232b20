"""`bodyplan demo`: four robots from data to report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bodyplan.bounds import NewPath, Seed, Threads
from bodyplan.cli.output import print_evaluation, print_json, print_line
from bodyplan.progress import progress


@dataclass(frozen=True)
class RunDemo:
    """Build the data of four robots, pre-train one policy with IQL+EG, evaluate it, and report.

    The same command continues an interrupted demo.
    """

    size: Literal["small", "full"] = "small"
    """small takes about five minutes on two cores, full four times as long."""
    out: NewPath | None = None
    """Folder of the run; by default runs/demo, or runs/demo-full for --size full."""
    seed: Seed = 0
    """Seed of data, training and evaluation."""
    threads: Threads | None = None
    """Threads of the simulation; by default all cores."""
    json: bool = False
    """Print JSON."""

    def run(self) -> None:
        """Run the demo, and print the path of the report."""
        from bodyplan.demo import run_demo
        from bodyplan.learn.compilation import enable_compilation_cache

        enable_compilation_cache()
        out = self.out or Path("runs/demo" if self.size == "small" else f"runs/demo-{self.size}")
        with progress() as report:
            demo = run_demo(self.size, out, self.seed, self.threads, report)
        if self.json:
            print_json(
                {"report": str(demo.report), "seconds": demo.seconds} | demo.evaluation.document
            )
            return
        print_evaluation(demo.evaluation)
        print_line(f"{demo.seconds:.0f} s in all; the report is {demo.report}")
