"""`bodyplan reproduce`: a table or figure of the paper, from its data to a page."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from bodyplan.cli.output import Column, print_json, print_line, print_table
from bodyplan.cli.worker_options import WorkerOptions
from bodyplan.errors import BodyplanError
from bodyplan.experiments.scales import SCALES, ScaleName
from bodyplan.progress import progress

if TYPE_CHECKING:
    from bodyplan.experiments.products.product import Product
    from bodyplan.experiments.reproduce import Reproduction


@dataclass(frozen=True)
class Reproduce:
    """Build the data of a table or figure of the paper, train what it needs, and write a page.

    The same command continues an interrupted reproduction. Tables and figures share data and runs.
    """

    name: tyro.conf.Positional[str] = ""
    """The table or figure, such as table3 or figure2; `all` for each in turn."""
    scale: ScaleName = "small"
    """smoke: three robots, in minutes. small: all robots, in hours. paper: the paper's sizes."""
    out: Path = Path("reproduction")
    """Folder for data, runs and pages; each scale has a folder of its own in it."""
    options: tyro.conf.OmitArgPrefixes[WorkerOptions] = field(default_factory=WorkerOptions)
    list: bool = False
    """Say which tables and figures there are, and what each answers."""
    dry_run: bool = False
    """Say which runs there are, how far they are and what they will cost; execute none."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Reproduce; 1 where a run failed."""
        if self.list:
            self._show_catalogue()
            return 0
        if not self.name:
            raise BodyplanError(
                "name a table or figure, such as `bodyplan reproduce table3`, or see --list"
            )
        from bodyplan.experiments.paper_catalogue import CATALOGUE
        from bodyplan.experiments.reproduce import find_product, reproduce

        names = list(CATALOGUE) if self.name == "all" else [self.name]
        products = [find_product(name) for name in names]
        if self.dry_run:
            self._show_plan(products)
            return 0
        workers, found = self.options.make(), []
        for product in products:
            with progress() as display:
                out = self.out / self.scale
                found.append(reproduce(product, SCALES[self.scale], out, workers, display))
        if self.json:
            print_json({own.product.name: _document(own) for own in found})
        else:
            for own in found:
                _show(own)
        return 1 if any(own.failed for own in found) else 0

    def _show_plan(self, products: "Sequence[Product]") -> None:
        from bodyplan.experiments.reproduction_plan import data_bytes, plan_product

        scale, out = SCALES[self.scale], self.out / self.scale
        plans = {own.name: plan_product(own, scale, out) for own in products}
        disk = {own.name: data_bytes(own, scale, out) for own in products}
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
            if not plan:
                trains = "needs data only" if disk[name] else "needs neither data nor runs"
                print_line(f"{name} {trains}; data take {disk[name] / 1e9:.2f} GB")
                continue
            print_table(f"{name} at scale {self.scale}", [asdict(own) for own in plan], columns)
            hours = [own.hours for own in plan]
            known = [own for own in hours if own is not None]
            time = f"{sum(known):.1f} hours of training are left"
            if len(known) < len(hours):
                time = "hours are known once a run of a method has begun"
            print_line(f"{time}; data take {disk[name] / 1e9:.2f} GB")

    def _show_catalogue(self) -> None:
        from bodyplan.experiments.paper_catalogue import CATALOGUE

        if self.json:
            rows = [
                {"name": own.name, "question": own.question, "doubt": own.doubt}
                for own in CATALOGUE.values()
            ]
            print_json({"tables": rows})
            return
        rows = [
            {"name": own.name + "*" * bool(own.doubt), "question": own.question}
            for own in CATALOGUE.values()
        ]
        columns = [Column("name", whole=True), Column("question")]
        print_table("The paper's tables and figures (arXiv 2602.18025)", rows, columns)
        print_line("* What the paper's own shows is not wholly known here; the page says more.")


def _show(found: "Reproduction") -> None:
    print_line(f"{found.product.name}: {found.product.title}")
    for sentence in found.found.sentences if found.found else ():
        print_line(sentence)
    for own in found.failed:
        print_line(f"failed: {own.run.label}: {own.problem}")
    if found.page and found.found:
        figure = ", .tex and .svg" if found.found.draw else " and .tex"
        print_line(f"written to {found.page}, and beside it .csv{figure}")
    else:
        print_line("the same command tries the failed runs again")


def _document(found: "Reproduction") -> dict[str, object]:
    return {
        "sentences": list(found.found.sentences) if found.found else [],
        "rows": [dict(row) for row in found.found.table.rows] if found.found else [],
        "failed": [{"run": own.run.label, "problem": own.problem} for own in found.failed],
        "page": None if found.page is None else str(found.page),
    }
