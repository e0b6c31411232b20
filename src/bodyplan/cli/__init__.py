"""The command line: the table of all commands, and the function that runs one.

Each command is a frozen dataclass with a method `run`. Its fields are the options, and their
docstrings are the help. A command's module is imported when the command is called, so
`bodyplan --help` is quick.

Exit status: 0 when done, 1 when the work failed, 2 for wrong use or damaged input. In the last
case one sentence on standard error says what is wrong and how to fix it. 130 when stopped by
Ctrl-C, 143 when terminated, 129 when the terminal was closed.
"""

import inspect
import os
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NoReturn, TypeVar

from bodyplan.cli.stopping import STOPPED, exit_status, leave_at_once, quick_stop, say
from bodyplan.cli.streams import lasting_streams
from bodyplan.errors import BodyplanError

Target = TypeVar("Target")


@dataclass(frozen=True)
class CommandEntry:
    """Where a command is implemented, or where each of its sub-commands is."""

    summary: str
    """One line for `bodyplan --help`."""
    target: str | Mapping[str, str]
    """`module:Class` in this package; or one of these for each sub-command."""


COMMANDS: Mapping[str, CommandEntry] = {
    "demo": CommandEntry("four robots from data to report, in five minutes", "demo:RunDemo"),
    "robots": CommandEntry(
        "robots: list, show, draw, check, adapt and generate them",
        {
            "list": "robots:ListRobots",
            "show": "robots:ShowRobot",
            "draw": "robots_draw:DrawRobots",
            "check": "robots_check:CheckRobot",
            "adapt": "robots_check:AdaptRobot",
            "generate": "robots_generate:GenerateRobots",
        },
    ),
    "experts": CommandEntry(
        "the PPO runs that datasets are recorded from: train, show, plot and film them",
        {
            "train": "experts:TrainExpert",
            "show": "experts:ShowExpert",
            "plot": "experts:PlotExperts",
            "film": "experts:FilmExperts",
        },
    ),
    "data": CommandEntry(
        "datasets: build, show, verify, plot, import and export them",
        {
            "build": "data:BuildData",
            "info": "data_inspect:DataInfo",
            "verify": "data_inspect:VerifyData",
            "plot": "data_inspect:PlotData",
            "import": "data_import:ImportArrays",
            "import-minari": "data_minari:ImportMinari",
            "import-release": "data_import:ImportRelease",
            "export": "data_minari:ExportData",
        },
    ),
    "groups": CommandEntry(
        "group robots by the distance between their bodies", "groups:ShowGroups"
    ),
    "train": CommandEntry("pre-train one policy on the data of many robots", "train:Train"),
    "finetune": CommandEntry("fine-tune a pre-trained policy on a new robot", "finetune:Finetune"),
    "conflicts": CommandEntry(
        "how often the gradients of two robots conflict", "conflicts:ShowConflicts"
    ),
    "transfer": CommandEntry("compare training together with training alone", "transfer:Transfer"),
    "evaluate": CommandEntry("run episodes with a trained policy", "evaluate:Evaluate"),
    "compare": CommandEntry(
        "compare runs over their seeds: tables, CSV, LaTeX", "compare:CompareRuns"
    ),
    "sweep": CommandEntry("train and compare every run of a grid", "sweep:Sweep"),
    "reproduce": CommandEntry("a table or figure of the paper, to a page", "reproduce:Reproduce"),
    "report": CommandEntry("write a run as one self-contained HTML page", "report:WriteReport"),
}


_HELP_WIDTH = 79
RESUMABLE = frozenset(
    {"demo", "data build", "experts train", "train", "finetune", "transfer", "sweep", "reproduce"}
)
"""Commands that go on where they were stopped."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    resumable = {" ".join(arguments[:2]), *arguments[:1]} & RESUMABLE
    sentence = "stopped" + ("; run the same command again to continue" if resumable else "")
    try:
        with quick_stop(sentence):
            try:
                return _run(arguments)
            finally:
                sys.stdout.flush()  # here, where a closed pipe is expected
    except BodyplanError as error:
        return _fail(str(error))
    except KeyboardInterrupt as stopped:
        say(f"{sentence}\n")
        return exit_status(stopped)
    except BrokenPipeError:  # `bodyplan robots list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (RuntimeError, AssertionError):  # JAX's, where it has no device at all
        if not _lacks_devices():
            raise
        return _fail(
            f"JAX finds no devices of JAX_PLATFORMS={os.environ['JAX_PLATFORMS']} on this machine; "
            "unset that variable, or install the JAX of that platform"
        )
    except MemoryError as error:
        return _fail(f"memory does not suffice ({error}); use fewer robots or less data")
    except OSError as error:  # for example a path of the user that no file can have
        return _fail(str(error))


def run_and_exit() -> NoReturn:
    """Run the command of `sys.argv` and end this process: the program `bodyplan`.

    A stopped command ends at once. Python would wait for threads first, for example for one that
    compiles, and take libraries down below them.
    """
    lasting_streams()
    status = main()
    leave_at_once(status)
    if status in STOPPED:
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def command_class(target: str) -> Any:
    """Import the class that `module:Class` names."""
    module, name = target.split(":")
    return getattr(import_module(f"bodyplan.cli.{module}"), name)


def _run(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name; returns its exit status.

    Raises:
        BodyplanError: there is no such command, or its arguments do not fit.
        SystemExit: the command's help was asked for and has been printed.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(_help())
        return 0
    if arguments[0] == "--version":
        from bodyplan import __version__

        sys.stdout.write(f"bodyplan {__version__}\n")
        return 0
    name, *rest = arguments
    target = _chosen(name, COMMANDS, "bodyplan").target
    if not isinstance(target, str):
        if not rest:
            raise BodyplanError(
                f"`bodyplan {name}` needs one of {', '.join(target)}; see `bodyplan {name} --help`"
            )
        if rest[0] in ("-h", "--help"):
            sys.stdout.write(_group_help(name, target))
            raise SystemExit(0)
        target = _chosen(rest[0], target, f"bodyplan {name}")
        name, rest = f"{name} {rest[0]}", rest[1:]
    from bodyplan.cli.parsing import parse

    status = parse(command_class(target), f"bodyplan {name}", rest).run()
    return 0 if status is None else int(status)


def _lacks_devices() -> bool:
    """Whether JAX is used, and has no device of the platform that the environment asks for."""
    jax = sys.modules.get("jax")
    if jax is None or not os.environ.get("JAX_PLATFORMS"):
        return False
    try:
        return not jax.devices()
    except (RuntimeError, AssertionError):
        return True


def _chosen(word: str, known: Mapping[str, Target], before: str) -> Target:
    """What a word stands for; the words before it are for the error."""
    if word in known:
        return known[word]
    similar = get_close_matches(word, known, n=1)
    fix = f"did you mean `{before} {similar[0]}`?" if similar else f"choose {', '.join(known)}"
    raise BodyplanError(f"there is no command `{before} {word}`; {fix}")


def _help() -> str:
    return _listing("bodyplan", {name: entry.summary for name, entry in COMMANDS.items()})


def _group_help(name: str, target: Mapping[str, str]) -> str:
    summaries = {
        sub: inspect.cleandoc(command_class(leaf).__doc__).partition("\n\n")[0]
        for sub, leaf in target.items()
    }
    return _listing(f"bodyplan {name}", summaries)


def _listing(before: str, summaries: Mapping[str, str]) -> str:
    """How commands are called and what each is for, in at most 80 columns."""
    column = 4 + max(map(len, summaries))
    lines = [f"usage: {before} <command> [options]", ""]
    for name, summary in summaries.items():
        text = f"  {name:<{column - 2}}{' '.join(summary.split())}"
        lines.append(textwrap.fill(text, _HELP_WIDTH, subsequent_indent=" " * column))
    return "\n".join([*lines, "", f"See also: {before} <command> --help", ""])


def _fail(sentence: str) -> int:
    text = f"error: {sentence}"
    if sys.stderr.isatty():
        from bodyplan.cli.output import wrapped

        text = wrapped(text, shutil.get_terminal_size().columns)
    say(f"{text}\n")
    return 2
