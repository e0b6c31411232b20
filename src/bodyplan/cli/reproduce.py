"""`bodyplan reproduce`: a table of the paper, from its data to a page."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from bodyplan.cli.output import Column, print_json, print_line, print_table
from bodyplan.cli.worker_options import WorkerOptions
from bodyplan.errors import BodyplanError
from bodyplan.experiments.paper_tables import PAPER_TABLES
from bodyplan.experiments.scales import SCALES, ScaleName
from bodyplan.progress import progress

if TYPE_CHECKING:
    from bodyplan.experiments.paper_tables import PaperTable
    from bodyplan.experiments.reproduce import Reproduction


@dataclass(frozen=True)
class Reproduce:
    """Build the data of a table of the paper, train and evaluate its methods, and write a page.

    The same command continues an interrupted reproduction. Tables share data and runs.
    """

    name: tyro.conf.Positional[str] = ""
    """The table, such as table3; `all` for each in turn."""
    scale: ScaleName = "small"
    """smoke: three robots, in minutes. small: all robots, in hours. paper: the paper's sizes."""
    out: Path = Path("reproduction")
    """Folder for data, runs and pages; each scale has a folder of its own in it."""
    options: tyro.conf.OmitArgPrefixes[WorkerOptions] = field(default_factory=WorkerOptions)
    list: bool = False
    """Say which tables there are, and what each answers."""
    dry_run: bool = False
    """Say which runs there are, how far they are and what they will cost; execute none."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Reproduce; 1 where a run failed."""
        if self.list:
            self._show_tables()
            return 0
        if not self.name:
            raise BodyplanError("name a table, such as `bodyplan reproduce table3`, or see --list")
        from bodyplan.experiments.reproduce import find_table, reproduce

        names = list(PAPER_TABLES) if self.name == "all" else [self.name]
        tables = [find_table(name, PAPER_TABLES) for name in names]
        if self.dry_run:
            self._show_plan(tables)
            return 0
        workers, found = self.options.make(), []
        for table in tables:
            with progress() as display:
                out = self.out / self.scale
                found.append(reproduce(table, SCALES[self.scale], out, workers, display))
        if self.json:
            print_json({own.table.name: _document(own) for own in found})
        else:
            for own in found:
                _show(own)
        return 1 if any(own.failed for own in found) else 0

    def _show_plan(self, tables: "Sequence[PaperTable]") -> None:
        from bodyplan.experiments.reproduction_plan import data_bytes, plan_table

        scale, out = SCALES[self.scale], self.out / self.scale
        plans = {table.name: plan_table(table, scale, out) for table in tables}
        disk = {table.name: data_bytes(table, scale) for table in tables}
        if self.json:
            print_json(
                {
                    name: {"runs": [asdict(own) for own in plan], "data_bytes": disk[name]}
                    for name, plan in plans.items()
                }
            )
            return
        columns = [
            Column("dataset", "set", whole=True),
            Column("arm", "method"),
            Column("runs", whole=True),
            Column("finished", whole=True),
            Column("hours", "hours\nleft", digits=1),
        ]
        for name, plan in plans.items():
            print_table(f"{name} at scale {self.scale}", [asdict(own) for own in plan], columns)
            hours = [own.hours for own in plan]
            known = [own for own in hours if own is not None]
            time = f"{sum(known):.1f} hours of training are left"
            if len(known) < len(hours):
                time = "hours are known once a run of a method has begun"
            print_line(f"{time}; data take {disk[name] / 1e9:.2f} GB")

    def _show_tables(self) -> None:
        rows = [{"name": own.name, "question": own.question} for own in PAPER_TABLES.values()]
        if self.json:
            print_json({"tables": rows})
            return
        columns = [Column("name", whole=True), Column("question")]
        print_table("The paper's tables (arXiv 2602.18025)", rows, columns)


def _show(found: "Reproduction") -> None:
    table = found.table
    print_line(f"{table.name}: {table.title}")
    for sentence in table.sentences if found.page else ():
        print_line(sentence)
    for own in found.failed:
        print_line(f"failed: {own.run.label}: {own.problem}")
    if found.page:
        print_line(f"written to {found.page}, and beside it .csv and .tex")
    else:
        print_line("the same command tries the failed runs again")


def _document(found: "Reproduction") -> dict[str, object]:
    return {
        "sentences": list(found.table.sentences) if found.page else [],
        "sets": {name: own.to_json() for name, own in found.table.comparisons.items()},
        "reported": found.table.reported,
        "failed": [{"run": own.run.label, "problem": own.problem} for own in found.failed],
        "page": None if found.page is None else str(found.page),
    }
