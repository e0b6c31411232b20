"""Reproduce a table or figure of the paper: its data, its runs, and a page with both results.

    <out>/data/<set>/    datasets, shared by all products of a scale
    <out>/runs/<key>/    runs, shared by all products that have them
    <out>/<name>.html    the page, with <name>.csv and <name>.tex, and <name>.svg of a figure

The same call continues an interrupted reproduction. What another product has trained is not trained
again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bodyplan.datasets.build import build_dataset
from bodyplan.errors import BodyplanError
from bodyplan.experiments.paper_catalogue import CATALOGUE
from bodyplan.experiments.products.product import PlannedRun, Product, Workspace
from bodyplan.experiments.run_queue import RunOutcome, Workers, execute_all
from bodyplan.experiments.scales import ReproductionScale
from bodyplan.locking import writer_lock
from bodyplan.progress import ProgressDisplay
from bodyplan.report.reproduction_page import Findings, PageHead, write_reproduction


@dataclass(frozen=True)
class Reproduction:
    """What came out of a reproduction."""

    product: Product
    outcomes: tuple[RunOutcome, ...]
    found: Findings | None = None
    """None where a run failed."""
    page: Path | None = None

    @property
    def failed(self) -> tuple[RunOutcome, ...]:
        """The runs that failed."""
        return tuple(own for own in self.outcomes if own.state == "failed")


def reproduce(
    product: Product,
    scale: ReproductionScale,
    out: str | Path,
    workers: Workers,
    display: ProgressDisplay | None = None,
) -> Reproduction:
    """Build the data, execute the runs, and write the page.

    Args:
        product: which table or figure.
        scale: how large.
        out: folder of all reproductions of that scale.
        workers: who executes the runs.
        display: shows how it goes on.

    Raises:
        BodyplanError: the folder belongs to another scale, or cannot be written to.
    """
    at = Workspace(scale, Path(out))
    with writer_lock(at.out / f"{product.name}.html"):
        for name in product.datasets:
            recipe, _, command = name.rpartition("-")
            build_dataset(
                at.data(name),
                scale.robots or "all",
                recipe,
                command,
                scale.steps,
                progress=display,
            )
        outcomes = _execute(product.runs(at), workers, display)
        if any(own.state == "failed" for own in outcomes):
            return Reproduction(product, outcomes)
        found = product.found(at)
        page = write_reproduction(_head(product, scale), found, at.out / f"{product.name}.html")
    return Reproduction(product, outcomes, found, page)


def _execute(
    runs: Sequence[PlannedRun], workers: Workers, display: ProgressDisplay | None
) -> tuple[RunOutcome, ...]:
    """Stage by stage, up to the first in which a run fails."""
    outcomes: list[RunOutcome] = []
    for stage in sorted({own.stage for own in runs}):
        outcomes += execute_all([own.run for own in runs if own.stage == stage], workers, display)
        if any(own.state == "failed" for own in outcomes):
            break
    return tuple(outcomes)


def _head(product: Product, scale: ReproductionScale) -> PageHead:
    facts = scale.in_words() if product.trained else {"Scale": scale.name}
    return PageHead(
        name=product.name,
        title=product.title,
        question=product.question,
        doubt=product.doubt,
        facts=facts,
        trained=product.trained,
    )


def find_product(name: str) -> Product:
    """The table or figure of that name.

    Raises:
        BodyplanError: there is none.
    """
    if name not in CATALOGUE:
        raise BodyplanError(
            f"there is no {name}; choose from {', '.join(CATALOGUE)}, or see --list"
        )
    return CATALOGUE[name]
