"""The hyperparameters of bodyplan's own methods as options, read from the source of each method.

Importing a method imports JAX, which takes a second, and most commands with these options never use
most methods. Only plain fields can be read: a name, a plain type, a literal default, and the text
below. A method with any other field is imported after all.
"""

import ast
from dataclasses import field, make_dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union

import tyro

from bodyplan import bounds
from bodyplan.field_docstrings import documented_fields

_TYPES: dict[str, type] = {"bool": bool, "float": float, "int": int, "str": str}


class OptionSource(NamedTuple):
    """A field of a dataclass, as its source says it."""

    name: str
    kind: Any
    """Its type."""
    default: Any
    text: str
    """Below the field."""


def options_from_source(module: str, name: str) -> type | None:
    """A dataclass with the fields of the dataclass `name` in `module`, without importing it.

    Returns:
        None where a field cannot be read.
    """
    try:
        found = read_fields(module, name)
    except ValueError:
        return None
    options = [
        (one.name, Annotated[one.kind, tyro.conf.arg(help=one.text)], field(default=one.default))
        for one in found.values()
    ]
    return make_dataclass(name, options, frozen=True, kw_only=True)


def read_fields(module: str, name: str) -> dict[str, OptionSource]:
    """The fields of a dataclass by name, after those of the classes it derives from.

    Raises:
        ValueError: a field is not plain, or there is no such class.
    """
    tree = _parsed(module)
    body = _class_in(tree, name)
    if body is None:
        raise ValueError(f"{module} defines no {name}")
    found: dict[str, OptionSource] = {}
    for base in map(ast.unparse, body.bases):
        home = module if _class_in(tree, base) else _home(tree, base)
        if home is not None:
            found |= read_fields(home, base)
    for statement, text in documented_fields(body):
        if ast.unparse(statement.annotation).startswith("ClassVar"):
            continue
        if statement.value is None:
            raise ValueError(f"{ast.unparse(statement)} has no default")
        own, kind = ast.unparse(statement.target), _type_of(module, statement.annotation)
        found[own] = OptionSource(own, kind, ast.literal_eval(statement.value), text)
    return found


def _class_in(tree: ast.Module, name: str) -> ast.ClassDef | None:
    classes = (one for one in tree.body if isinstance(one, ast.ClassDef) and one.name == name)
    return next(classes, None)


def _type_of(module: str, annotation: ast.expr) -> Any:
    match annotation:
        case ast.Constant(value=None):
            return None
        case ast.Name(id=name) if name in _TYPES:
            return _TYPES[name]
        case ast.Name(id=name):
            return _alias(module, name)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            values = ast.literal_eval(choices)
            return Literal[values if isinstance(values, tuple) else (values,)]
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return Union[_type_of(module, left), _type_of(module, right)]  # noqa: UP007
    raise ValueError(f"the type {ast.unparse(annotation)} is not plain")


def _alias(module: str, name: str) -> Any:
    """The type that a name stands for in a module, or where it was imported from."""
    tree = _parsed(module)
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                return _type_of(module, value)
    home = _home(tree, name)
    if home is None:
        raise ValueError(f"the type {name} is not plain")
    if home == bounds.__name__:
        return getattr(bounds, name)
    return _alias(home, name)


def _home(tree: ast.Module, name: str) -> str | None:
    """The module of the package that a name is imported from."""
    for statement in tree.body:
        match statement:
            case ast.ImportFrom(module=str(module), names=names) if module.startswith("bodyplan."):
                if name in [alias.name for alias in names if alias.asname is None]:
                    return module
    return None


@cache
def _parsed(module: str) -> ast.Module:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ValueError(f"{module} has no source")
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
