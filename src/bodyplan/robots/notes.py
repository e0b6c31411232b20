"""Notes: what a reader changed of a model, guessed for it or dropped from it, one line each."""

from dataclasses import dataclass
from typing import Literal

NoteKind = Literal["changed", "guessed", "dropped"]
"""Changed: the model says otherwise. Guessed: the model does not say. Dropped: it is left out."""


@dataclass(frozen=True)
class Note:
    """One thing about a robot that its model does not say, or says otherwise."""

    kind: NoteKind
    text: str


def changed(text: str) -> Note:
    """A note on a change."""
    return Note("changed", text)


def guessed(text: str) -> Note:
    """A note on a value that the model does not contain."""
    return Note("guessed", text)


def dropped(text: str) -> Note:
    """A note on a part that is left out."""
    return Note("dropped", text)
