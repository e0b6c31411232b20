"""The documentation: short sentences, files and commands that exist, a site that builds."""

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from sentence_length import mean_words, sentences

import bodyplan
from bodyplan.cli import COMMANDS, main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
MOST_WORDS, MEAN_WORDS = 25, 18.0
FOLDERS = ("src", "docs", "tests", "examples", "benchmarks")
PATH = re.compile(rf"\b(?:{'|'.join(FOLDERS)})/[\w/.-]*\w(?![\w<])")
MODULE = re.compile(r"\b[\w/]+\.(?:py|toml|md|svg|yml|ipynb|j2)\b")


def _name(path):
    return str(path.relative_to(ROOT))


def code_blocks(page, *languages):
    """The fenced code of a page in one of these languages; "" is none."""
    return [code for language, code in FENCE.findall(page.read_text()) if language in languages]


def command_lines(page):
    """The calls of `bodyplan` in a page's code, as words."""
    for code in code_blocks(page, "", "bash"):
        for line in code.replace("\\\n", " ").splitlines():
            if line.strip().startswith("bodyplan "):
                yield shlex.split(line, comments=True)[1:]


def sub_command(words):
    """The words that name a command: one, or two for a command with sub-commands."""
    entry = COMMANDS.get(words[0])
    nested = entry is not None and not isinstance(entry.target, str)
    return tuple(words[: 2 if nested else 1])


@pytest.fixture(scope="module")
def help_of():
    """The help of a command, asked for once."""
    known = {}

    def ask(command, capsys):
        if command not in known:
            with pytest.raises(SystemExit) as ended:
                main([*command, "--help"])
            assert ended.value.code == 0, f"there is no command {' '.join(command)}"
            known[command] = capsys.readouterr().out
        return known[command]

    return ask


def test_sentences_are_counted_as_a_reader_counts_them():
    page = """
# No sentence, a heading

One two three. Four `a b c` six [seven eight](nine.md)! *Is
this one?*

- An item is
  a paragraph
- so is this, e.g. with 3.5 numbers, et al. and others

| a table | is skipped |

```
code. is. skipped.
```
"""
    assert [own.words for own in sentences(page)] == [3, 5, 3, 5, 11]


@pytest.mark.parametrize("page", PAGES, ids=_name)
class TestEveryPage:
    def test_has_short_sentences(self, page):
        found = sentences(page.read_text())
        assert [own for own in found if own.words > MOST_WORDS] == []
        assert mean_words(found) <= MEAN_WORDS

    def test_names_files_that_exist(self, page):
        named = set(PATH.findall(page.read_text()))
        assert [own for own in sorted(named) if not (ROOT / own).exists()] == []

    def test_shows_python_that_is_python(self, page):
        for code in code_blocks(page, "python"):
            ast.parse(code)

    def test_uses_public_names(self, page):
        code = "\n".join(code_blocks(page, "python"))
        used = set(re.findall(r"\bbodyplan\.([A-Za-z_]\w*)", code))
        modules = {path.stem for path in (ROOT / "src" / "bodyplan").iterdir()}
        assert used - set(bodyplan.__all__) - modules == set()

    def test_uses_commands_and_options_that_exist(self, page, help_of, capsys):
        for words in command_lines(page):
            if words[0].startswith("-") or "<command>" in words:
                continue
            text = help_of(sub_command(words), capsys)
            options = {word.partition("=")[0] for word in words if word.startswith("--")}
            missing = [own for own in options if not re.search(rf"{re.escape(own)}\b", text)]
            assert missing == [], " ".join(words)


@pytest.mark.parametrize("name", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_modules_named_without_their_folder_exist(name):
    places = (ROOT, *(ROOT / own for own in ("src", "tests", "docs", "examples", "benchmarks")))
    found = [path for own in places for path in own.glob("*" if own == ROOT else "**/*")]
    known = {f"/{path.relative_to(ROOT)}" for path in found if path.is_file()}
    named = set(MODULE.findall((ROOT / name).read_text()))
    lost = [own for own in named if not any(path.endswith(f"/{own}") for path in known)]
    assert lost == []


def test_every_package_is_in_the_map():
    tree = "\n".join(code_blocks(ROOT / "docs" / "architecture.md", ""))
    packages = [path.parent.name for path in (ROOT / "src" / "bodyplan").rglob("__init__.py")]
    assert [own for own in packages if own != "bodyplan" and f"{own}/" not in tree] == []


def test_every_public_name_is_in_the_reference():
    pages = "\n".join(path.read_text() for path in (ROOT / "docs" / "api").glob("*.md"))
    shown = set(re.findall(r"^::: bodyplan\.(\w+)$", pages, re.MULTILINE))
    assert set(bodyplan.__all__) - shown - {"__version__"} == set()


def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    ran = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "data build" in (tmp_path / "index.html").read_text()  # README's tour is included
    assert "unitree_go1" in (tmp_path / "robots.html").read_text()
