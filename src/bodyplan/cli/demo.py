"""Four robots, end to end: data, pre-training, evaluation, report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bodyplan.cli.output import print_json, say, say_returns
from bodyplan.progress import progress


@dataclass(frozen=True)
class RunDemo:
    """Build four robots' data, pre-train one policy with IQL+EG, evaluate it, write the report.

    The same command continues an interrupted demo.
    """

    size: Literal["small", "full"] = "small"
    """small takes four to five minutes on two cores, full four times as long."""
    out: Path | None = None
    """Folder of the run; runs/demo, or runs/demo-full, where not given."""
    seed: int = 0
    """Decides everything but the sizes, which follow the machine's speed."""
    threads: int | None = None
    """Native threads of the physics; all cores where not given."""
    json: bool = False
    """Answer in JSON."""

    def run(self) -> None:
        """Run it, then say where the report is."""
        from bodyplan.demo import run_demo
        from bodyplan.learn.compilation import enable_compilation_cache

        enable_compilation_cache()
        out = self.out or Path("runs/demo" if self.size == "small" else f"runs/demo-{self.size}")
        with progress() as report:
            demo = run_demo(self.size, out, self.seed, self.threads, report)
        if self.json:
            print_json({"report": str(demo.report), "seconds": demo.seconds} | demo.evaluation)
            return
        say_returns(demo.evaluation)
        say(f"{demo.seconds:.0f} s in all. The report: {demo.report}")
