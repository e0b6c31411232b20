"""The file of a sweep: which runs it has, as options of `bodyplan train` in TOML.

[settings]                 # of every run
data = "data/sub70"
network = "small"
iql.beta = 1.0

[arms.pooled]              # named variants
[arms."EG 4"]
combine = "grouped"
groups = 4

[grid]                     # every combination, of every arm
seed = [0, 1, 2]
"iql.learning_rate" = [1e-3, 4e-3]

[evaluation]               # options of `bodyplan evaluate`
episodes = 16
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

import tyro

from bodyplan.cli.output import comma_list
from bodyplan.cli.parsing import parse
from bodyplan.cli.train_arguments import train_arguments
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.evaluation import EvaluationConfig
from bodyplan.learn.config import TrainConfig, flat_settings
from bodyplan.learn.train_options import option_words
from bodyplan.robots.toml_reader import read_toml

GRID_TABLES = ("settings", "arms", "grid", "evaluation")
MOST_RUNS = 10_000
"""Runs of a sweep; more are a mistake in the grid."""
_PLACE = {"out": "."}  # the sweep decides the folders


@dataclass(frozen=True)
class SweepGrid:
    """The runs that a file asks for."""

    arms: Mapping[str, Sequence[TrainConfig]]
    """Of each arm its configurations, which differ in their seeds."""
    evaluation: EvaluationConfig
    """How every policy is evaluated."""


@dataclass(frozen=True)
class _Settings:
    """The options of one run."""

    config: Annotated[train_arguments(), tyro.conf.arg(name="")]  # type: ignore[valid-type]


@dataclass(frozen=True)
class _Evaluation:
    """The options of the evaluation."""

    config: Annotated[EvaluationConfig, tyro.conf.arg(name="")] = field(
        default_factory=EvaluationConfig
    )


def read_sweep_grid(path: Path) -> SweepGrid:
    """Read the file of a sweep.

    Raises:
        BodyplanError: naming the file and the table: it is missing or no TOML, a table or an
            option is unknown, a value is out of its range, or a list of the grid is empty.
    """
    tables = read_toml(path)
    unknown = sorted(tables.keys() - set(GRID_TABLES))
    if unknown:
        raise BodyplanError(
            f"{path} has a table [{unknown[0]}]; it may have {', '.join(GRID_TABLES)}"
        )
    for name in tables:
        if not isinstance(tables[name], Mapping):
            raise BodyplanError(f"{path}: {name} must be a table; write [{name}]")
    settings = _flat(path, "settings", tables.get("settings", {}))
    grid = _grid(path, _flat(path, "grid", tables.get("grid", {})))
    arms: dict[str, list[TrainConfig]] = {}
    named = tables.get("arms") or {"": {}}
    for name, own in named.items():
        place = f"arms.{name}" if name else "settings"
        if not isinstance(own, Mapping):
            raise BodyplanError(f"{path}: {place} must be a table; write [{place}]")
        base = settings | _flat(path, place, own)
        for values in grid:
            title = " ".join(filter(None, [name, *_words(values, grid)])) or "run"
            config = _config(path, place, base | values)
            arms.setdefault(title, []).append(config)
    return SweepGrid(arms, _evaluation(path, tables.get("evaluation", {})))


def _flat(path: Path, table: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """A table's settings under the names of options, without dashes at their beginning."""
    weights = settings.get("weights")
    others = {name: value for name, value in settings.items() if name != "weights"}
    flat = {name.replace("_", "-"): value for name, value in flat_settings(others).items()}
    if "out" in flat:
        raise BodyplanError(f"{path}: [{table}] has out; leave it out, --out is of the whole sweep")
    return flat | ({} if weights is None else {"weights": weights})


def _grid(path: Path, lists: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every combination of the grid's values; seeds vary fastest."""
    for name, values in lists.items():
        if not isinstance(values, list) or not values:
            raise BodyplanError(f"{path}: [grid] {name} must be a list of values, such as [1, 2]")
    names = sorted(lists, key=lambda name: name == "seed")
    count = 1
    for name in names:
        count *= len(lists[name])
    if count > MOST_RUNS:
        raise BodyplanError(
            f"{path}: [grid] has {count:,} combinations; give {MOST_RUNS:,} or fewer"
        )
    return [
        dict(zip(names, values, strict=True))
        for values in itertools.product(*(lists[name] for name in names))
    ]


def _words(values: Mapping[str, Any], grid: Sequence[Mapping[str, Any]]) -> list[str]:
    """What tells a combination apart, without its seed."""
    told = []
    for name, value in values.items():
        if name == "seed" or all(other[name] == value for other in grid):
            continue
        bare = name in ("algorithm", "combine", "network", "data")
        label = "" if bare else name.rpartition(".")[2].replace("-", "_") + "="
        told.append(label + (Path(value).name if name == "data" else str(value)))
    return told


def _config(path: Path, place: str, settings: Mapping[str, Any]) -> TrainConfig:
    words = [
        word for name, value in {**settings, **_PLACE}.items() for word in option_words(name, value)
    ]
    try:
        config: TrainConfig = parse(_Settings, "bodyplan train", words).config.to_config()
    except BodyplanError as error:
        raise BodyplanError(f"{path}: [{place}] with its grid: {error}") from error
    robots = comma_list(config.robots)
    if robots == ("all",):
        robots = ()
    return TrainConfig(
        **{one.name: getattr(config, one.name) for one in fields(TrainConfig)} | {"robots": robots}
    )


def _evaluation(path: Path, settings: Mapping[str, Any]) -> EvaluationConfig:
    words = [
        word
        for name, value in flat_settings(settings).items()
        for word in option_words(name.replace("_", "-"), value)
    ]
    try:
        config: EvaluationConfig = parse(_Evaluation, "bodyplan evaluate", words).config
    except BodyplanError as error:
        raise BodyplanError(f"{path}: [evaluation]: {error}") from error
    return config
