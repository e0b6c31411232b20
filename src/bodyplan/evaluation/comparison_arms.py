"""Which runs belong together: arms of runs that differ only in their seeds, and their names."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bodyplan.errors import BodyplanError
from bodyplan.evaluation.evaluated_runs import EvaluatedRun
from bodyplan.learn.same_settings import (
    DECIDES_NO_RESULT,
    differing_settings,
    require_seeds,
    seed_of,
)

_BARE = ("algorithm", "combine", "data", "network")
"""Settings whose values tell what they are without the setting's name."""


@dataclass(frozen=True)
class Grouping:
    """Runs grouped into arms."""

    by: tuple[str, ...]
    """The settings that arms are told apart by."""
    unnamed: tuple[str, ...]
    """Other settings in which runs of different arms differ."""
    arms: Mapping[str, tuple[int, ...]]
    """By the name of each arm, the places of its runs, in the order of their seeds."""
    settings: Mapping[str, Mapping[str, Any]]
    """By the name of each arm, the values of `by`."""


def group_into_arms(
    evaluated: Sequence[EvaluatedRun],
    by: Sequence[str] | None = None,
    also: Sequence[str] = (),
    given: Sequence[str] | None = None,
) -> Grouping:
    """Group runs by their settings, or by the names that they are given.

    Args:
        evaluated: the runs.
        by: names of settings; by default all in which the runs differ.
        also: as for `result_settings`.
        given: the name of each run's arm, where arms are not told apart by `by`.

    Raises:
        BodyplanError: `by` names what is no setting, or runs of one arm differ in more than their
            seeds, or share a seed.
    """
    settings = [own.settings(also) for own in evaluated]
    differing = differing_settings(settings)
    names = differing if by is None else _checked_names(by, settings)
    members: dict[str, list[int]] = {}
    for place, own in enumerate(settings):
        key = given[place] if given else json.dumps([own.get(name) for name in names])
        members.setdefault(key, []).append(place)
    for places in members.values():
        places.sort(key=lambda place: seed_of(evaluated[place].run))
        inside = [settings[place] for place in places]
        needed = ",".join([*names, *differing_settings(inside)])
        require_seeds(
            [evaluated[place].run for place in places],
            f"name what tells them apart (--by {needed})",
            inside,
        )
    shown = [
        {name: _shown(evaluated[first], settings[first], name) for name in names}
        for first, *_ in members.values()
    ]
    titles = list(members) if given else [_title(own) or _method(evaluated[0]) for own in shown]
    # Unlike values can look alike, such as two folders of one name.
    titles = [
        f"{title} ({hashlib.sha256(key.encode()).hexdigest()[:6]})"
        if titles.count(title) > 1
        else title
        for title, key in zip(titles, members, strict=True)
    ]
    return Grouping(
        tuple(names),
        tuple(name for name in differing if name not in names),
        dict(zip(titles, map(tuple, members.values()), strict=True)),
        dict(zip(titles, shown, strict=True)),
    )


def _checked_names(by: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Names of settings, as written in Python or on the command line."""
    names = tuple(dict.fromkeys(name.replace("-", "_") for name in by))
    known = sorted({name for own in settings for name in own})
    for name in names:
        if name in DECIDES_NO_RESULT - {"data"}:
            raise BodyplanError(
                f"--by names {name}, which changes no result and makes no arm; leave it out"
            )
        if name not in known:
            raise BodyplanError(
                f"--by names {name}, which no run has; choose from {', '.join(known)}"
            )
    return names


def _shown(own: EvaluatedRun, settings: Mapping[str, Any], name: str) -> Any:
    """The value of a setting for a reader; data are known by their folder."""
    return Path(own.run.config["data"]).name if name == "data" else settings.get(name)


def _title(values: Mapping[str, Any]) -> str:
    """The name of an arm, from the values of its settings; a method lacks those of others."""
    return " ".join(_word(name, value) for name, value in values.items() if value is not None)


def _word(name: str, value: Any) -> str:
    if name in _BARE:
        return str(value)
    if name in ("robots", "groups"):
        count = value if isinstance(value, int) else len(value)
        return f"{count} {name[:-1] if count == 1 else name}"
    plain = value if isinstance(value, str | float) else json.dumps(value)
    return f"{name.rpartition('.')[2]}={plain}"


def _method(own: EvaluatedRun) -> str:
    """The name of an arm that is told apart by nothing."""
    return f"{own.run.config.get('algorithm')} {own.run.config.get('combine')}"
