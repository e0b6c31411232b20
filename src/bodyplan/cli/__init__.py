"""The command line: the table of all commands, and the function that runs one.

Each command is a frozen dataclass with a method `run`. Its fields are the options, and their
docstrings are the help. A command's module is imported when the command is called, so
`bodyplan --help` is quick.

Exit status: 0 when done, 1 when the work failed, 2 for wrong use or damaged input. In the last
case one sentence on standard error says what is wrong and how to fix it.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from bodyplan.errors import BodyplanError


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
    "report": CommandEntry("write a run as one self-contained HTML page", "report:WriteReport"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(_help())
        return 0
    if arguments[0] == "--version":
        from bodyplan import __version__

        sys.stdout.write(f"bodyplan {__version__}\n")
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        return _fail(f"there is no command '{name}'; choose one of {', '.join(COMMANDS)}")
    try:
        return _run(name, rest)
    except BodyplanError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        sys.stderr.write("stopped; run the same command again to continue\n")
        return 1
    except BrokenPipeError:
        return 1
    except OSError as error:  # for example a path of the user that no file can have
        return _fail(str(error))


def command_class(target: str) -> Any:
    """Import the class that `module:Class` names."""
    module, name = target.split(":")
    return getattr(import_module(f"bodyplan.cli.{module}"), name)


def _run(name: str, arguments: list[str]) -> int:
    """Parse the arguments of a command with its dataclass, and run it."""
    import tyro

    entry, prog = COMMANDS[name], f"bodyplan {name}"
    config = (tyro.conf.FlagCreatePairsOff,)
    target = entry.target
    if not isinstance(target, str) and arguments and arguments[0] in target:
        prog = f"{prog} {arguments[0]}"
        target = target[arguments[0]]  # the other sub-commands need not be imported
        arguments = arguments[1:]
    if isinstance(target, str):
        chosen = tyro.cli(command_class(target), prog=prog, args=arguments, config=config)
    else:
        chosen = tyro.extras.subcommand_cli_from_dict(
            {name: command_class(leaf) for name, leaf in target.items()},
            prog=prog,
            description=entry.summary,
            args=arguments,
            config=config,
        )
    status = chosen.run()
    return 0 if status is None else int(status)


def _help() -> str:
    lines = ["usage: bodyplan <command> [options]", ""]
    lines += [f"  {name:<10} {entry.summary}" for name, entry in COMMANDS.items()]
    return "\n".join([*lines, "", "See also: bodyplan <command> --help", ""])


def _fail(sentence: str) -> int:
    sys.stderr.write(f"error: {sentence}\n")
    return 2
