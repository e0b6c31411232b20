"""The architecture, checked on the source itself: one direction, small files, telling names."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bodyplan

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "bodyplan"
MODULES = sorted(PACKAGE.rglob("*.py"))

LAYERS = (
    {
        "bounds",
        "early_stop",
        "errors",
        "field_docstrings",
        "machine",
        "memory",
        "dataframes",
        "locking",
        "notebook_html",
        "progress",
        "provenance",
        "records",
        "safe_points",
        "storage",
    },
    {"robots"},
    {"grouping"},
    {"rendering"},
    {"envs"},
    {"datasets"},
    {"learn"},
    {"experts"},
    {"evaluation"},
    {"report"},
    {"export", "experiments", "sweep", "demo"},
    {"cli"},
)
RANKS = {name: rank for rank, names in enumerate(LAYERS) for name in names}
ENTRANCES = {"__init__", "__main__"}  # the public names stand above all layers

SAYS_NOTHING = {
    "util",
    "utils",
    "common",
    "helper",
    "helpers",
    "base",
    "manager",
    "factory",
    "misc",
}
PARALLEL_ONLY = {"joblib.Parallel", "joblib.delayed"}
"""What may be imported of joblib; its `load` unpickles files."""
RUNS_CODE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


def imported_modules(source: str, package: str) -> list[str]:
    """Absolute names of everything that a module of `package` imports, wherever it does so."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            home = package.split(".")[: len(package.split(".")) + 1 - node.level]
            prefix = ".".join(home) if node.level else ""
            origin = ".".join(part for part in (prefix, node.module) if part)
            names += [f"{origin}.{alias.name}" for alias in node.names]
    return names


def upward_imports(source: str, module: str) -> list[str]:
    """The imports of `module` (as 'bodyplan.learn.train') that point against the layers' order."""
    rank = RANKS[_layer(module)]
    return [
        name
        for name in imported_modules(source, module.rpartition(".")[0])
        if name.split(".")[0] == "bodyplan"
        and name != "bodyplan.__version__"
        and RANKS.get(_layer(name), len(LAYERS)) > rank
    ]


def import_circles(modules: dict[str, str]) -> list[set[str]]:
    """Groups of modules that import one another, anywhere in their source.

    Args:
        modules: source by name, as 'bodyplan.learn.train'.
    """
    targets = {module: _targets(module, source, modules) for module, source in modules.items()}
    reached = {module: _reachable(module, targets) for module in modules}
    circles = {
        frozenset(other for other in reached[module] if module in reached[other])
        for module in modules
        if module in reached[module]
    }
    return sorted((set(circle) for circle in circles), key=sorted)


def _targets(module, source, modules):
    """The modules that a module imports: itself named, or the home of an imported name."""
    names = imported_modules(source, module.rpartition(".")[0])
    homes = (name if name in modules else name.rpartition(".")[0] for name in names)
    return {home for home in homes if home in modules and home != module}


def _reachable(start, targets):
    reached, waiting = set(), list(targets[start])
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += targets[module]
    return reached


def _layer(name):
    """'learn' of 'bodyplan.learn.train'; nothing of 'bodyplan' itself."""
    return name.partition(".")[2].partition(".")[0]


def code_runners(source: str) -> list[str]:
    """Uses of what could run code that came in with a file: pickle and its kin, eval, exec."""
    tree = ast.parse(source)
    names = set(imported_modules(source, "")) - PARALLEL_ONLY
    found = sorted(name for name in names if name.split(".")[0] in RUNS_CODE)
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if isinstance(call.func, ast.Name) and call.func.id in {"eval", "exec"}:
            found.append(call.func.id)
        found += ["allow_pickle" for keyword in call.keywords if _allows_pickle(keyword)]
    return found


def _allows_pickle(keyword):
    refused = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
    return keyword.arg == "allow_pickle" and not refused


def _dotted(path):
    return ".".join(("bodyplan", *path.relative_to(PACKAGE).with_suffix("").parts))


def _name(path):
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize(
    ("module", "source", "upward"),
    [
        ("bodyplan.robots.robot", "from bodyplan.storage import sha256", []),
        (
            "bodyplan.robots.robot",
            "from bodyplan.envs import walking_task",
            ["bodyplan.envs.walking_task"],
        ),
        ("bodyplan.robots.robot", "from bodyplan import envs", ["bodyplan.envs"]),
        ("bodyplan.robots.robot", "from bodyplan import Robot", ["bodyplan.Robot"]),
        ("bodyplan.robots.robot", "from bodyplan import __version__", []),
        ("bodyplan.robots.robot", "import bodyplan", ["bodyplan"]),
        ("bodyplan.robots.robot", "from . import descriptors", []),
        ("bodyplan.robots.robot", "from ..learn import ppo", ["bodyplan.learn.ppo"]),
        ("bodyplan.storage", "def f():\n  import bodyplan.cli as c", ["bodyplan.cli"]),
        ("bodyplan.learn.train", "from bodyplan.learn.networks.urma import NetworkSizes", []),
        (
            "bodyplan.learn.networks.urma",
            "from ...evaluation.x import y",
            ["bodyplan.evaluation.x.y"],
        ),
        ("bodyplan.cli", "from bodyplan.demo import run", []),
        ("bodyplan.demo", "from bodyplan.cli import main", ["bodyplan.cli.main"]),
        ("bodyplan.envs.walking_task", "import jax, numpy.linalg", []),
    ],
)
def test_upward_imports_are_found_in_every_spelling(module, source, upward):
    assert upward_imports(source, module) == upward


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import joblib",
        "from joblib import Parallel, load",
        "from joblib import dump",
        "eval('1')",
        "np.load(p, allow_pickle=True)",
        "np.load(p, allow_pickle=flag)",
    ],
)
def test_code_runners_are_found(source):
    assert code_runners(source)


def test_harmless_look_alikes_are_not_code_runners():
    assert not code_runners("from joblib import Parallel, delayed")
    assert not code_runners("jax.eval_shape(f)\nmodel.eval()\nnp.load(p, allow_pickle=False)")


@pytest.mark.parametrize("path", MODULES, ids=_name)
class TestEveryModule:
    def test_imports_only_downward(self, path):
        module = _dotted(path)
        if _layer(module) in ENTRANCES:
            return
        assert _layer(module) in RANKS, f"{_name(path)} belongs to no layer"
        assert upward_imports(path.read_text(), module) == []

    def test_has_a_telling_name(self, path):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        assert not SAYS_NOTHING & {word for part in parts for word in part.split("_")}

    def test_runs_no_code_from_files(self, path):
        assert code_runners(path.read_text()) == []


@pytest.mark.parametrize(
    ("sources", "circles"),
    [
        ({"p.a": "import p.b", "p.b": "import p.c", "p.c": ""}, []),
        ({"p.a": "from p.b import f", "p.b": "from p import a"}, [{"p.a", "p.b"}]),
        ({"p.a": "import p.b", "p.b": "def f():\n  from . import a"}, [{"p.a", "p.b"}]),
        (
            {"p.a": "if TYPE_CHECKING:\n  import p.b", "p.b": "import p.c", "p.c": "import p.a"},
            [{"p.a", "p.b", "p.c"}],
        ),
        ({"p.a": "import p.b", "p.b": "import p.c", "p.c": "import p.b"}, [{"p.b", "p.c"}]),
    ],
)
def test_import_circles_are_found_in_every_spelling(sources, circles):
    assert import_circles(sources) == circles


def test_no_modules_import_one_another():
    entrance = "bodyplan.__init__"
    modules = {_dotted(path): path.read_text() for path in MODULES}
    modules = {
        name.removesuffix(".__init__"): source
        for name, source in modules.items()
        if name != entrance
    }
    assert import_circles(modules) == []


def test_importing_the_package_waits_for_no_heavy_library():
    program = "import sys, bodyplan; print(sorted({'jax', 'mujoco', 'numpy'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.parametrize("name", bodyplan.__all__)
def test_every_public_name_is_there(name):
    assert getattr(bodyplan, name) is not None
    assert name in dir(bodyplan)


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Robbot'"):
        _ = bodyplan.Robbot


def test_the_citation_names_this_version():
    assert f"\nversion: {bodyplan.__version__}\n" in (ROOT / "CITATION.cff").read_text()
