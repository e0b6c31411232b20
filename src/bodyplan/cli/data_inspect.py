"""The commands `data info`, `data verify` and `data plot`, which inspect datasets."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro

from bodyplan.cli.output import (
    Column,
    figure_place,
    print_json,
    print_line,
    print_table,
    require_figure_path,
)
from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.duplicates import duplicate_steps
from bodyplan.datasets.statistics import RobotStatistics, robot_statistics
from bodyplan.envs.walking_task import HORIZON, command_name, parse_command
from bodyplan.errors import BodyplanError
from bodyplan.storage import atomic_write

_NO_PHASES = "-"
_BARS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class DataInfo:
    """Print what datasets contain: each robot's returns, the quality of its steps, and sizes."""

    data: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of datasets."""
    json: bool = False
    """Answer in JSON: the card and each robot's statistics; a list for several datasets."""
    wide: bool = False
    """Show all columns, whatever the terminal's width."""

    def run(self) -> None:
        """Print cards and statistics."""
        datasets = _open(self.data)
        if self.json and len(datasets) > 1:
            print_json([contents(dataset) for dataset in datasets])
            return
        for dataset in datasets:
            print_contents(dataset, self.json, self.wide)


@dataclass(frozen=True)
class VerifyData:
    """Check datasets: checksums, shapes, bounds, NaN, episodes and duplicated data."""

    data: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of datasets; several are also compared with each other."""
    json: bool = False
    """Answer in JSON."""

    def run(self) -> None:
        """Print that the datasets are sound, or every fault."""
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
                print_line(f"{path} is sound: checksums, shapes, bounds and episodes are right")
            if len(datasets) > 1:
                print_line("no two of them share data")


@dataclass(frozen=True)
class PlotData:
    """Draw histograms of each robot's steps by return, several datasets side by side."""

    data: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of datasets."""
    out: Path | None = None
    """The figure (.svg, .png, .pdf), which is replaced. By default returns.svg in the dataset's
    folder; with several, beside the first of them."""
    json: bool = False
    """Answer in JSON: edges of the bins and the steps in each."""

    def run(self) -> None:
        """Draw and write the figure, then print its path."""
        if self.out is not None:
            require_figure_path(self.out)
        from bodyplan.report.return_histograms import draw_return_histograms

        labels = [path.resolve().name for path in self.data]
        if len(set(labels)) < len(labels):
            labels = [str(path) for path in self.data]
        datasets = _open(self.data)
        home = self.data[0] if len(datasets) == 1 else self.data[0].parent
        out = figure_place(self.out, home / "returns.svg")
        rows = {
            label: [robot_statistics(dataset, name) for name in dataset.robots]
            for label, dataset in zip(labels, datasets, strict=True)
        }
        with atomic_write(out) as temporary:
            draw_return_histograms(rows, temporary)
        if self.json:
            sets = {label: _histograms(own) for label, own in rows.items()}
            print_json({"figure": str(out), "sets": sets})
        else:
            print_line(f"written to {out}")


def contents(dataset: Dataset) -> dict[str, Any]:
    """Path, card and statistics of a dataset, for JSON."""
    rows = [robot_statistics(dataset, name) for name in dataset.robots]
    statistics = [asdict(row) | {"bytes_per_step": row.bytes_per_step} for row in rows]
    return {"path": str(dataset.path), "card": dataset.card, "statistics": statistics}


_AMOUNTS = (
    Column("robot"),
    Column("steps"),
    Column("episodes"),
    Column("bodies", wide=True),
    Column("falls"),
    Column("length_mean", "mean\nlength", digits=0),
    Column("return_mean", "mean\nreturn", digits=1),
    Column("0.1", "10 %", digits=1),
    Column("0.5", "median", digits=1, wide=True),
    Column("0.9", "90 %", digits=1),
    Column("megabytes", "MB", digits=1, wide=True),
    Column("bytes_per_step", "bytes\na step", digits=0, wide=True),
)
_QUALITY = (
    Column("robot"),
    Column("histogram", whole=True),
    Column("mean", digits=1),
    Column("floor", digits=1, wide=True),
    Column("reference", "ref.", digits=1),
    Column("<25", unit="%", share=True),
    Column("25-50", unit="%", share=True),
    Column("50-75", unit="%", share=True),
    Column(">=75", unit="%", share=True),
    Column("phases"),
)


def print_contents(dataset: Dataset, as_json: bool, wide: bool | None = None) -> None:
    """Print what a dataset contains.

    Args:
        dataset: which.
        as_json: as JSON, with the statistics in full.
        wide: the command's --wide; None where it has no such option.
    """
    if as_json:
        print_json(contents(dataset))
        return
    rows = [robot_statistics(dataset, name) for name in dataset.robots]
    card = dataset.card
    command = command_name(parse_command(card["command"]))
    title = f"{dataset.path}: {card.get('recipe', 'no recipe')}, {command}"
    title = f"{title}, seed {card.get('seed', '-')}"
    print_table(title, [_amounts(row) for row in rows], _AMOUNTS, wide)
    print_line("")
    phases = {_phases(row) for row in rows}
    print_table(
        "Steps by the full return of their episodes, from standing still to the reference (ref.)",
        [_quality(row) for row in rows],
        _QUALITY if len(phases) > 1 else _QUALITY[:-1],
        wide,
    )
    if len(phases) == 1 and _NO_PHASES not in phases:
        print_line(f"Phases of the training run: {phases.pop()}.")
    without_expert = any(row.reference.source != "expert" for row in rows)
    print_line(
        f"Full return: an episode that was cut short counts as if it had gone on to {HORIZON} "
        "steps with its mean reward. Histogram: from 0 to 1.2 references. Classes: 0 % is standing "
        "still (of packaged robots), 100 % the reference. Reference: the packaged expert's return"
        + ("; * the best tenth of the steps, without an expert." if without_expert else ".")
    )
    print_line(f"{_settings(card)}; {sum(row.bytes for row in rows) / 1e6:,.1f} MB in all")


def _open(paths: Sequence[Path]) -> list[Dataset]:
    if not paths:
        raise BodyplanError("no dataset is named; give the folder of one or more")
    if len({path.resolve() for path in paths}) < len(paths):
        raise BodyplanError("a dataset is named twice; name each folder once")
    return [Dataset.open(path) for path in paths]


def _amounts(row: RobotStatistics) -> dict[str, Any]:
    own = asdict(row) | row.return_quantiles
    return own | {"megabytes": row.bytes / 1e6, "bytes_per_step": row.bytes_per_step}


def _quality(row: RobotStatistics) -> dict[str, Any]:
    mark = "" if row.reference.source == "expert" else "*"
    names = ("<25", "25-50", "50-75", ">=75")
    return {
        "robot": row.robot,
        "histogram": f"│{sparkline(row.histogram.steps)}│",
        "mean": row.full_return_mean,
        "floor": row.reference.floor,
        "reference": f"{row.reference.value:.1f}{mark}",
        **dict(zip(names, row.quality, strict=True)),
        "phases": _phases(row),
    }


def _phases(row: RobotStatistics) -> str:
    return ", ".join(f"{name} {share:.0%}" for name, share in row.phases.items()) or _NO_PHASES


def sparkline(counts: Sequence[int]) -> str:
    """Bars of one line's height; every count above zero is visible."""
    top = max(counts) or 1
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // top)] for count in counts)


def _settings(card: dict[str, Any]) -> str:
    """Physics, initial states, disturbances and versions, in one line."""
    disturbances = ", ".join(
        f"{name} {value}" for name, value in card.get("conditions", {}).items()
    )
    versions = ", ".join(f"{name} {value}" for name, value in card.get("versions", {}).items())
    physics = f"{card.get('physics', 'unknown')} physics"
    start = f"{card.get('initial_state', 'unknown')} starts"
    parts = [physics, start, disturbances or "undisturbed", versions]
    return ", ".join(part for part in parts if part)


def _histograms(rows: Sequence[RobotStatistics]) -> dict[str, Any]:
    return {
        row.robot: asdict(row.histogram)
        | {"mean": row.full_return_mean, "reference": asdict(row.reference)}
        for row in rows
    }
