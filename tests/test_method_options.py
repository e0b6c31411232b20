"""Options read from the source of methods are what Python makes of them."""

import importlib
import subprocess
import sys
from dataclasses import MISSING, fields

import pytest

from bodyplan.cli.method_options import options_from_source, read_fields
from bodyplan.field_docstrings import field_docstrings
from bodyplan.learn.registry import ALGORITHMS, COMBINERS

METHODS = [(registry, name) for registry in (ALGORITHMS, COMBINERS) for name in registry.builtin]
SOURCE = '''
from dataclasses import dataclass
from typing import ClassVar, Literal

Shade = Literal["dark", "light"]


@dataclass
class Base:
    """A class to derive from."""

    rate: float = 1e-3
    """Its rate,
    over two lines."""
    kind: ClassVar[str] = "base"


@dataclass
class Derived(Base):
    steps: int | None = None
    shade: Shade = "dark"
    """Its shade."""
    rate: float = -2.0

    def act(self) -> None:
        local: int = 3


@dataclass
class Odd:
    sizes: list[int] = ()


@dataclass
class Computed:
    size: int = 2 ** 3
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "shades.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "shades"
    sys.modules.pop("shades", None)


@pytest.mark.parametrize(("registry", "name"), METHODS, ids=[name for _, name in METHODS])
def test_every_method_of_the_package_is_read_as_it_is(registry, name):
    kind = registry.find(name)
    read = read_fields(*registry.builtin[name].split(":"))
    assert list(read) == [one.name for one in fields(kind)]
    for one in fields(kind):
        assert one.default is not MISSING
        assert (read[one.name].kind, read[one.name].default) == (one.type, one.default)
    own = field_docstrings(kind)
    assert {one: read[one].text for one in own} == own
    assert all(one.text for one in read.values())


@pytest.mark.parametrize("name", ["Base", "Derived"])
def test_fields_are_those_that_python_finds(module, name):
    expected = fields(getattr(importlib.import_module(module), name))
    options = fields(options_from_source(module, name))
    assert [(one.name, one.default) for one in options] == [
        (one.name, one.default) for one in expected
    ]
    assert [one.type.__origin__ for one in options] == [one.type for one in expected]
    assert read_fields(module, name)["rate"].text == (
        "Its rate,\nover two lines." * (name == "Base")
    )


@pytest.mark.parametrize("name", ["Odd", "Computed", "Missing"])
def test_what_is_not_plain_is_left_to_python(module, name):
    assert options_from_source(module, name) is None


def test_help_waits_for_no_heavy_library():
    program = (
        "import sys; from bodyplan.cli import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.stderr.write(str({'jax', 'mujoco', 'numpy'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "--iql.beta" in result.stdout
    assert result.stderr == "set()"
