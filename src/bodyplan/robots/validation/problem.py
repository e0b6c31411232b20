"""What is wrong with a robot's files, where, and how to put it right."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

Severity = Literal["error", "warning", "note"]
"""The robot cannot be used; it is probably a mistake; it is good to know."""

Finding = tuple[Severity, str, str]
"""What a check yields: how severe, the problem, the fix."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, or looks so."""

    severity: Severity
    where: str
    """The file."""
    problem: str
    fix: str

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}; {self.fix}"


def only_errors(problems: Iterable[Problem]) -> list[Problem]:
    """Those that make a robot unusable."""
    return [problem for problem in problems if problem.severity == "error"]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question after the known name that reads most like this one; nothing where none does."""
    close = get_close_matches(name, list(known), n=1)
    return f"did you mean '{close[0]}'?" if close else ""


def name_list(names: Iterable[str], most: int = 8) -> str:
    """Names in a sentence, not too many of them."""
    own = [f"'{name}'" for name in names]
    rest = f" and {len(own) - most} more" if len(own) > most else ""
    return ", ".join(own[:most]) + rest
