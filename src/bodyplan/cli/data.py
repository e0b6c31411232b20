"""Datasets of logged walking: build one, look at one, check one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from bodyplan.cli.output import print_json, print_table, progress, say
from bodyplan.datasets.collect import build
from bodyplan.datasets.episodes import Dataset
from bodyplan.datasets.experts import recorded
from bodyplan.envs.conditions import CLEAN, Conditions
from bodyplan.envs.walking import command_name, parse_command
from bodyplan.errors import BodyplanError

QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


@dataclass(frozen=True)
class BuildData:
    """Build a dataset from policy snapshots; the same command continues an interrupted build."""

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
    """Folder of your own snapshots; the packaged ones where not given."""
    threads: int | None = None
    """Native threads of the simulation; the bytes do not depend on it."""
    conditions: tyro.conf.OmitArgPrefixes[Conditions] = CLEAN
    """What disturbs the robots while they are recorded."""
    json: bool = False
    """Answer in JSON."""

    def run(self) -> None:
        """Build, then say what was built."""
        names = self.robots
        if names == ("all",):
            names = recorded(parse_command(self.command), self.snapshots)
        with progress() as report:
            dataset = build(
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
                self.conditions,
            )
        _answer(dataset, self.json)


@dataclass(frozen=True)
class DataInfo:
    """Say what a dataset holds."""

    data: tyro.conf.Positional[Path]
    """Folder of the dataset."""
    json: bool = False
    """Answer in JSON: the card, and statistics of each robot's episodes."""

    def run(self) -> None:
        """Print the card and statistics."""
        _answer(Dataset.open(self.data), self.json)


@dataclass(frozen=True)
class VerifyData:
    """Check a dataset: checksums, shapes, bounds, NaN, episode structure, copied robots."""

    data: tyro.conf.Positional[Path]
    """Folder of the dataset."""
    json: bool = False
    """Answer in JSON."""

    def run(self) -> None:
        """Say that all is well, or every fault."""
        faults = Dataset.open(self.data).verify()
        if self.json:
            print_json({"data": str(self.data), "faults": faults})
        if faults:
            raise BodyplanError("\n       ".join(faults))
        if not self.json:
            say(f"{self.data} is whole: checksums, shapes, bounds and episodes are right")


def statistics(dataset: Dataset) -> list[dict[str, Any]]:
    """One row a robot: counts, episode returns and lengths."""
    rows = []
    for name, episodes in dataset.episodes.items():
        low, *_, middle, _, _, high = np.quantile(episodes.returns, QUANTILES)
        rows.append(
            {
                "robot": name,
                "steps": episodes.num_steps,
                "episodes": episodes.num_episodes,
                "return_mean": float(episodes.returns.mean()),
                "return_min": float(low),
                "return_median": float(middle),
                "return_max": float(high),
                "length_mean": float(episodes.lengths.mean()),
                "terminated": int(episodes.terminated.sum()),
                "bodies": episodes.num_descriptors,
            }
        )
    return rows


def _answer(dataset: Dataset, as_json: bool) -> None:
    rows = statistics(dataset)
    if as_json:
        quantiles = {
            name: dict(
                zip(map(str, QUANTILES), np.quantile(e.returns, QUANTILES).tolist(), strict=True)
            )
            for name, e in dataset.episodes.items()
        }
        print_json(
            {
                "path": str(dataset.path),
                "card": dataset.card,
                "statistics": rows,
                "return_quantiles": quantiles,
            }
        )
        return
    card = dataset.card
    command = command_name(parse_command(card["command"]))
    print_table(f"{dataset.path}: {card['recipe']}, {command}, seed {card['seed']}", rows)


COMMAND = {"build": BuildData, "info": DataInfo, "verify": VerifyData}
