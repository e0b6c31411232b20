"""The commands `data export` (to Minari) and `data import-minari`."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from bodyplan.bounds import CountFromZero, NewPath
from bodyplan.cli.data_inspect import print_contents
from bodyplan.cli.output import Column, comma_list, print_json, print_table
from bodyplan.datasets.dataset import Dataset
from bodyplan.progress import progress

_COLUMNS = (
    Column("id", whole=True),
    Column("robot", wide=True),  # the id has it
    Column("steps"),
    Column("episodes"),
)


@dataclass(frozen=True)
class ExportData:
    """Export a dataset to Minari, one Minari dataset for each robot."""

    data: tyro.conf.Positional[Path]
    """Folder of the dataset."""
    minari_root: Path | None = None
    """Minari's folder of datasets; by default the one that Minari itself uses."""
    robots: tuple[str, ...] = ("all",)
    """Names; `all` is every robot of the dataset."""
    version: CountFromZero = 0
    """The number at the end of the ids."""
    author: tuple[str, ...] = ()
    """Who made the data, for Minari's metadata; bodyplan by default, if it built them."""
    code_permalink: str | None = None
    """Link to the code that made the data, for Minari's metadata."""
    json: bool = False
    """Answer in JSON."""

    def run(self) -> None:
        """Export, then list the Minari datasets."""
        from bodyplan.datasets.io.minari_export import export_minari
        from bodyplan.datasets.io.minari_metadata import minari_root

        dataset, names = Dataset.open(self.data), comma_list(self.robots)
        chosen = dataset.robots if names == ("all",) else names
        root = minari_root(self.minari_root)
        with progress() as report:
            ids = export_minari(
                dataset, root, chosen, self.version, report, self.author, self.code_permalink
            )
        rows = [
            {
                "id": minari_id,
                "robot": robot,
                "steps": dataset[robot].num_steps,
                "episodes": dataset[robot].num_episodes,
            }
            for minari_id, robot in zip(ids, chosen, strict=True)
        ]
        if self.json:
            print_json({"root": root, "datasets": rows})
        else:
            print_table(f"{root}: Minari datasets", rows, _COLUMNS)


@dataclass(frozen=True)
class ImportMinari:
    """Import Minari datasets that `bodyplan data export` wrote into one dataset."""

    ids: tyro.conf.Positional[tuple[str, ...]]
    """Ids of Minari datasets, one for each robot."""
    out: NewPath
    """Folder of the new dataset."""
    minari_root: Path | None = None
    """Minari's folder of datasets; by default the one that Minari itself uses."""
    json: bool = False
    """Answer in JSON."""

    def run(self) -> None:
        """Import, then print what the dataset contains."""
        from bodyplan.datasets.io.minari_import import import_minari

        with progress() as report:
            dataset = import_minari(comma_list(self.ids), self.out, self.minari_root, report)
        print_contents(dataset, self.json)
