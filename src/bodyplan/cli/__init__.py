"""The command line: `bodyplan <command>`, each a thin wrapper around the library.

Exit status: 0 done, 1 the work failed, 2 wrong use or damaged input (one sentence says what and
how to mend it). Each command's module is imported only when it is called, so `--help` is quick.
"""

import sys
from collections.abc import Sequence
from importlib import import_module

from bodyplan.errors import BodyplanError

COMMANDS = {
    "demo": "four robots, end to end: data, pre-training, evaluation, report",
    "robots": "the bodies: list, show, draw, check, adapt, generate",
    "experts": "the PPO runs behind the data: train, show, plot",
    "data": "datasets of logged walking: build, look at, check, import, export",
    "groups": "robots grouped by the likeness of their bodies",
    "train": "pre-train one policy on many robots' data",
    "finetune": "go on from a pre-trained run, on a robot that it never saw",
    "conflicts": "how far robots' gradients oppose each other, and why",
    "transfer": "what robots gain by learning together",
    "evaluate": "let a trained policy walk, robot by robot",
    "report": "a run as one self-contained page",
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
        sys.stderr.write("stopped; give the same command again to go on\n")
        return 1
    except BrokenPipeError:
        return 1
    except OSError as error:  # a path of the user's that no file can have, say
        return _fail(str(error))


def _run(name: str, arguments: list[str]) -> int:
    """Parse the arguments with the command's own dataclass and run it."""
    import tyro

    module = import_module(f"bodyplan.cli.{name}")
    prog = f"bodyplan {name}"
    config = (tyro.conf.FlagCreatePairsOff,)
    if isinstance(module.COMMAND, dict):
        commands = module.COMMAND
        chosen = tyro.extras.subcommand_cli_from_dict(
            commands, prog=prog, description=module.__doc__, args=arguments, config=config
        )
    else:
        chosen = tyro.cli(module.COMMAND, prog=prog, args=arguments, config=config)
    status = chosen.run()
    return 0 if status is None else int(status)


def _help() -> str:
    lines = ["usage: bodyplan <command> [options]", ""]
    lines += [f"  {name:<10} {text}" for name, text in COMMANDS.items()]
    return "\n".join([*lines, "", "bodyplan <command> --help tells more.", ""])


def _fail(sentence: str) -> int:
    sys.stderr.write(f"error: {sentence}\n")
    return 2
