"""Data from outside: one's own logs, and the paper's official release."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from bodyplan.cli.data_inspect import say_contents
from bodyplan.cli.output import comma_list, print_line
from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.io.paper_release import SLOTS, ArrayNames, import_release
from bodyplan.progress import progress

_NAMES = ArrayNames()


@dataclass(frozen=True)
class ImportArrays:
    """Read logs of your own (.npz, HDF5, folders of .npy) into a dataset."""

    mapping: tyro.conf.Positional[Path]
    """TOML that says which array is what; docs/interchange.md has the reference."""
    out: Path
    """Folder of the dataset."""
    json: bool = False
    """Answer in JSON."""

    def run(self) -> None:
        """Read, then say what was read."""
        from bodyplan.datasets.io.array_import import import_arrays

        with progress() as report:
            dataset = import_arrays(self.mapping, self.out, report)
        _say(dataset, self.json)


@dataclass(frozen=True)
class ImportRelease:
    """Read a set of the paper's official release into a dataset."""

    path: tyro.conf.Positional[Path]
    """Folder of .npy arrays, or one HDF5 file."""
    out: Path
    """Folder of the dataset."""
    robots: tuple[str, ...] = ("all",)
    """Those to read."""
    recipe: str = "release"
    """What the card says of how the data were made: expert, expert_replay, suboptimal70."""
    command: str | None = None
    """What the card says: forward, backward or vx,vy,wz; the data's commonest where not given."""
    seed: int = 0
    """What the card says."""
    slots: tuple[str, ...] = SLOTS
    """Robots, or paths of MJCFs, in the order of the arrays' second axis."""
    names: tyro.conf.OmitArgPrefixes[ArrayNames] = _NAMES
    """What the arrays are called."""
    json: bool = False
    """Answer in JSON."""

    def run(self) -> None:
        """Read, then say what was read."""
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
        _say(dataset, self.json)


def _say(dataset: Dataset, as_json: bool) -> None:
    say_contents(dataset, as_json)
    if as_json:
        return
    for name, entry in dataset.card["robots"].items():
        if given_up := entry.get("given_up"):
            one = "1 step had no observation after it and was left out"
            many = f"{given_up:,} steps had no observation after them and were left out"
            print_line(f"{name}: {one if given_up == 1 else many}")
        if cut := entry.get("cut"):
            episodes = "episode was" if cut == 1 else "episodes were"
            print_line(f"{name}: {cut:,} {episodes} cut where one row does not lead to the next")
        if unknown := entry.get("unknown"):
            print_line(f"{name}: {', '.join(unknown)} unknown; only critics would have seen it")
        for note in entry.get("notes", ()):
            print_line(f"{name}: {note}")
