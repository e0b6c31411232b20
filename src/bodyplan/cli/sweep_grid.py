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

[tuning]                   # each arm chooses among these first, with seeds of their own
learning_rate = [3e-4, 1e-3, 4e-3]
seed = [100, 101]

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
from bodyplan.experiments.tuning_trials import Candidate
from bodyplan.learn.config import TrainConfig, flat_settings
from bodyplan.learn.registry import ALGORITHMS
from bodyplan.learn.train_options import option_words
from bodyplan.robots.toml_reader import read_toml

GRID_TABLES = ("settings", "arms", "grid", "tuning", "evaluation")
MOST_RUNS = 10_000
"""Runs of a sweep; more are a mistake in the grid."""
_PLACE = {"out": "."}  # the sweep decides the folders


@dataclass(frozen=True)
class SweepGrid:
    """The runs that a file asks for."""

    arms: Mapping[str, Sequence[Candidate]]
    """What each arm may be compared with: a single candidate where nothing is tuned."""
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
            option is unknown, a value is out of its range, a list of the grid is empty, or seeds
            of the tuning are those of the comparison.
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
    grid = _grid(path, "grid", _flat(path, "grid", tables.get("grid", {})))
    tried = _tuning(path, tables.get("tuning"))
    arms: dict[str, list[Candidate]] = {}
    named = tables.get("arms") or {"": {}}
    for name, own in named.items():
        place = f"arms.{name}" if name else "settings"
        if not isinstance(own, Mapping):
            raise BodyplanError(f"{path}: {place} must be a table; write [{place}]")
        base = settings | _flat(path, place, own)
        combinations: dict[str, list[dict[str, Any]]] = {}
        for values in grid:
            title = " ".join(filter(None, [name, *_words(values, grid)])) or "run"
            combinations.setdefault(title, []).append(base | values)
        for title, each in combinations.items():
            arms[title] = _candidates(path, place, each, tried)
    return SweepGrid(arms, _evaluation(path, tables.get("evaluation", {})))


def _tuning(path: Path, table: Any) -> list[dict[str, Any]]:
    """Every combination that an arm tries, with every seed; none where nothing is tuned."""
    if table is None:
        return []
    lists = _flat(path, "tuning", table)
    if "seed" not in lists:
        raise BodyplanError(
            f"{path}: [tuning] has no seed; give seeds that [grid] does not have, such as [100]"
        )
    tried = _grid(path, "tuning", lists)
    if not any(_words(values, tried) for values in tried):
        raise BodyplanError(f"{path}: [tuning] has nothing to choose from; give a list of values")
    return tried


def _candidates(
    path: Path, place: str, compared: Sequence[Mapping[str, Any]], tried: Sequence[dict[str, Any]]
) -> list[Candidate]:
    """What an arm tries, each with the seeds of tuning and with those of the comparison.

    Args:
        path: the file.
        place: of the arm in it.
        compared: the arm's settings, which differ in their seeds.
        tried: settings and seeds of the tuning.
    """
    final = [_config(path, place, settings) for settings in compared]
    if not tried:
        return [Candidate("", (), tuple(final))]
    both = {own.seed for own in final} & {values["seed"] for values in tried}
    if both:
        raise BodyplanError(
            f"{path}: seed {min(both)} is in [tuning] and is compared; a seed that helps to choose "
            "may not judge, so give others"
        )
    algorithm = final[0].algorithm_name
    known = {own.name for own in fields(ALGORITHMS.find(algorithm))}
    by_label: dict[str, list[dict[str, Any]]] = {}
    for values in tried:
        # A hyperparameter without its algorithm is that of the arm's.
        named = {
            f"{algorithm}.{name}".replace("_", "-") if name.replace("-", "_") in known else name: v
            for name, v in values.items()
        }
        by_label.setdefault(" ".join(_words(values, tried)), []).append(named)
    return [
        Candidate(
            label,
            tuple(_config(path, place, {**compared[0], **own}) for own in each),
            tuple(
                _config(path, place, {**settings, **each[0], "seed": config.seed})
                for settings, config in zip(compared, final, strict=True)
            ),
        )
        for label, each in by_label.items()
    ]


def _flat(path: Path, table: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """A table's settings under the names of options, without dashes at their beginning."""
    weights = settings.get("weights")
    others = {name: value for name, value in settings.items() if name != "weights"}
    flat = {name.replace("_", "-"): value for name, value in flat_settings(others).items()}
    if "out" in flat:
        raise BodyplanError(f"{path}: [{table}] has out; leave it out, --out is of the whole sweep")
    return flat | ({} if weights is None else {"weights": weights})


def _grid(path: Path, table: str, lists: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every combination of a table's values; seeds vary fastest."""
    for name, values in lists.items():
        if not isinstance(values, list) or not values:
            raise BodyplanError(
                f"{path}: [{table}] {name} must be a list of values, such as [1, 2]"
            )
    names = sorted(lists, key=lambda name: name == "seed")
    count = 1
    for name in names:
        count *= len(lists[name])
    if count > MOST_RUNS:
        raise BodyplanError(
            f"{path}: [{table}] has {count:,} combinations; give {MOST_RUNS:,} or fewer"
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
