"""Your own robot: everything that is wrong with it, and models of others brought into form."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

from bodyplan.cli.output import print_json
from bodyplan.errors import BodyplanError
from bodyplan.robots.validation.problem import Problem, only_errors
from bodyplan.storage import atomic_write

UNUSABLE = 2


@dataclass(frozen=True)
class CheckRobot:
    """Tell everything that is wrong with a robot's files, and how to mend it.

    Where there is no TOML beside the MJCF, one is inferred and checked in its place. The exit
    status is 0 if the robot can be used, 2 if not.
    """

    file: tyro.conf.Positional[Path]
    """The robot's MJCF, or the name of a robot that is known by name."""
    write: bool = False
    """Write the inferred TOML beside it."""
    json: bool = False
    """Answer in JSON: a list of objects with severity, where, problem and fix."""

    def run(self) -> int:
        """Print one line for each problem."""
        from bodyplan.robots import registry
        from bodyplan.robots.validation.check_robot import check_robot

        mjcf = self.file if self.file.suffix else registry.find_model(str(self.file))
        toml = mjcf.with_suffix(".toml")
        if self.write and toml.exists():
            raise BodyplanError(
                f"{toml} exists and is never overwritten; move it away to have one inferred, or "
                "leave out --write to have it checked"
            )
        found = check_robot(mjcf)
        problems = found.problems
        if self.write and found.toml is not None:
            _write(toml, found.toml)
            problems = [
                own for own in problems if own.where != str(toml) or own.fix != found.write_hint
            ]
        _answer(problems, self.json)
        if not self.json:
            _say(_verdict(mjcf, problems))
            if self.write:
                _say(f"wrote {toml}" if found.toml else "no TOML written: mend the errors first")
        return UNUSABLE if only_errors(problems) else 0


@dataclass(frozen=True)
class AdaptRobot:
    """Bring a model from elsewhere into the task's form: an MJCF, a URDF, one of MuJoCo Menagerie.

    Servos become plain motors, a fixed root gets a free joint, unnamed feet get names; a TOML is
    inferred. Then the result is checked as `robots check` does. The model's own files stay as they
    are, and its meshes where they are.
    """

    source: tyro.conf.Positional[str]
    """Path of an MJCF or a URDF, or menagerie:<name> as in menagerie:unitree_go1."""
    out: Path
    """Where to write the MJCF; the TOML goes beside it."""
    json: bool = False
    """Answer in JSON: what was changed, what was guessed, and the problems that are left."""

    def run(self) -> int:
        """Write two files, and print what was done."""
        from bodyplan.robots.adaptation.convert_model import convert_model
        from bodyplan.robots.model_files import find_model_file
        from bodyplan.robots.validation.check_robot import check_robot

        for path in (self.out, self.out.with_suffix(".toml")):
            if path.exists():
                raise BodyplanError(f"{path} exists; give another --out or delete it first")
        if self.out.suffix != ".xml":
            raise BodyplanError(f"--out {self.out}: the name of an MJCF ends in .xml")
        converted = convert_model(find_model_file(self.source), self.out)
        problems = check_robot(self.out).problems
        if self.json:
            left = [asdict(problem) for problem in problems]
            told = {"changes": converted.changes, "guesses": converted.guesses, "problems": left}
            print_json(told | {"file": self.out})
        else:
            for word, lines in (("changed", converted.changes), ("guessed", converted.guesses)):
                for line in lines:
                    _say(f"{word:<8} {line}")
            _answer(problems, False)
            _say(_verdict(self.out, problems))
        return UNUSABLE if only_errors(problems) else 0


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _answer(problems: Sequence[Problem], as_json: bool) -> None:
    if as_json:
        print_json([asdict(problem) for problem in problems])
        return
    for problem in problems:
        _say(f"{problem.severity:<8} {problem}")


def _verdict(file: Path, problems: Sequence[Problem]) -> str:
    wrong = len(only_errors(problems))
    if wrong:
        return f"{file} cannot be used yet: {wrong} {'error' if wrong == 1 else 'errors'}"
    return f"{file} can be used"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")  # not through rich, which reads [feet] as an instruction
