"""The options of `bodyplan train`: `TrainConfig`'s settings and every method's hyperparameters.

They are made from the registry, so that algorithms and combiners of installed packages have their
options and their help like bodyplan's own: `--algorithm mine --mine.alpha 3`.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, asdict, field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import tyro

from bodyplan.cli.method_options import documented_fields, options_from_source
from bodyplan.errors import BodyplanError
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
        return TrainConfig(**settings)


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


def field_docstrings(kind: type) -> dict[str, str]:
    """The docstring below each field of a dataclass, by the field's name."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    return {ast.unparse(one.target): text for one, text in documented_fields(body) if text}


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
