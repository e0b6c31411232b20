"""Sentences about a difference of two arms, by rule: what the intervals allow to say, and no more.

An arm is called better or worse only where the 95 % interval of the difference excludes zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass

SCORE_NAMES = {"return": "return", "normalised": "normalised return"}
SCORE_DIGITS = {"return": 1, "normalised": 2}
"""Decimals that are shown."""
_MOST_DIGITS = 6
_MOST_EXCEPTIONS = 3
"""As many robots are named as exceptions, where that is shorter."""


@dataclass(frozen=True)
class Outcome:
    """What a comparison of an arm with the baseline came to."""

    arm: str
    baseline: str
    robots: Sequence[str]
    """All that are compared."""
    better: Sequence[str]
    """Robots on which the arm is better for certain."""
    worse: Sequence[str]
    difference: float
    """Over all robots, arm minus baseline."""
    interval: tuple[float, float] | None
    """None where an arm has a single seed."""
    seeds: tuple[int, int]
    """Of the arm and of the baseline."""
    pairs: int | None
    """Of equal seeds; None where seeds are not paired."""
    score: str = "return"
    """What is compared: a key of `SCORE_NAMES`."""


def outcome_sentence(outcome: Outcome) -> str:
    """The sentence that an outcome allows."""
    names, told = f"{outcome.arm} and {outcome.baseline}", _told(outcome)
    alone = len(outcome.robots) == 1
    place = f"on {outcome.robots[0]}" if alone else f"over {len(outcome.robots)} robots"
    amount = f"{_amount(outcome)} in {SCORE_NAMES[outcome.score]}"
    if outcome.interval is None:
        return (
            f"No difference between {names} can be told from {_evidence(outcome)}: {place} it is "
            f"{amount}, and a single seed gives no interval."
        )
    found = [*outcome.better, *outcome.worse]
    if alone or not found:
        if told == 0:
            return (
                f"No difference between {names} can be told from {_evidence(outcome)}: {place} it "
                f"is {amount}."
            )
        sentence = f"{outcome.arm} is {_word(told)} than {outcome.baseline} {place}"
        if alone:
            return f"{sentence}: the difference is {amount}."
        return (
            f"{sentence}: the difference is {amount}. On no single robot can a difference be told."
        )
    sides = [("better", outcome.better), ("worse", outcome.worse)]
    (word, robots), *rest = [(word, robots) for word, robots in sides if robots]
    sentence = f"{outcome.arm} is {word} than {outcome.baseline} {_where(robots, outcome.robots)}"
    sentence += "".join(f" and {word} {_where(robots, outcome.robots)}" for word, robots in rest)
    if told == 0:
        return (
            f"{sentence}; over robots no difference can be told from {_evidence(outcome)}: it is "
            f"{amount}."
        )
    contrary = not (outcome.better if told > 0 else outcome.worse)
    return f"{sentence}; {'but ' * contrary}over robots the difference is {amount}."


def signed_interval(value: float, interval: tuple[float, float] | None, digits: int) -> str:
    """A difference with its interval, as `3.1 [1.0, 5.2]`, with digits that show the interval."""
    digits = shown_digits(interval, digits)
    text = f"{value:z.{digits}f}"
    if interval is None:
        return text
    low, high = interval
    return f"{text} [{low:z.{digits}f}, {high:z.{digits}f}]"


def shown_digits(interval: tuple[float, float] | None, digits: int) -> int:
    """Decimals of an interval: more where it is narrow, or a bound would be rounded to zero."""
    if interval is None:
        return digits
    low, high = interval
    while digits < _MOST_DIGITS and (
        0.0 < high - low < 5.0 * 10.0**-digits
        or any(bound != 0.0 and round(bound, digits) == 0.0 for bound in interval)
    ):
        digits += 1
    return digits


def _told(outcome: Outcome) -> int:
    """1 where the arm is better over robots for certain, -1 where it is worse, else 0."""
    if outcome.interval is None:
        return 0
    low, high = outcome.interval
    return int(low > 0.0) - int(high < 0.0)


def _word(direction: int) -> str:
    return "better" if direction > 0 else "worse"


def _amount(outcome: Outcome) -> str:
    return signed_interval(outcome.difference, outcome.interval, SCORE_DIGITS[outcome.score])


def _where(found: Sequence[str], robots: Sequence[str]) -> str:
    """`on 3 of 4 robots (a, b, c)`, or the exceptions where these are fewer names."""
    if len(found) == len(robots):
        return f"on all {len(robots)} robots"
    others = [robot for robot in robots if robot not in found]
    named = ", ".join(found)
    if len(others) <= _MOST_EXCEPTIONS < len(found):
        named = f"all but {', '.join(others)}"
    return f"on {len(found)} of {len(robots)} robots ({named})"


def _evidence(outcome: Outcome) -> str:
    """`3 pairs of seeds`, `one seed each`, `3 and 5 seeds`."""
    own, other = outcome.seeds
    if outcome.pairs is not None:
        return f"{outcome.pairs} pairs of seeds"
    if own == other:
        return "one seed each" if own == 1 else f"{own} seeds each"
    return f"{own} and {other} seeds"
