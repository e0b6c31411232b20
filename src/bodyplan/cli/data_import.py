"""The commands `data import` (a user's own logs) and `data import-release` (the paper's data)."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from bodyplan.bounds import NewPath, Seed
from bodyplan.cli.data_inspect import print_contents
from bodyplan.cli.output import comma_list, print_line
from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.io.paper_release import RELEASE_ROBOTS, ArrayNames, import_release
from bodyplan.progress import progress

_NAMES = ArrayNames()


@dataclass(frozen=True)
class ImportArrays:
    """Import your own logs (.npz, HDF5, folders of .npy) into a dataset."""

    mapping: tyro.conf.Positional[Path]
    """TOML file that says what each array is; docs/interchange.md is its reference."""
    out: NewPath
    """Folder of the dataset."""
    json: bool = False
    """Answer in JSON."""

    def run(self) -> None:
        """Import, then print what the dataset contains."""
        from bodyplan.datasets.io.array_import import import_arrays

        with progress() as report:
            dataset = import_arrays(self.mapping, self.out, report)
        _print_imported(dataset, self.json)


@dataclass(frozen=True)
class ImportRelease:
    """Import a set of the paper's data release into a dataset."""

    path: tyro.conf.Positional[Path]
    """Folder of .npy arrays, or one HDF5 file."""
    out: NewPath
    """Folder of the dataset."""
    robots: tuple[str, ...] = ("all",)
    """Robots to import; `all` is every robot."""
    recipe: str = "release"
    """Recipe for the card: expert, expert_replay, suboptimal70."""
    command: str | None = None
    """Command for the card: forward, backward or vx,vy,wz; by default the data's most common."""
    seed: Seed = 0
    """Seed for the card."""
    slots: tuple[str, ...] = RELEASE_ROBOTS
    """Robots, or paths of MJCF files, in the order of the arrays' second axis."""
    names: tyro.conf.OmitArgPrefixes[ArrayNames] = _NAMES
    """Names of the arrays."""
    json: bool = False
    """Answer in JSON."""

    def run(self) -> None:
        """Import, then print what the dataset contains."""
        with progress() as report:
            dataset = import_release(
                self.path,
                self.out,
                comma_list(self.robots),
                self.recipe,
                self.command,
                self.seed,
                comma_list(self.slots),
                self.names,
                report,
            )
        _print_imported(dataset, self.json)


def _print_imported(dataset: Dataset, as_json: bool) -> None:
    """Print the contents, and what the import changed or could not know."""
    print_contents(dataset, as_json)
    if as_json:
        return
    for name, entry in dataset.card["robots"].items():
        if dropped := entry.get("given_up"):
            one = "1 step had no next observation and was left out"
            many = f"{dropped:,} steps had no next observation and were left out"
            print_line(f"{name}: {one if dropped == 1 else many}")
        if cut := entry.get("cut"):
            episodes = "episode was" if cut == 1 else "episodes were"
            print_line(f"{name}: {cut:,} {episodes} cut where one row does not lead to the next")
        if unknown := entry.get("unknown"):
            print_line(f"{name}: {', '.join(unknown)} unknown; only critics observe it")
        for note in entry.get("notes", ()):
            print_line(f"{name}: {note}")
