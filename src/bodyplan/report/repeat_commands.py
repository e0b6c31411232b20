"""The commands that repeat a run: its data, its training, its evaluation and its page.

They give every setting that decides the result, from config.json, the data's card and the
evaluation. What these files do not tell, such as the folder of someone's own snapshots, is a word
in capitals and has a note.
"""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bodyplan.datasets.policy_snapshots import snapshot_path
from bodyplan.datasets.rollout_schedule import DEFAULT_SIZES
from bodyplan.envs.walking_task import command_name, parse_command
from bodyplan.errors import BodyplanError
from bodyplan.learn.config import GROUPS_FROM, TrainConfig
from bodyplan.report.run_record import RunRecord, flatten_settings
from bodyplan.storage import sha256

Partition = Sequence[Sequence[str]]
_AGAIN = "-again"
"""Behind the run's folder, because in its own folder a finished run is not trained again."""
_SNAPSHOTS, _LOGS = "SNAPSHOTS", "LOGS"
_RESOLVED = ("data", "out", "robots", "groups", "weights")
"""Settings of config.json that do not stand there as they were given, or come first."""
_EVALUATION = ("episodes", "seed", "initial_state", "command")


@dataclass(frozen=True)
class Repeat:
    """How to repeat a run."""

    commands: tuple[str, ...]
    """Lines for a shell, in order."""
    notes: tuple[str, ...]
    """Sentences about what the lines cannot say."""


def repeat_run(
    record: RunRecord, card: Mapping[str, Any], by_bodies: Mapping[int, Partition] | None = None
) -> Repeat:
    """The commands that repeat a run.

    Args:
        record: the run.
        card: the card of its data; empty if that is not at hand.
        by_bodies: for a number of groups, the groups of similar bodies. Older runs do not tell
            what their groups are from; if they are these, their number says it.
    """
    lines: list[str] = []
    notes: list[str] = []
    data = str(record.config.get("data", "DATA"))
    if not card:
        notes.append(f"The data at {data} were not at hand, so how to build them is not told.")
    elif "source" in card:
        notes.append(f"The data at {data} were imported, and not built by bodyplan.")
    else:
        lines.append(f"bodyplan data build {_flags(_building(record, card, notes))}")
    out = _folder_again(record)
    if record.config.get("data") is not None:
        settings = _training(record, card, by_bodies or {}, notes)
        lines.append(f"bodyplan train {_flags(settings)}")
    run = shlex.quote(out)
    if isinstance(record.config.get("together"), list):
        run = shlex.quote(f"{out}/seed{record.config.get('seed')}")
    lines += [f"bodyplan evaluate {run} {_flags(_evaluating(record))}".strip()]
    return Repeat((*lines, f"bodyplan report {run}"), tuple(notes))


def _building(
    record: RunRecord, card: Mapping[str, Any], notes: list[str]
) -> Iterator[tuple[str, Any]]:
    """Arguments of `bodyplan data build`."""
    robots = card.get("robots", {})
    yield "out", record.config["data"]
    yield "robots", [record.models.get(name, name) for name in robots]
    for key in ("recipe", "command"):
        yield key, card.get(key)
    steps = max((int(entry.get("steps", 0)) for entry in robots.values()), default=0)
    yield "steps", card.get("steps", steps)
    yield "seed", card.get("seed")
    if "replay" in card:  # logs decide physics, initial states and disturbances
        yield "replay", _LOGS
        notes.append(f"{_LOGS} is the folder of the logs that the data were selected from.")
        return
    yield "initial_state", card.get("initial_state")
    own = _own_snapshots(card)
    if own:
        yield "snapshots", _SNAPSHOTS
        notes.append(
            f"{_SNAPSHOTS} is the folder of the snapshots that were used for {', '.join(own)}."
        )
    yield from _switched_on(card)
    sizes = dict(card.get("recording_sizes", {}))
    yield "restart_steps", sizes.pop("restart_steps", None)
    if sizes.items() - asdict(DEFAULT_SIZES).items():
        notes.append("The data were built from Python with other sizes of recordings.")


def _own_snapshots(card: Mapping[str, Any]) -> list[str]:
    """Robots whose snapshots are not the packaged ones."""
    found = []
    for name, checksum in (card.get("snapshots") or {}).items():
        try:
            packaged = snapshot_path(name, parse_command(_command(card)))
            if sha256(packaged) != checksum:
                found.append(name)
        except (BodyplanError, OSError):
            found.append(name)
    return found


def _training(
    record: RunRecord,
    card: Mapping[str, Any],
    by_bodies: Mapping[int, Partition],
    notes: list[str],
) -> Iterator[tuple[str, Any]]:
    """Arguments of `bodyplan train`."""
    config, out = record.config, _folder_again(record)
    settings: dict[str, Any] = {"data": config["data"], "out": out}
    if set(card.get("robots", ())) != set(record.robots):
        settings["robots"] = list(record.robots)
    for field in fields(TrainConfig):
        value = config.get(field.name)
        default = None if field.default is MISSING else field.default
        if field.name not in _RESOLVED and value != default:
            settings[field.name] = value
    if weights := config.get("weights"):
        settings["weights"] = [part for pair in weights.items() for part in pair]
    if config.get("combine") == "grouped":
        settings["groups"] = _grouping(record, by_bodies, notes)
    together = config.get("together")
    if together and all(isinstance(seed, int) for seed in together):
        settings |= {"seed": together[0], "seeds": len(together)}
    elif together:
        notes.append(
            "The run was trained side by side with others from Python; alone, its numbers differ "
            "in rounding."
        )
    if config.get("evaluate_every"):
        settings |= _episodes_on_the_way(record)
    methods = [str(config.get("algorithm")), str(config.get("combine"))]
    chosen = {name: config[name] for name in methods if isinstance(config.get(name), dict)}
    return iter([*settings.items(), *flatten_settings(chosen)])


def _grouping(record: RunRecord, by_bodies: Mapping[int, Partition], notes: list[str]) -> int | str:
    """The number of groups where it gives the run's groups, else the groups themselves."""
    groups, source = record.groups, record.config.get(GROUPS_FROM)
    if isinstance(source, int):
        return source
    if source is None and record.config.get("group_by", "embodiment") == "embodiment":
        if _same(groups, by_bodies.get(len(groups), ())):
            return len(groups)
    elif source is not None:
        notes.append(f"The groups are those of the file {source}.")
    return json.dumps([list(group) for group in groups], separators=(",", ":"))


def _same(first: Partition, second: Partition) -> bool:
    return {frozenset(group) for group in first} == {frozenset(group) for group in second}


def _episodes_on_the_way(record: RunRecord) -> dict[str, int]:
    """Episodes of an evaluation during training, which only its lines tell."""
    for line in record.metrics:
        for scores in (line.get("evaluation") or {}).values():
            if isinstance(scores, dict) and scores.get("returns"):
                return {"episodes": len(scores["returns"])}
    return {}


def _evaluating(record: RunRecord) -> Iterator[tuple[str, Any]]:
    """Arguments of `bodyplan evaluate`."""
    evaluation = record.evaluation
    for name in _EVALUATION:
        yield name, evaluation.get(name)
    if evaluation and set(record.scores) != set(record.robots):
        yield "robots", [record.models.get(name, name) for name in record.scores]
    yield from _switched_on(evaluation)
    chosen = evaluation.get("policy")
    if chosen == "best":
        yield "best", True
    elif isinstance(chosen, str) and chosen.startswith("at "):
        yield "at", chosen.removeprefix("at ")


def _folder_again(record: RunRecord) -> str:
    """A new folder beside that of the run, or of the seeds it was trained with."""
    own = Path(str(record.config.get("out", record.path)))
    return f"{own.parent if isinstance(record.config.get('together'), list) else own}{_AGAIN}"


def _command(card: Mapping[str, Any]) -> Any:
    command = card.get("command", "forward")
    return command if isinstance(command, str) else tuple(command)


def _flags(settings: Iterator[tuple[str, Any]]) -> str:
    return " ".join(part for key, value in settings for part in _flag(key, value))


def _switched_on(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((key, value) for key, value in (document.get("conditions") or {}).items() if value)


def _flag(key: str, value: Any) -> Iterator[str]:
    name = key.replace("_", "-")
    if value is None or value is False:  # all switches are off by default
        return
    if key == "command" and not isinstance(value, str):
        value = command_name(parse_command(tuple(value)))
    if value is True:
        yield f"--{name}"
    elif isinstance(value, list | tuple):
        yield " ".join([f"--{name}", *(shlex.quote(str(item)) for item in value)])
    else:
        text = shlex.quote(str(value))
        yield f"--{name}{'=' if text.startswith('-') else ' '}{text}"
