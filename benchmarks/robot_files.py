"""Real robot files: how many become robots at once, after the fix that the message names, or never.

    pip download --no-deps -d packages pybullet example-robot-data dm_control gymnasium playground
    python benchmarks/robot_files.py FOLDER                # the files of robot_files.txt below it
    python benchmarks/robot_files.py FOLDER --all          # every .urdf and .xml below it

FOLDER has the packages unpacked, each at its place below site-packages. Every file goes through
what `bodyplan robots adapt` does, in a process of its own. One JSON object a line: first each file
with its outcome, then the shares of all.

- `at once`: it becomes a robot that `bodyplan robots check` finds usable;
- `after a fix`: it does so after the fix that the message names: an option, or an edit that
  robot_files.txt has beside the file;
- `not`: the message is the reason.
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import outcome

from bodyplan.cli import main as bodyplan

LIST = Path(__file__).with_suffix(".txt")
OPTION = re.compile(r"--allow-path \S+|--lock-wheels|--visual-collisions")


def main() -> None:
    """Adapt every file, and print what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the packages are unpacked")
    parser.add_argument("--all", action="store_true", help="every .urdf and .xml below the folder")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    names = list(_all(arguments.folder) if arguments.all else _listed())
    with ProcessPoolExecutor(arguments.workers) as pool:
        results = list(pool.map(partial(adapt, arguments.folder), names))
    for line, (result, reason) in zip(names, results, strict=True):
        name = line.partition("\t")[0]
        told = {"benchmark": "robot_files", "case": name, "outcome": result, "reason": reason}
        sys.stdout.write(json.dumps(told) + "\n")
    shares = Counter(result for result, _ in results)
    for result in ("at once", "after a fix", "not"):
        share = shares[result] / max(len(results), 1)
        outcome.say("robot_files", f"{len(results)} files", result, share, "share")


def adapt(folder: Path, line: str) -> tuple[str, str]:
    """What comes of a file, and why not more.

    Args:
        folder: where the packages are.
        line: path of the file from there, and an edit that a message asks for: old and new text.
    """
    name, *edit = line.split("\t")
    outcome_, text = _adapt(folder / name)
    if outcome_ != "not" or not edit:
        return outcome_, text
    source = folder / name
    fixed = source.with_name(f"fixed_{source.name}")
    fixed.write_text(source.read_text(encoding="utf-8").replace(*edit), encoding="utf-8")
    try:
        outcome_, rest = _adapt(fixed)
    finally:
        fixed.unlink()
    return ("not", f"{text}, then: {rest}") if outcome_ == "not" else ("after a fix", text)


def _adapt(source: Path) -> tuple[str, str]:
    """Adapt a file, with every option that a message names."""
    options: list[str] = []
    while True:
        with (
            TemporaryDirectory() as out,
            redirect_stdout(StringIO()) as said,
            redirect_stderr(said),
        ):
            target = str(Path(out) / "robot.xml")
            status = bodyplan(["robots", "adapt", str(source), "--out", target, *options])
        text = " ".join(said.getvalue().split())
        if status == 0:
            return ("after a fix", " ".join(options)) if options else ("at once", "")
        more = OPTION.search(text)
        if more is None or more[0] in " ".join(options):
            return "not", text
        options += more[0].split()


def _listed() -> Iterator[str]:
    lines = LIST.read_text(encoding="utf-8").splitlines()
    return (line for line in lines if line and not line.startswith("#"))


def _all(folder: Path) -> Iterator[str]:
    return (
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".urdf", ".xml")
    )


if __name__ == "__main__":
    main()
