"""A problem of a robot's files: how severe it is, where it is, and its fix."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from bodyplan.errors import BodyplanError

Severity = Literal["error", "warning", "note"]
"""Error: the robot cannot be used. Warning: probably a mistake. Note: good to know."""

Finding = tuple[Severity, str, str]
"""What a check yields: the severity, the problem, the fix."""


ADAPT = "or let `bodyplan robots adapt` do it"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, or probably wrong."""

    severity: Severity
    where: str
    """Path of the file."""
    problem: str
    fix: str

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}; {self.fix}"


class FaultyFilesError(BodyplanError):
    """A robot's files cannot be read; the message is the first problem, and counts the others."""

    def __init__(self, file: str | Path, problems: "list[Problem]") -> None:
        """Args:
        file: path of the model.
        problems: at least one.
        """
        rest = len(problems) - 1
        more = f" ({rest} more: bodyplan robots check {file})" if rest else ""
        super().__init__(f"{problems[0]}{more}")
        self.problems = problems


def as_problem(file: Path, error: BodyplanError) -> Problem:
    """An error's sentence as a problem and its fix."""
    text = str(error).removeprefix(f"{file}: ").removeprefix(f"{file}, ")
    problem, _, fix = text.partition("; ")
    return Problem("error", str(file), problem, fix or "correct that")


def only_errors(problems: Iterable[Problem]) -> list[Problem]:
    """The problems that make a robot unusable."""
    return [problem for problem in problems if problem.severity == "error"]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question with the known name that is most like this one; empty where none is."""
    close = get_close_matches(name, list(known), n=1)
    return f"did you mean '{close[0]}'?" if close else ""


def name_list(names: Iterable[str], most: int = 8) -> str:
    """Names in quotes with commas between them, at most `most` of them."""
    quoted = [f"'{name}'" for name in names]
    rest = f" and {len(quoted) - most} more" if len(quoted) > most else ""
    return ", ".join(quoted[:most]) + rest
