"""The headline of a run's page: sentences that follow from the figures of its evaluation, by rule.

The title says what matters most: that robots stand still or fall, or else how the policy compares
with the whole episodes of its data. A difference is only claimed where the 95 % interval excludes
zero. Nothing is stated in percent, because a percentage of a return near zero says nothing.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from bodyplan.envs.walking_task import parse_command
from bodyplan.evaluation.significance import half_width
from bodyplan.report.words import count_of, joined_words, spelled

_STILL_SPEED = 0.1
"""Share of the commanded speed below which a robot stands still."""
_STILL_SCORE = 0.1
"""Normalised return below which a robot that does not move stands still."""
_OFTEN = 0.5
"""Share of episodes from which a robot is called one that falls."""
_MOST_NAMES = 4
"""As many robots are named at most, or as many exceptions."""


class Headline(NamedTuple):
    """What a page says of a run before anything else."""

    title: str
    rest: tuple[str, ...]
    """More sentences, the important ones first."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """All of them."""
        return self.title, *self.rest


def headline(evaluation: Mapping[str, Any], robots: Sequence[str]) -> Headline:
    """The headline that an evaluation allows.

    Args:
        evaluation: the content of evaluation.json; empty where there is none.
        robots: those that the policy was trained on, or the only ones it is evaluated on.
    """
    scores = {
        robot: own
        for robot, own in (evaluation.get("robots") or {}).items()
        if _number(own.get("return_mean")) is not None
    }
    subject = _subject(robots or list(scores))
    if 0 < len(scores) < len(robots):  # what follows is said of those
        subject += f", evaluated on {spelled(len(scores), 'robot')},"
    if not scores:
        return Headline(f"{subject} is not evaluated yet.", ())
    names = list(scores)
    groups = {
        "still": [name for name in names if _stands_still(scores[name], evaluation)],
        "falls": [name for name in names if _share(scores[name]) >= _OFTEN],
    }
    sentences = [
        *_conduct(groups, names),
        *_against_data(scores),
        *_against_best_data(scores),
        *_against_experts(scores),
        *_mean_score(evaluation, scores),
        *_mean_return(evaluation),
    ]
    title, *others = sentences
    rest = _as_sentences([*_falls(scores), *others])
    return Headline(f"{subject} {title}.", (*rest, *_limits(evaluation, robots)))


def _subject(robots: Sequence[str]) -> str:
    if len(robots) == 1:
        return f"The policy for {robots[0]}"
    return f"One policy for {spelled(len(robots), 'robot')}" if robots else "The policy"


def _conduct(groups: Mapping[str, Sequence[str]], names: Sequence[str]) -> list[str]:
    """That robots stand still or fall, if so many do that it comes before all else."""
    still, falls = groups["still"], groups["falls"]
    parts = [f"stands still{_on(still, names)}"] if still else []
    if falls:
        parts.append(f"falls on {_named(falls)}" if still else f"falls{_on(falls, names)}")
    many = 2 * len({*still, *falls}) >= len(names)
    return [" and ".join(parts)] if parts and many else []


def _against_data(scores: Mapping[str, Mapping[str, Any]]) -> list[str]:
    compared = _compared(scores, "data_return", _data_episodes)
    names = [name for part in compared for name in part]
    if not names:
        return []
    found = [
        (robots, words)
        for robots, words in zip(compared, ("better", "worse", "about as good"), strict=True)
        if robots
    ]
    (first, word), *others = found
    than = "as" if word == "about as good" else "than"
    parts = [f"is {word} {than} its data{_on(first, names, scores)}"]
    parts += [f"{word} on {_named(robots)}" for robots, word in others]
    return [joined_words(parts)]


def _against_best_data(scores: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The policies of the late phase are what a learner should reach; their mean is higher."""
    better, worse, alike = _compared(scores, "data_best_return", _data_episodes)
    names = [*better, *worse, *alike]
    if not names:
        return []
    if len(better) == len(names):
        return [f"is better than the best policy in the data{_on(better, names, scores)}"]
    if len(worse) == len(names):
        return [f"is worse than the best policy in the data{_on(worse, names, scores)}"]
    reached = [name for name in names if name not in worse]
    return [f"reaches the best policy in the data{_on(reached, names, scores)}"]


def _against_experts(scores: Mapping[str, Mapping[str, Any]]) -> list[str]:
    better, worse, alike = _compared(scores, "expert_return", _own_episodes)
    names = [*better, *worse, *alike]
    reached = [name for name in names if name not in worse]
    return [f"is about as good as the expert{_on(reached, names, scores)}"] if reached else []


def _mean_score(
    evaluation: Mapping[str, Any], scores: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    mean = _number((evaluation.get("mean") or {}).get("normalised_return"))
    references = {own.get("reference") for own in scores.values()}
    if mean is None or not references <= {"expert", "ceiling"}:
        return []
    one = {"expert": "the expert", "ceiling": "perfect tracking"}
    is_one = " or ".join(text for key, text in one.items() if key in references)
    many = " mean" if len(scores) > 1 else ""
    return [f"has a{many} score of {_plain(mean, 2)}, where standing still is 0 and {is_one} is 1"]


def _mean_return(evaluation: Mapping[str, Any]) -> list[str]:
    mean = _number((evaluation.get("mean") or {}).get("return_mean"))
    return [] if mean is None else [f"has a mean return of {_plain(mean, 1)}"]


def _falls(scores: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """How often robots fall, where that is known."""
    shares = {name: own["fall_share"] for name, own in scores.items() if _falls_known(own)}
    if not shares:
        return []
    falling = sorted((name for name in shares if shares[name] > 0.0), key=lambda n: -shares[n])
    if not falling:
        return ["falls in no episode"]
    texts = [f"{_episodes_that_fell(scores[name])} on {name}" for name in falling[:_MOST_NAMES]]
    left = len(falling) - len(texts)
    more = f" and in fewer on {spelled(left, 'other')}" if left else ""
    return [f"falls in {joined_words(texts) if not left else ', '.join(texts)}{more}"]


def _limits(evaluation: Mapping[str, Any], robots: Sequence[str]) -> list[str]:
    """What a reader must know to judge the sentences."""
    scores: Mapping[str, Mapping[str, Any]] = evaluation["robots"]
    found = []
    if not any("fall_share" in own for own in scores.values()):
        found.append(
            "An older version of bodyplan evaluated this run, without falls, velocities and whole "
            "episodes of the data; run `bodyplan evaluate` again."
        )
    disturbances = evaluation.get("conditions") or {}
    if any(value for value in disturbances.values()):
        found.append("The robots were disturbed.")
    elif evaluation.get("initial_state") == "nominal":
        found.append("All episodes start from the nominal state, so those of a robot are equal.")
    if evaluation.get("policy") not in (None, "last"):
        chosen = evaluation["policy"]
        text = "that did best in training" if chosen == "best" else f"{chosen} updates"
        found.append(f"The policy is the one {text}, not the last.")
    if 0 < len(scores) < len(robots):
        found.append(f"It is evaluated on {len(scores)} of its {len(robots)} robots.")
    episodes = evaluation.get("episodes")
    if episodes == 1:
        found.append("One episode of each robot tells no difference from chance.")
    found.append("This is one seed of training; another may differ by more than the intervals.")
    return found


def _compared(
    scores: Mapping[str, Mapping[str, Any]],
    key: str,
    others: Callable[[Mapping[str, Any]], float],
) -> tuple[list[str], list[str], list[str]]:
    """Robots that are better, worse, and not told apart from another return.

    Args:
        scores: by robot.
        key: of the other return.
        others: number of episodes that the other return is a mean of. Their spread is not known;
            that of the policy's episodes stands for it.
    """
    found: tuple[list[str], list[str], list[str]] = ([], [], [])
    for name, own in scores.items():
        other, error = _number(own.get(key)), _number(own.get("return_se"))
        if other is None or not _falls_known(own):  # older files have fragments of episodes
            continue
        difference = own["return_mean"] - other
        episodes = len(own.get("returns") or ())
        if error is None:
            found[2].append(name)
            continue
        both = error * math.sqrt(1.0 + max(episodes, 1) / others(own))
        width = half_width(both, episodes)
        found[0 if difference > width else 1 if difference < -width else 2].append(name)
    return found


def _data_episodes(scores: Mapping[str, Any]) -> float:
    return _number(scores.get("data_episodes")) or math.inf


def _own_episodes(scores: Mapping[str, Any]) -> float:
    return max(len(scores.get("returns") or ()), 1)


def _stands_still(scores: Mapping[str, Any], evaluation: Mapping[str, Any]) -> bool:
    """Whether a robot stays up and in its place although it should move."""
    velocity, score = scores.get("velocity"), _number(scores.get("normalised_return"))
    if velocity is None or "command" not in evaluation or _share(scores) >= _OFTEN:
        return False
    command = evaluation["command"]
    vx, vy, _ = parse_command(command if isinstance(command, str) else tuple(command))
    wanted = math.hypot(vx, vy)
    if wanted == 0.0:
        return False
    along = (velocity[0] * vx + velocity[1] * vy) / wanted**2
    return abs(along) < _STILL_SPEED and (score is None or score < _STILL_SCORE)


def _episodes_that_fell(scores: Mapping[str, Any]) -> str:
    count = len(scores.get("returns") or ())
    return f"{round(scores['fall_share'] * count)} of {count_of(count, 'episode')}"


def _falls_known(scores: Mapping[str, Any]) -> bool:
    return _number(scores.get("fall_share")) is not None


def _share(scores: Mapping[str, Any]) -> float:
    return _number(scores.get("fall_share")) or 0.0


def _on(found: Sequence[str], names: Sequence[str], scores: Collection[str] = ()) -> str:
    """` on all of them`, ` on 3 of 4 robots (a, b, c)`; nothing where there is one robot.

    Args:
        found: those that it is said of.
        names: all that it could be said of.
        scores: all robots, if some of them have nothing to compare with.
    """
    every = max(len(names), len(scores))
    if every == 1:
        return ""
    if len(found) == every:
        return " on all of them"
    others = [name for name in names if name not in found]
    known = f"the {len(names)} that can be compared"
    if not others:
        return f" on all {len(names)} that can be compared ({_named(found)})"
    named = ", ".join(found)
    if len(found) > _MOST_NAMES:
        named = f"all but {', '.join(others)}" if len(others) <= _MOST_NAMES else ""
    of = f"{every} robots" if len(names) == every else known
    return f" on {len(found)} of {of}{f' ({named})' if named else ''}"


def _named(found: Sequence[str]) -> str:
    """The names, or their number where they are many."""
    return joined_words(found) if len(found) <= _MOST_NAMES else str(len(found))


def _as_sentences(predicates: Sequence[str]) -> list[str]:
    return [f"It {predicate}." for predicate in predicates]


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _plain(value: float, digits: int) -> str:
    return f"{value:z.{digits}f}".replace("-", "−")
