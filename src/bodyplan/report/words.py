"""Words of sentences: counts and lists."""

from collections.abc import Sequence

_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def spelled(count: int, noun: str) -> str:
    """'four robots', '16 robots'."""
    word = _COUNTS[count] if count < len(_COUNTS) else f"{count:,}"
    return f"{word} {noun}{'' if count == 1 else 's'}"


def count_of(count: int, noun: str) -> str:
    """'4 robots', '1 robot'."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def joined_words(names: Sequence[str]) -> str:
    """'a, b and c'."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""
