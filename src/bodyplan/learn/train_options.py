"""A configuration as options of `bodyplan train`, so that any run can be told and repeated."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bodyplan.errors import BodyplanError
from bodyplan.learn.config import GROUPS_FROM, TrainConfig
from bodyplan.learn.registry import ALGORITHMS, COMBINERS
from bodyplan.learn.run import RunConfig
from bodyplan.records import checked_record, read_record

if TYPE_CHECKING:
    from bodyplan.learn.algorithms.algorithm import Algorithm
    from bodyplan.learn.combiners.combiner import Combiner


def train_options(config: TrainConfig) -> list[list[str]]:
    """The options that give this configuration, each with its values; defaults are left out.

    Lists of groups are given as JSON. `--data` and `--out` come first.
    """
    options = [["--data", str(config.data)], ["--out", str(config.out)]]
    for one in fields(TrainConfig):
        if one.name not in ("data", "out", "algorithm", "combine"):
            options += _option(one.name, getattr(config, one.name), one)
    chosen: dict[str, tuple[str, Algorithm | Combiner]] = {
        "algorithm": (config.algorithm_name, ALGORITHMS.make(config.algorithm)),
        "combine": (config.combiner_name, COMBINERS.make(config.combine)),
    }
    for setting, (name, method) in chosen.items():
        options += _option(setting, name, TrainConfig.__dataclass_fields__[setting])
        for own in fields(method):
            options += _option(f"{name}.{own.name}", getattr(method, own.name), own)
    return options


def config_of_file(path: Path) -> TrainConfig:
    """The configuration in a config.json, or in that of a run's folder.

    Groups that were asked for by their number are found again; others are those of the run.

    Raises:
        BodyplanError: there is none, it is damaged, or its methods are not installed.
    """
    path = path / "config.json" if path.is_dir() else path
    fix = "give the config.json of a run"
    document = read_record(path, dict, fix)
    settings = {name: value for name, value in document.items() if name != "groups"}
    checked_record(str(path), {"robots": [], **settings}, RunConfig, fix)
    given = document.get(GROUPS_FROM)
    try:
        config = TrainConfig.from_json(
            document | ({"groups": given} if isinstance(given, int) else {})
        )
        train_options(config)
    except (KeyError, TypeError, ValueError, AttributeError, BodyplanError) as error:
        raise BodyplanError(
            f"{path} is no configuration that this version can take ({error}); {fix}"
        ) from error
    return config


def option_words(name: str, value: Any) -> list[str]:
    """The words of a command line that give an option this value; none for None.

    Args:
        name: of the option, with its method before a dot, such as `iql.beta`.
        value: a number, text or path, several of them, a mapping, or lists of groups.
    """
    option = f"--{name.replace('_', '-')}"
    if value is None:
        return []
    if isinstance(value, bool):
        *group, own = option.removeprefix("--").split(".")
        return [option if value else "--" + ".".join([*group, f"no-{own}"])]
    if isinstance(value, Mapping):
        return [option, *(text for pair in value.items() for text in map(_text, pair))]
    if isinstance(value, Sequence) and not isinstance(value, str):
        if name == "groups":
            return [option, json.dumps([list(group) for group in value], separators=(",", ":"))]
        return [option, *map(_text, value)]
    return [option, _text(value)]


def _option(name: str, value: Any, field: Field[Any]) -> Iterator[list[str]]:
    """The option of one setting, unless it has its default or nothing."""
    default = field.default is not MISSING and value == field.default
    if not default and value not in (None, (), [], {}):
        yield option_words(name, value)


def _text(value: Any) -> str:
    return repr(value) if isinstance(value, float) else str(value)
