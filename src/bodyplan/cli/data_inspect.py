"""Datasets looked at: what they hold, said, checked and drawn."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro

from bodyplan.cli.output import print_json, print_line, print_table, require_figure_path
from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.duplicates import duplicate_steps
from bodyplan.datasets.statistics import RobotStatistics, robot_statistics
from bodyplan.envs.walking_task import HORIZON, command_name, parse_command
from bodyplan.errors import BodyplanError
from bodyplan.storage import atomic_write

_BARS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class DataInfo:
    """Say what datasets hold: each robot's returns, how good its steps are, and their size."""

    data: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of datasets."""
    json: bool = False
    """Answer in JSON: the card, and statistics of each robot's episodes; of several, a list."""

    def run(self) -> None:
        """Print cards and statistics."""
        datasets = _open(self.data)
        if self.json and len(datasets) > 1:
            print_json([contents(dataset) for dataset in datasets])
            return
        for dataset in datasets:
            say_contents(dataset, self.json)


@dataclass(frozen=True)
class VerifyData:
    """Check datasets: checksums, shapes, bounds, NaN, episodes, copied robots, shared data."""

    data: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of datasets; several are also compared with each other."""
    json: bool = False
    """Answer in JSON."""

    def run(self) -> None:
        """Say that all is well, or every fault."""
        datasets = _open(self.data)
        faults = [fault for dataset in datasets for fault in dataset.verify()]
        if len(datasets) > 1 and not faults:
            faults = duplicate_steps({f: e for own in datasets for f, e in own.folders().items()})
        if self.json:
            print_json({"data": [str(path) for path in self.data], "faults": faults})
        if faults:
            raise BodyplanError("\n       ".join(faults))
        if not self.json:
            for path in self.data:
                print_line(f"{path} is whole: checksums, shapes, bounds and episodes are right")
            if len(datasets) > 1:
                print_line("no two of them share data")


@dataclass(frozen=True)
class PlotData:
    """Draw how each robot's steps are spread over returns; several datasets side by side."""

    data: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of datasets."""
    out: Path = Path("returns.svg")
    """The figure (.svg, .png, .pdf), written over what is there."""
    json: bool = False
    """Answer in JSON: the bars' edges and the steps in each."""

    def run(self) -> None:
        """Draw, write, and tell where the figure is."""
        require_figure_path(self.out)
        from bodyplan.report.return_histograms import draw_return_histograms

        labels = [path.resolve().name for path in self.data]
        if len(set(labels)) < len(labels):
            labels = [str(path) for path in self.data]
        rows = {
            label: [robot_statistics(dataset, name) for name in dataset.robots]
            for label, dataset in zip(labels, _open(self.data), strict=True)
        }
        with atomic_write(self.out) as temporary:
            draw_return_histograms(rows, temporary)
        if self.json:
            sets = {label: _histograms(own) for label, own in rows.items()}
            print_json({"figure": str(self.out), "sets": sets})
        else:
            print_line(str(self.out))


def contents(dataset: Dataset) -> dict[str, Any]:
    """What a dataset holds, for JSON."""
    rows = [robot_statistics(dataset, name) for name in dataset.robots]
    told = [asdict(row) | {"bytes_per_step": row.bytes_per_step} for row in rows]
    return {"path": str(dataset.path), "card": dataset.card, "statistics": told}


def say_contents(dataset: Dataset, as_json: bool) -> None:
    """Print what a dataset holds."""
    if as_json:
        print_json(contents(dataset))
        return
    rows = [robot_statistics(dataset, name) for name in dataset.robots]
    card = dataset.card
    command = command_name(parse_command(card["command"]))
    title = f"{dataset.path}: {card.get('recipe', 'no recipe')}, {command}"
    print_table(f"{title}, seed {card.get('seed', '-')}", [_amounts(row) for row in rows])
    print_table("Shares of steps by the full return of their episodes", [_worth(r) for r in rows])
    print_line(
        f"Full return: of an episode cut short, as if it had gone on to {HORIZON} steps at its "
        "pace. Spread: from 0 to 1.2 references. Reference: the packaged expert's return"
        + ("; * the best tenth of the steps, without an expert." if _guessed(rows) else ".")
    )
    print_line(f"{_circumstances(card)}; {sum(row.bytes for row in rows) / 1e6:,.1f} MB in all")


def _open(paths: Sequence[Path]) -> list[Dataset]:
    if not paths:
        raise BodyplanError("no dataset is named; give the folder of one or more")
    if len({path.resolve() for path in paths}) < len(paths):
        raise BodyplanError("a dataset is named twice; name each folder once")
    return [Dataset.open(path) for path in paths]


def _amounts(row: RobotStatistics) -> dict[str, Any]:
    quantiles = row.return_quantiles
    return {
        "robot": row.robot,
        "steps": row.steps,
        "episodes": row.episodes,
        "bodies": row.bodies,
        "falls": row.falls,
        "mean length": f"{row.length_mean:.0f}",
        "mean return": f"{row.return_mean:.1f}",
        "10 %": f"{quantiles['0.1']:.1f}",
        "median": f"{quantiles['0.5']:.1f}",
        "90 %": f"{quantiles['0.9']:.1f}",
        "MB": f"{row.bytes / 1e6:.1f}",
        "bytes a step": f"{row.bytes_per_step:.0f}",
    }


def _worth(row: RobotStatistics) -> dict[str, Any]:
    names = ("< 25 %", "25-50 %", "50-75 %", ">= 75 %")
    mark = "" if row.reference.source == "expert" else "*"
    return {
        "robot": row.robot,
        "spread": f"│{sparkline(row.histogram.steps)}│",
        "mean": f"{row.full_return_mean:.1f}",
        "reference": f"{row.reference.value:.1f}{mark}",
        **{name: f"{share:.0%}" for name, share in zip(names, row.quality, strict=True)},
        "phases": ", ".join(f"{name} {share:.0%}" for name, share in row.phases.items()) or "-",
    }


def sparkline(counts: Sequence[int]) -> str:
    """Bars of one line's height; whatever is not nothing is seen."""
    top = max(counts) or 1
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // top)] for count in counts)


def _circumstances(card: dict[str, Any]) -> str:
    disturbances = ", ".join(
        f"{name} {value}" for name, value in card.get("conditions", {}).items()
    )
    versions = ", ".join(f"{name} {value}" for name, value in card.get("versions", {}).items())
    physics = f"{card.get('physics', 'unknown')} physics"
    start = f"{card.get('initial_state', 'unknown')} starts"
    told = [physics, start, disturbances or "undisturbed", versions]
    return ", ".join(part for part in told if part)


def _guessed(rows: Sequence[RobotStatistics]) -> bool:
    return any(row.reference.source != "expert" for row in rows)


def _histograms(rows: Sequence[RobotStatistics]) -> dict[str, Any]:
    return {
        row.robot: asdict(row.histogram)
        | {"mean": row.full_return_mean, "reference": asdict(row.reference)}
        for row in rows
    }
