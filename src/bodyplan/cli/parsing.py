"""Arguments of a command, parsed by tyro; whatever is wrong with them is one sentence.

tyro explains wrong arguments in a box of several lines. Here its box is read, and the sentence that
names the argument and the fix is made of it. What tyro lets pass is refused before: an option that
is given twice, of which it would use the last, and an empty value.
"""

import io
import os
import re
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple

import tyro

from bodyplan.bounds import OutOfBoundsError, all_fields, allowed_text, faults
from bodyplan.errors import BodyplanError

_CONFIG = (
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.DisallowNone,
    tyro.conf.PositionalMetavarFromFieldName,
)
_HELP = ("-h", "--help")
_OPTION = re.compile(r"--?[a-zA-Z]")  # and not -1, which is a number
_RULE = re.compile(r"─+")
_LIST = re.compile(r"\{?\[(\S.*) \[\1 \.\.\.\]\]\}?")
_NO_DEFAULT = re.compile(r" ?\(default: (None|True|False)?\)")  # which say nothing
_INDENT, _MIN_WIDTH, _MAX_WIDTH = 26, 50, 100


def parse(kind: type, prog: str, arguments: Sequence[str]) -> Any:
    """An instance of a command's dataclass, with the arguments of the command line.

    Args:
        kind: the dataclass.
        prog: the command as a user gives it, such as `bodyplan data info`.
        arguments: what follows it.

    Raises:
        BodyplanError: the arguments do not fit.
        SystemExit: help was asked for and has been printed.
    """
    if set(_HELP) & set(arguments):
        _print_help(kind, prog)
        raise SystemExit(0)
    _refuse_repeated(arguments)
    _refuse_empty(arguments)
    if hasattr(kind, "expanded"):  # arguments that come from a file
        arguments = kind.expanded(arguments)
    box = _text_file()
    parsed: Any
    try:
        with redirect_stdout(_text_file()), redirect_stderr(box):
            parsed = tyro.cli(kind, prog=prog, args=list(arguments), config=_CONFIG)
    except OutOfBoundsError as error:
        field = error.fault.path[-1].replace("_", "-")
        given = (_name(argument) for argument in arguments)
        names = [name for name in given if name.lstrip("-").rpartition(".")[2] == field]
        raise BodyplanError(error.fault.sentence(*names[:1] or [field])) from None
    except SystemExit as stopped:
        if not stopped.code:
            raise
        sentence = _unknown(kind, prog, arguments) or _sentence(_unboxed(_content(box)), prog)
        raise BodyplanError(sentence) from None
    sys.stderr.write(_content(box))  # warnings
    for fault in faults(parsed):
        raise BodyplanError(fault.sentence(_option_named(fault.path, kind, prog)))
    for name in _without_values(parsed):
        if any(_name(argument) == name for argument in arguments):
            raise BodyplanError(f"{name} needs a value; leave it out for its default")
    return parsed


def _print_help(kind: type, prog: str) -> None:
    """What tyro's help says, as text that fits the terminal and breaks between words."""
    columns = shutil.get_terminal_size().columns
    width = min(max(columns, _MIN_WIDTH), _MAX_WIDTH) - 1
    limits = [(path, text) for path, hint in all_fields(kind) if (text := allowed_text(hint))]
    for section in _sections(_help(kind, prog)):
        options = [option.limited(limits) for option in section.options]
        lines = section._replace(options=options).lines(width)
        sys.stdout.write("".join(f"{line}\n" for line in lines) + "\n")


def _help(kind: type, prog: str) -> str:
    """tyro's help, in boxes below each other."""
    text = _text_file()
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(_MAX_WIDTH)
    try:
        with redirect_stdout(text):
            tyro.cli(kind, prog=prog, args=["--help"], config=_CONFIG)
    except SystemExit:
        pass
    finally:
        if columns is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = columns
    return _content(text)


def _text_file() -> io.TextIOWrapper:
    """A file in memory; tyro draws boxes of Unicode where standard output takes them."""
    return io.TextIOWrapper(io.BytesIO(), "utf-8", newline="\n")


def _content(file: io.TextIOWrapper) -> str:
    file.seek(0)
    return file.read()


class _Option(NamedTuple):
    """An option in tyro's help."""

    usage: str
    """Its names and the kind of its value, such as `--seed INT`."""
    text: str

    @property
    def names(self) -> list[str]:
        return re.findall(r"(?<![\w-])--?[a-zA-Z][\w.-]*", self.usage)

    def limited(self, limits: Sequence[tuple[Sequence[str], str]]) -> "_Option":
        """The option with what it can be, of all fields that are bounded."""
        for path, limit in limits:
            if any(_likeness(path, name) == name.count(".") + 1 for name in self.names):
                text, default, rest = self.text.partition(" (default: ")
                if default and rest != "None)":
                    return self._replace(text=f"{text} ({limit}; default: {rest}")
                return self._replace(text=f"{text} ({limit})")
        return self


class _Section(NamedTuple):
    """A paragraph of tyro's help, or one of its boxes."""

    title: str
    text: str
    options: list[_Option]

    def lines(self, width: int) -> Iterator[str]:
        """The section as text of at most `width` columns."""
        heading = f"{self.title}: {self.text}" if self.title else self.text
        yield from textwrap.wrap(heading.rstrip(" "), width, break_on_hyphens=False)
        for usage, text in self.options:
            own = _LIST.sub(r"\1 ...", usage)
            words = textwrap.wrap(
                _NO_DEFAULT.sub("", text), width - _INDENT, break_on_hyphens=False
            )
            if len(own) + 4 > _INDENT:
                yield f"  {own}"
                own = ""
            for line in words or [""]:
                yield f"  {own:<{_INDENT - 2}}{line}".rstrip()
                own = ""


def _sections(help_text: str) -> Iterator[_Section]:
    """The parts of tyro's help, with whole sentences."""
    title, box = "", [""]
    for line in help_text.splitlines():
        if line.startswith("╭"):
            title, box = line.strip("╭─╮ "), []
        elif line.startswith("│"):
            box.append(line.strip("│").rstrip().removeprefix(" "))
        elif line.startswith("╰"):
            yield _box_section(title, box)
        elif line.strip():
            yield _Section("", line.strip(), [])


def _box_section(title: str, box: Sequence[str]) -> _Section:
    rule = next((number for number, line in enumerate(box) if _RULE.fullmatch(line)), -1)
    options: list[_Option] = []
    for line in box[rule + 1 :]:
        if line.startswith(" ") and options:
            usage, text = options[-1]
            options[-1] = _Option(usage, f"{text} {line.strip()}".strip())
        elif line:
            usage, _, text = line.partition("  ")
            options.append(_Option(usage, text.strip()))
    return _Section(title, " ".join(box[: max(rule, 0)]), options)


def _options(kind: type, prog: str) -> Iterator[_Option]:
    """The options that `--help` lists."""
    for section in _sections(_help(kind, prog)):
        yield from section.options


def _option_named(path: Sequence[str], kind: type, prog: str) -> str:
    """The option of a field."""
    found = [name for option in _options(kind, prog) for name in option.names]
    return max(found, key=lambda name: _likeness(path, name))


def _likeness(path: Sequence[str], option: str) -> int:
    """How many of the names that lead to a field are in an option's name, if that is its option."""
    parts = [name.replace("_", "-") for name in path]
    *groups, own = option.removeprefix("--").split(".")
    return 1 + len(groups) if own == parts[-1] and set(groups) <= set(parts) else 0


def _name(argument: str) -> str:
    """The option that an argument names, or nothing; `_` stands for `-`, as for tyro."""
    if not _OPTION.match(argument):
        return ""
    return argument.partition("=")[0].replace("_", "-")


def _refuse_repeated(arguments: Sequence[str]) -> None:
    counts = Counter(filter(None, map(_name, arguments)))
    for name, count in counts.items():
        if count > 1:
            raise BodyplanError(
                f"{name} is given {'twice' if count == 2 else f'{count} times'}; give it once, "
                "with several values one after the other where it takes several"
            )


def _refuse_empty(arguments: Sequence[str]) -> None:
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if argument == "" or (_name(argument) and argument.endswith("=")):
            name = _name(argument) or _name(before)
            raise BodyplanError(
                f"{name or 'an argument'} has an empty value; give one, or leave it out"
            )


def _without_values(parsed: Any, prefix: str = "--") -> Iterator[str]:
    """Options with a list that has nothing in it; tyro takes `--robots` alone as such."""
    for one in fields(parsed):
        value = getattr(parsed, one.name)
        if value == ():
            yield prefix + one.name.replace("_", "-")
        elif is_dataclass(value):
            yield from _without_values(value)


def _unknown(kind: type, prog: str, arguments: Sequence[str]) -> str:
    """The sentence about the first option that the command does not have, or nothing."""
    names = [name for option in _options(kind, prog) for name in option.names]
    given = [_name(argument) for argument in arguments if _name(argument)]
    for name in given:
        if name not in names:
            return f"there is no option {name}{_suggested(name, names, prog)}"
    return ""


def _suggested(name: str, names: Sequence[str], prog: str) -> str:
    """Options that may be meant: of that name in a group, beginning so, or similar."""
    word = name.lstrip("-")
    similar = (
        [own for own in names if own.endswith(f".{word}")]
        or [own for own in names if own.lstrip("-") in (f"no-{word}", word.removeprefix("no-"))]
        or [own for own in names if own.startswith(f"--{word}")]
        or get_close_matches(name, names, n=1)
    )
    if not similar:
        return f"; `{prog} --help` lists those that there are"
    return f"; did you mean {' or '.join(similar[:5])}?"


def _unboxed(box: str) -> list[str]:
    """The lines inside tyro's box."""
    lines = [line.strip() for line in box.splitlines()]
    inside = [line[1:-1].rstrip() for line in lines if line.startswith("│")]
    return [line.removeprefix(" ") for line in inside]


def _sentence(lines: Sequence[str], prog: str) -> str:
    """One sentence that says what tyro's box says."""
    help_of = f"`{prog} --help`"
    if lines and lines[0].startswith("Missing from"):
        end = next((i for i, line in enumerate(lines) if _RULE.match(line)), None)
        missing = [line.strip() for line in lines[:end] if re.match(r" {4}\S", line)]
        texts = [line.strip() for line in lines[:end] if re.match(r" {8}\S", line)]
        about = " ".join(texts).removesuffix(" (required)").rstrip(".")
        return f"{prog} needs {' and '.join(missing)}" + (
            f": {about[0].lower()}{about[1:]}" if len(missing) == 1 else f"; see {help_of}"
        )
    first = list(lines[: next((i for i, one in enumerate(lines) if _RULE.match(one)), None)])
    text = " ".join(" ".join(first).partition("Got errors:")[0].split())
    for pattern, make in _REWRITTEN:
        if found := re.search(pattern, text):
            return make.format(*found.groups(), help=help_of)
    return f"{text.rstrip('.')}; see {help_of}"


_REWRITTEN = (
    (
        r"Error parsing (\S+): invalid literal for int\(\) with base 10: '(.*)'",
        "{0} {1} is not a whole number; give digits only",
    ),
    (
        r"Error parsing (\S+): could not convert string to float: '(.*)'",
        "{0} {1} is not a number; give one, such as 0.003",
    ),
    (
        r"Error parsing (\S+): no type matching \S* ?(.*) could be instantiated from \[(.*)\]",
        "{0} cannot be read from {2}; {help} says what it takes",
    ),
    (
        r"[Ii]nvalid choice '(.*)' for argument '(\S+)'\. Expected one of \((.*?),?\)",
        "{1} {0} is unknown; give one of {2}",
    ),
    (r"Missing value for argument '(\S+)'\. Expected 1 values", "{0} needs a value; see {help}"),
    (
        r"Missing value for argument '(\S+)'\. Expected (\d+) values",
        "{0} needs {1} values; see {help}",
    ),
    (
        r"Unrecognized options: (.*)",
        "nothing is expected at '{0}'; {help} shows what the command takes",
    ),
)
"""What tyro says, and the sentence for it."""
