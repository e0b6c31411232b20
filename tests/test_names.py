"""Names, checked on the source itself: one meaning a name, and private names stay private."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "bodyplan"
TESTS = sorted((ROOT / "tests").glob("*.py"))

NAMED_TUPLE = {"_replace", "_asdict", "_fields", "_make"}  # public in spite of the underscore


def public_names(source: str) -> set[str]:
    """Public classes, functions and constants that a module defines at its top level."""
    names: set[str] = set()
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(statement.name)
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            nodes = (node for target in targets for node in ast.walk(target))
            names |= {node.id for node in nodes if isinstance(node, ast.Name)}
    return {name for name in names if not name.startswith("_")}


def shared_names(modules: dict[str, str]) -> dict[str, list[str]]:
    """Public names that more than one module defines, and those modules."""
    homes = defaultdict(list)
    for module, source in modules.items():
        for name in sorted(public_names(source)):
            homes[name].append(module)
    return {name: found for name, found in homes.items() if len(found) > 1}


def private_uses(source: str) -> list[str]:
    """Private names of the package that a test imports, reads or patches; constants it patches."""
    tree, imported, found = ast.parse(source), set(), []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "bodyplan":
            imported |= {alias.asname or alias.name for alias in node.names}
            path = [*node.module.split("."), *(alias.name for alias in node.names)]
            found += [name for name in path if is_private(name)]
        elif isinstance(node, ast.Import):
            packages = [a for a in node.names if a.name.split(".")[0] == "bodyplan"]
            imported |= {(a.asname or a.name).split(".")[0] for a in packages}
            found += [p for a in packages for p in a.name.split(".") if is_private(p)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and root(node) in imported:
            found.append(node.attr)
        elif isinstance(node, ast.Call):
            found += patched_names(node, imported)
    return found


def patched_names(call: ast.Call, imported: set[str]) -> list[str]:
    """Private names and constants in a call of `setattr`, `delattr`, `patch` or `patch.object`."""
    called = call.func.attr if isinstance(call.func, ast.Attribute) else root(call.func)
    if called not in {"setattr", "delattr", "patch", "object"} or not call.args:
        return []
    texts = [a.value for a in call.args[:2] if isinstance(a, ast.Constant)]
    path = [str(text) for text in texts if isinstance(text, str)]
    if not path or not (root(call.args[0]) in imported or path[0].startswith("bodyplan.")):
        return []
    last = path[-1].rpartition(".")[2]
    return [last] if is_private(last) or last.isupper() else []


def is_private(name: str) -> bool:
    """Whether a leading underscore makes a name private; not so in `_replace` and `_repr_html_`."""
    own = name.startswith("_") and not name.endswith("_")
    return own and name not in NAMED_TUPLE


def root(node: ast.AST) -> str | None:
    """`a` of `a.b.c`."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("class A:\n  def f(self): ...", {"A"}),
        ("def f():\n  inner = 1", {"f"}),
        ("async def f(): ...", {"f"}),
        ("A, (B, _c) = 1, (2, 3)", {"A", "B"}),
        ("A: int = 1", {"A"}),
        ("from x import A\n__all__ = ['A']\n_B = 1", set()),
    ],
)
def test_public_names_are_found_in_every_spelling(source, names):
    assert public_names(source) == names


def test_a_shared_name_is_found():
    modules = {"a": "def f(): ...", "b": "f = 1", "c": "from a import f"}
    assert shared_names(modules) == {"f": ["a", "b"]}


@pytest.mark.parametrize(
    "source",
    [
        "from bodyplan.storage import _flush",
        "from bodyplan.storage import (\n  _flush as flush,\n)",
        "from bodyplan import _version",
        "import bodyplan._version",
        "from bodyplan import storage\nstorage._flush(1)",
        "from bodyplan.envs.environment import Environment\nEnvironment._reset",
        "import bodyplan\nbodyplan.storage._flush(1)",
        "from bodyplan import storage\nmonkeypatch.setattr(storage, '_flush', f)",
        "from bodyplan import storage\nmonkeypatch.setattr(storage, 'SECONDS', 1)",
        "monkeypatch.setattr('bodyplan.storage._flush', f)",
        "from bodyplan import storage\nmock.patch.object(storage, 'SECONDS', 1)",
    ],
)
def test_private_names_are_found_in_every_spelling(source):
    assert private_uses(source)


@pytest.mark.parametrize(
    "source",
    [
        "from bodyplan import storage\nstorage.flush(1)",
        "import os\nmonkeypatch.setattr(os, '_exit', f)",
        "from bodyplan import storage\nmonkeypatch.setattr(storage, 'sha256', f)",
        "from bodyplan.a import A\nA(1)._replace(b=2)\nA._fields\nA._repr_html_()",
        "class Fake:\n  def f(self): return self._value",
    ],
)
def test_public_names_may_be_used(source):
    assert private_uses(source) == []


def test_no_public_name_has_two_homes():
    modules = {
        str(path.relative_to(PACKAGE)): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))
    }
    assert shared_names(modules) == {}


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_tests_leave_private_names_and_constants_alone(path):
    assert private_uses(path.read_text()) == []
