"""Tables of settings, printed from the code beside what the paper tells of them."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, ClassVar, Literal

from bodyplan.experiments.paper_arms import ARMS
from bodyplan.experiments.paper_numbers import reported_settings
from bodyplan.experiments.products.product import Product, Workspace
from bodyplan.field_docstrings import field_docstrings
from bodyplan.report.data_table import DataTable
from bodyplan.report.html_page import TableColumn
from bodyplan.report.reproduction_page import Findings, PageSection

_COLUMNS = (
    TableColumn("setting", "setting"),
    TableColumn("here", "here", strong=True),
    TableColumn("paper", "the paper"),
    TableColumn("agrees", "agree"),
    TableColumn("meaning", "what it is"),
)
_DATA_COLUMNS = (TableColumn("of", "of"), *_COLUMNS)


@dataclass(frozen=True, kw_only=True)
class SettingsTable(Product):
    """The settings of some parts of the code."""

    parts: tuple[Literal["training", "experts", "groups", "networks", "combiners"], ...]

    trained: ClassVar[bool] = False

    def found(self, at: Workspace) -> Findings:
        """A section for each object that has settings."""
        reported = reported_settings(self.name)
        sections = tuple(
            PageSection(title, text, DataTable(_COLUMNS, tuple(_rows(settings, prefix, reported))))
            for part in self.parts
            for title, text, prefix, settings in _PARTS[part](at)
        )
        rows = [{"of": section.title, **row} for section in sections for row in section.table.rows]
        data = DataTable(_DATA_COLUMNS, tuple(rows))
        return Findings(_sentences(rows), sections, data=data, latex=data.latex())


def _rows(settings: Any, prefix: str, reported: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """A row for each setting that says something here, in the order of the code."""
    docs = _all_docstrings(type(settings))
    shown = {one.name for one in fields(settings) if one.name in docs}
    for name, value in asdict(settings).items():
        if name not in shown:
            continue
        known = reported.get(f"{prefix}.{name}")
        yield {
            "setting": name,
            "here": in_words(value),
            "paper": known or "",
            "agrees": "" if known is None else "yes" if known == in_words(value) else "no",
            "meaning": docs[name].split(". ")[0].replace("\n", " ").rstrip("."),
        }


def _all_docstrings(kind: type) -> dict[str, str]:
    """Of a dataclass and of those that it inherits from."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if is_dataclass(base):
            found |= field_docstrings(base)
    return found


def _sentences(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    known = [row for row in rows if row["agrees"]]
    other = [row["setting"] for row in known if row["agrees"] == "no"]
    first = f"{len(rows)} settings, of which the paper's value of {len(known)} is known here."
    if not known:
        return (first,)
    if not other:
        return (first, "All of these agree.")
    agree = f"{len(known) - len(other)} agree" if len(other) < len(known) else "None agrees"
    return (first, f"{agree}; these differ: {', '.join(dict.fromkeys(other))}.")


def in_words(value: Any) -> str:
    """A value as a reader expects it: 100,000 and 0.0003."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.10g}"
        case tuple() | list():
            return ", ".join(map(in_words, value))
        case _:
            return str(value)


Part = tuple[str, str, str, Any]
"""Title, a sentence, prefix of what the paper's numbers are listed under, and the settings."""


def _training(at: Workspace) -> Iterator[Part]:
    for name in ("IQL", "TD3+BC", "BC"):
        config = at.config(ARMS[name], "data", 0)
        text = "Hyperparameters of the algorithm."
        yield name, text, config.algorithm_name, config.algorithm
    text = "Settings of every training; those of single methods are in the other tables."
    yield "Training", text, "train", _Sizes.of(at)


@dataclass(frozen=True)
class _Sizes:
    """The sizes of a training."""

    updates: int
    """Updates of the critics."""
    batch_size: int
    """Transitions of each robot in one update."""
    steps: int
    """Control steps of each robot in each set."""
    seeds: int
    """Runs of each method on each set."""
    episodes: int
    """Of each robot in an evaluation."""
    groups: int
    """Groups of robots, where a method has groups."""

    @classmethod
    def of(cls, at: Workspace) -> "_Sizes":
        scale = at.scale
        training = scale.training
        sizes = scale.steps, scale.seeds, scale.episodes, scale.groups
        return cls(training["updates"], training["batch_size"], *sizes)


def _experts(at: Workspace) -> Iterator[Part]:
    from bodyplan.experts.ppo import PPOConfig

    text = (
        "PPO that trains experts, by default. The data come from such runs, which are packaged; "
        "the paper's are of another implementation."
    )
    yield "PPO", text, "ppo", PPOConfig()


def _groups(at: Workspace) -> Iterator[Part]:
    from bodyplan.grouping.body_metric import DEFAULT_METRIC

    text = "The Fused Gromov-Wasserstein distance. Clusters are merged by Ward's rule."
    yield "Distance", text, "fgw", DEFAULT_METRIC


def _networks(at: Workspace) -> Iterator[Part]:
    from bodyplan.learn.networks.urma import PRESETS

    name = at.scale.training["network"]
    text = f"Sizes of `{name}`, which this scale trains. URMA's stand for the paper's."
    yield f"Networks {name}", text, "urma", PRESETS[name]


def _combiners(at: Workspace) -> Iterator[Part]:
    from bodyplan.learn.registry import COMBINERS

    for name in ("grouped", "selective", "cagrad", "aligned_mtl"):
        text = "How robots share the actor. PCGrad and pooled updates have no settings."
        yield name, text, name, COMBINERS.find(name)()


_PARTS = {
    "training": _training,
    "experts": _experts,
    "groups": _groups,
    "networks": _networks,
    "combiners": _combiners,
}
