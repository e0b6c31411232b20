"""The docstrings below the fields of a dataclass, which are the help of settings everywhere."""

import ast
import inspect
import textwrap
from collections.abc import Iterator


def field_docstrings(kind: type) -> dict[str, str]:
    """The docstring below each field of a dataclass, by the field's name."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    return {ast.unparse(one.target): text for one, text in documented_fields(body) if text}


def documented_fields(body: ast.ClassDef) -> Iterator[tuple[ast.AnnAssign, str]]:
    """The annotated assignments of a class, each with the docstring below it."""
    for statement, after in zip(body.body, [*body.body[1:], ast.Pass()], strict=True):
        if isinstance(statement, ast.AnnAssign):
            match after:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    yield statement, inspect.cleandoc(text)
                case _:
                    yield statement, ""
