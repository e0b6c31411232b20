"""Wrong arguments: one sentence each, which names the argument, for every command."""

from dataclasses import dataclass, field

import pytest
import tyro

from bodyplan.cli import COMMANDS, main
from bodyplan.cli.parsing import parse
from bodyplan.errors import BodyplanError

ALL = {
    f"{name} {sub}".strip(): leaf
    for name, entry in COMMANDS.items()
    for sub, leaf in ({"": entry.target} if isinstance(entry.target, str) else entry.target).items()
}


@dataclass(frozen=True)
class Legs:
    """Of a robot."""

    legs_count: int = 4
    """How many."""


@dataclass(frozen=True)
class Walk:
    """Walk."""

    out: str
    """Where to."""
    robots: tuple[str, ...] = ("all",)
    """Which."""
    speed: float = 1.0
    """How fast."""
    size: tuple[int, int] = (1, 2)
    """How large."""
    body: Legs = field(default_factory=Legs)
    quiet: bool = False
    """Say nothing."""


@dataclass(frozen=True)
class Start:
    """Start."""

    first_step: tyro.conf.Positional[int]
    """The first one."""
    height: float | None = None
    """Of the step, which may be
    `any` height."""
    weights: dict[str, float] | None = None
    """Weights of robots."""
    quiet: bool = False
    """Say nothing."""
    pace: int = 3
    """How fast."""


def test_help_has_whole_sentences_and_only_defaults_that_say_something(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    with pytest.raises(SystemExit) as stopped:
        parse(Start, "bodyplan start", ["-h"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert "  --height FLOAT          Of the step, which may be `any` height.\n" in text
    assert f"  --weights STR FLOAT ...\n{26 * ' '}Weights of robots.\n" in text
    assert "  --quiet                 Say nothing.\n" in text
    assert "  --pace INT              How fast. (default: 3)\n" in text


def refused(*arguments):
    with pytest.raises(BodyplanError) as error:
        parse(Walk, "bodyplan walk", arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("command", ALL)
def test_every_command_refuses_an_option_that_it_lacks_and_one_given_twice(command, capsys):
    for arguments, words in (
        (["--jsom"], ("--jsom", "--json")),
        (["--json", "--json"], ("--json", "twice")),
    ):
        assert main([*command.split(), *arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        assert all(word in line for word in words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "a", "--out", "b"], ["--out", "twice"]),
        (["--out", "a", "--out=b"], ["--out", "twice"]),
        (["--out", "a", "--body.legs_count", "3", "--body.legs-count=4"], ["legs-count", "twice"]),
        (["--out", "a", "--robots", "x", "--robots", "y"], ["--robots", "twice"]),
        (["--out", ""], ["--out", "empty"]),
        (["--out="], ["--out", "empty"]),
        (["--out"], ["--out", "needs a value"]),
        (["--out", "a", "--robots"], ["--robots", "needs a value"]),
        (["--out", "a", "--size", "3"], ["--size", "2 values"]),
        (["--out", "a", "--speed", "fast"], ["--speed fast", "number"]),
        (["--out", "a", "--body.legs-count", "4.5"], ["--body.legs-count 4.5", "whole number"]),
        (["--out", "a", "--spee", "3"], ["--spee", "--speed?"]),
        (["--out", "a", "--legs-count", "3"], ["--legs-count", "--body.legs-count?"]),
        (["--out", "a", "--no-quiet"], ["--no-quiet", "--quiet?"]),
        (["--out", "a", "--xyzzy"], ["--xyzzy", "bodyplan walk --help"]),
        (["--out", "a", "more"], ["'more'", "bodyplan walk --help"]),
        ([], ["bodyplan walk", "--out", "where to"]),
        (["--ou", "a"], ["--ou", "--out?"]),
    ],
)
def test_what_is_wrong_is_named_in_one_sentence(arguments, words):
    sentence = refused(*arguments)
    assert all(word in sentence for word in words), sentence


def test_all_that_is_missing_is_named(capsys):
    assert main(["train"]) == 2
    error = capsys.readouterr().err
    assert "--data" in error
    assert "--out" in error


def test_a_choice_that_there_is_not_comes_with_those_there_are(capsys):
    assert main(["groups", "--linkage", "wards"]) == 2
    error = capsys.readouterr().err
    assert "--linkage wards" in error
    assert "complete" in error


def test_what_is_right_is_taken_in_every_form():
    walk = parse(
        Walk,
        "bodyplan walk",
        ["--out=a", "--speed", "-1.5", "--robots", "x", "y", "--body.legs_count=-2", "--quiet"],
    )
    assert walk == Walk("a", ("x", "y"), -1.5, (1, 2), Legs(-2), True)


def test_arguments_without_an_option_have_their_field_s_name(capsys):
    with pytest.raises(BodyplanError, match=r"FIRST-STEP: the first"):
        parse(Start, "bodyplan start", [])
    with pytest.raises(SystemExit) as stopped:
        parse(Start, "bodyplan start", ["--help"])
    assert stopped.value.code == 0
    assert "FIRST-STEP" in capsys.readouterr().out


def test_a_word_that_is_no_command_comes_with_the_closest(capsys):
    assert main(["evalute", "x"]) == 2
    assert "`bodyplan evaluate`?" in capsys.readouterr().err
    assert main(["data", "infos", "x"]) == 2
    assert "`bodyplan data info`?" in capsys.readouterr().err
    assert main(["data"]) == 2
    assert "import-minari" in capsys.readouterr().err
