"""Whether runs are seeds of one another: the settings that decide a result, and where they differ.

Runs are seeds of one another if they differ in nothing that decides their result but the seed.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from bodyplan.errors import BodyplanError
from bodyplan.learn.config import NOT_IN_IDENTITY, TrainConfig, flat_settings, renamed
from bodyplan.learn.run import Run

DECIDES_NO_RESULT = NOT_IN_IDENTITY | {
    *("seed", "together", "provenance", "devices"),
    *("log_every", "checkpoint_every", "evaluate_every", "conflicts_every"),
}
"""Settings in which seeds of one another may differ; `together` is what a run trained beside."""
_OF_GROUPED = ("groups", "group_by", "group_critic")
_DATA_IDENTITY = "dataset_card_sha256"
_SEED_FOLDER = re.compile(r"/seed\d+/?$")
_DEFAULTS = {one.name: one.default for one in fields(TrainConfig)}


def result_settings(run: Run, also: Sequence[str] = ()) -> dict[str, Any]:
    """The settings that decide a run's result, apart from its seed, under dotted names.

    Data count by their content, not by their folder. Random groups count by their number, because
    each seed may draw its own. A seed that starts from another run counts as started from that
    run's seeds.

    Args:
        run: a run, finished or not.
        also: names from `DECIDES_NO_RESULT` that decide this time.

    Raises:
        BodyplanError: the run has no config.json, or it is damaged.
    """
    config = {**_DEFAULTS, **renamed(run.config)}
    weights = config.pop("weights") or None  # one setting, whichever robots it names
    settings = flat_settings(config) | {"weights": weights}
    settings["data"] = config.get(_DATA_IDENTITY, str(config["data"]))
    if config["combine"] != "grouped":
        settings = {name: own for name, own in settings.items() if name not in _OF_GROUPED}
    elif config["group_by"] == "random" and isinstance(config["groups"], list):
        settings["groups"] = len(config["groups"])
    settings["robots"] = sorted(config["robots"])
    if config["init_from"] is not None:
        settings["init_from"] = _SEED_FOLDER.sub("", str(config["init_from"]))
    ignored = (DECIDES_NO_RESULT - {"data", *also}) | {_DATA_IDENTITY}
    named = {name: own for name, own in settings.items() if name.split(".")[0] not in ignored}
    return json.loads(json.dumps(named, default=str))  # tuples and paths, as in a file


def differing_settings(settings: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The names of settings in which runs differ, as `result_settings` names them.

    A setting that not all runs have, such as `iql.beta`, differs among those that have it.
    """
    names = dict.fromkeys(name for own in settings for name in own)
    return tuple(name for name in names if len(_values(name, settings)) > 1)


def require_seeds(
    runs: Sequence[Run], fix: str, settings: Sequence[Mapping[str, Any]] | None = None
) -> None:
    """Refuse runs that are not seeds of one another.

    Args:
        runs: the runs.
        fix: what the user can do where settings differ; the end of a sentence.
        settings: of each run, those that decide its result; by default its `result_settings`.

    Raises:
        BodyplanError: the runs differ in a setting that decides their result, or share a seed.
    """
    settings = settings or [result_settings(run) for run in runs]
    differing = differing_settings(settings)
    if differing:
        pairs = (
            (own, other)
            for own in range(len(runs))
            for other in range(own)
            if differing_settings([settings[own], settings[other]])
        )
        first, second = next(pairs)
        raise BodyplanError(
            f"{runs[second].path} and {runs[first].path} are not seeds of one another: the runs "
            f"differ in {', '.join(differing)}; {fix}"
        )
    found: dict[int, Run] = {}
    for run in runs:
        seed = seed_of(run)
        if seed in found:
            raise BodyplanError(
                f"{found[seed].path} and {run.path} are both seed {seed} of the same settings; "
                "leave one of them out"
            )
        found[seed] = run


def seed_of(run: Run) -> int:
    """The seed of a run."""
    return int(run.config.get("seed", 0))


def _values(name: str, settings: Iterable[Mapping[str, Any]]) -> set[str]:
    """The values of a setting as texts, of the runs that have such a setting."""
    return {
        json.dumps(own.get(name), sort_keys=True)
        for own in settings
        if name in own or not _belongs_to_other_method(name, own)
    }


def _belongs_to_other_method(name: str, settings: Mapping[str, Any]) -> bool:
    """Whether a run cannot have a setting, because it is one of another algorithm or combiner."""
    if name in _OF_GROUPED:
        return settings["combine"] != "grouped"
    method = name.split(".")[0]
    return "." in name and method not in (settings["algorithm"], settings["combine"])
