"""The commands `robots check`, which finds problems of a robot, and `robots adapt`."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

from bodyplan.cli.output import print_json, print_line
from bodyplan.errors import BodyplanError
from bodyplan.robots.validation.problem import Problem, only_errors
from bodyplan.storage import atomic_write

UNUSABLE = 2


@dataclass(frozen=True)
class CheckRobot:
    """Find everything that is wrong with a robot's files, each problem with its fix.

    Where no TOML lies beside the MJCF, one is inferred and checked in its place. The exit status is
    0 if the robot can be used, 2 if not.
    """

    file: tyro.conf.Positional[Path]
    """Path of the robot's MJCF, or the name of a robot."""
    write: bool = False
    """Write the inferred TOML beside the MJCF."""
    allow_path: tuple[Path, ...] = ()
    """Folders besides the MJCF's own whose files it may name."""
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
                f"{toml} exists and is not overwritten; move it away to infer one, or leave out "
                "--write to check it"
            )
        found = check_robot(mjcf, self.allow_path)
        problems = found.problems
        if self.write and found.toml is not None:
            _write(toml, found.toml)
            problems = [
                own for own in problems if own.where != str(toml) or own.fix != found.write_hint
            ]
        _print_problems(problems, self.json)
        if not self.json:
            print_line(_verdict(mjcf, problems))
            if self.write:
                print_line(
                    f"wrote {toml}" if found.toml else "no TOML written: fix the errors first"
                )
        return UNUSABLE if only_errors(problems) else 0


@dataclass(frozen=True)
class AdaptRobot:
    """Make a robot of a model from elsewhere: an MJCF, a URDF, or a model of MuJoCo Menagerie.

    Servos become plain motors, a fixed root gets a free joint, and unnamed feet get names. A TOML
    is inferred. The result is then checked as `robots check` does. The model's own files do not
    change, and meshes from elsewhere are copied beside the new MJCF.
    """

    source: tyro.conf.Positional[str]
    """Path of an MJCF or a URDF, or menagerie:<name>, for example menagerie:unitree_go1."""
    out: Path
    """Path of the new MJCF; the TOML goes beside it."""
    root: str | None = None
    """Name of the robot's root body, where the model has several; by default that with motors."""
    lock_wheels: bool = False
    """Fix wheels, so that the robot walks on them."""
    visual_collisions: bool = False
    """Let visual shapes touch things on a URDF's links that have no collision shape."""
    allow_path: tuple[Path, ...] = ()
    """Folders besides the model's own whose files it may name."""
    json: bool = False
    """Answer in JSON: the notes by kind (changes, guesses, dropped), and the remaining problems."""

    def run(self) -> int:
        """Write the two files, and print the changes."""
        from bodyplan.robots.adaptation.choices import Choices
        from bodyplan.robots.adaptation.convert_model import convert_model
        from bodyplan.robots.adaptation.menagerie import find_model_file
        from bodyplan.robots.validation.check_robot import check_robot

        for path in (self.out, self.out.with_suffix(".toml")):
            if path.exists():
                raise BodyplanError(f"{path} exists; give another --out or delete it first")
        if self.out.suffix != ".xml":
            raise BodyplanError(f"--out is {self.out}; give a path that ends in .xml")
        source = find_model_file(self.source)
        choices = Choices(self.root, self.lock_wheels, self.visual_collisions, self.allow_path)
        converted = convert_model(source, self.out, choices)
        problems = check_robot(self.out).problems
        if self.json:
            print_json(
                {
                    "changes": [own.text for own in converted.notes if own.kind == "changed"],
                    "guesses": [own.text for own in converted.notes if own.kind == "guessed"],
                    "dropped": [own.text for own in converted.notes if own.kind == "dropped"],
                    "problems": [asdict(problem) for problem in problems],
                    "file": self.out,
                }
            )
        else:
            for note in converted.notes:
                print_line(f"{note.kind:<8} {note.text}", hang=9)
            _print_problems(problems, False)
            print_line(_verdict(self.out, problems))
        return UNUSABLE if only_errors(problems) else 0


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _print_problems(problems: Sequence[Problem], as_json: bool) -> None:
    if as_json:
        print_json([asdict(problem) for problem in problems])
        return
    for problem in problems:
        print_line(f"{problem.severity:<8} {problem}", hang=9)


def _verdict(file: Path, problems: Sequence[Problem]) -> str:
    count = len(only_errors(problems))
    if count:
        return f"{file} cannot be used yet: {count} {'error' if count == 1 else 'errors'}"
    return f"{file} can be used"
