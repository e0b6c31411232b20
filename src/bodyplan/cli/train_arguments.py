"""The options of `bodyplan train`: `TrainConfig`'s settings and every method's hyperparameters.

They are made from the registry, so that algorithms and combiners of installed packages have their
options and their help like bodyplan's own: `--algorithm mine --mine.alpha 3`.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, asdict, field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import tyro

from bodyplan.cli.method_options import options_from_source
from bodyplan.errors import BodyplanError
from bodyplan.field_docstrings import field_docstrings
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.registry import ALGORITHMS, COMBINERS, Registry

_REGISTRIES: dict[str, Registry] = {"algorithm": ALGORITHMS, "combine": COMBINERS}
_ALIASES = {"init_from": ("--begin-with",)}
"""Former names of options, which still work."""


class TrainArguments:
    """Base of the dataclass that `train_arguments` makes."""

    def to_config(self) -> TrainConfig:
        """The configuration that the options give.

        Raises:
            BodyplanError: an algorithm or combiner cannot be used.
        """
        settings: dict[str, Any] = {
            one.name: getattr(self, one.name) for one in fields(TrainConfig)
        }
        for setting, registry in _REGISTRIES.items():
            name = settings[setting]
            options = getattr(self, name, None)
            settings[setting] = registry.make(name, asdict(options) if options else {})
        settings["groups"] = _written_groups(settings["groups"])
        return TrainConfig(**settings)


def with_config_file(arguments: Sequence[str]) -> list[str]:
    """The arguments, after them the options of the file that `--config` names.

    Options that are given already are not taken from the file, and neither is `--out`. What is
    switched on in the file, `no-` before its name switches off, as in `--no-tensorboard`.

    Raises:
        BodyplanError: the file is missing, damaged or of another version.
    """
    given = {_option_name(argument) for argument in arguments if argument.startswith("--")}
    path = None
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if argument.startswith("--config="):
            path = Path(argument.partition("=")[2])
        elif before == "--config":
            path = Path(argument)
    if path is None:
        return list(arguments)
    from bodyplan.learn.train_options import config_of_file, train_options

    options = train_options(config_of_file(path))
    taken = [own for own in options if _option_name(own[0]) not in {*given, "out"}]
    off = {f"--no-{own[0].removeprefix('--')}" for own in options if len(own) == 1}
    kept = [argument for argument in arguments if argument.replace("_", "-") not in off]
    return [*kept, *(text for option in taken for text in option)]


def _option_name(argument: str) -> str:
    """The name of an option however it is spelled: without `no-`, and no alias."""
    name = argument.partition("=")[0].removeprefix("--").replace("_", "-")
    for setting, aliases in _ALIASES.items():
        if f"--{name}" in aliases:
            return setting.replace("_", "-")
    *group, own = name.split(".")
    return ".".join([*group, own.removeprefix("no-")])


def _written_groups(groups: Any) -> Any:
    """Groups that are given as JSON in the place of a file."""
    text = str(groups).strip()
    if not isinstance(groups, Path) or not text.startswith("["):
        return groups
    try:
        return json.loads(text)
    except ValueError as error:
        raise BodyplanError(
            f"--groups {text} is not valid JSON ({error}); write it as "
            '\'[["unitree_go1", "badger"], ["hexapod"]]\', in quotes'
        ) from error


def train_arguments() -> type[TrainArguments]:
    """A dataclass with a field for each setting and for each method's hyperparameters."""
    docs = field_docstrings(TrainConfig)
    options: list[tuple[str, Any, Any]] = []
    for one in fields(TrainConfig):
        registry = _REGISTRIES.get(one.name)
        kind = Literal[registry.names()] if registry else _on_command_line(one.type)
        help_text = docs[one.name].partition(" In Python also")[0]
        argument = tyro.conf.arg(help=help_text, aliases=_ALIASES.get(one.name))
        default = field() if one.default is MISSING else field(default=one.default)
        options.append((one.name, Annotated[kind, argument], default))
    for registry in _REGISTRIES.values():
        for name, method in _with_options(registry):
            argument = tyro.conf.arg(help=f"Hyperparameters of {name}.")
            options.append((name, Annotated[method, argument], field(default_factory=method)))
    return make_dataclass("Arguments", options, bases=(TrainArguments,), frozen=True)


def _with_options(registry: Registry) -> Iterator[tuple[str, type]]:
    """Methods with hyperparameters; a faulty package's method is left to whoever asks for it."""
    for name in registry.names():
        module, _, kind = registry.builtin.get(name, "").rpartition(":")
        method = options_from_source(module, kind) if module else None
        try:
            method = method or registry.find(name)
        except BodyplanError:
            continue
        if fields(method):
            yield name, method


def _on_command_line(hint: Any) -> Any:
    """`Path` for `Path | str`, since on the command line every path is text; and no lists."""
    parts = get_args(hint)
    if Path not in parts or str not in parts:
        return hint
    kept = (part for part in parts if part is not str and get_origin(part) is not Sequence)
    return Union[tuple(kept)]  # noqa: UP007 (made at run time)
