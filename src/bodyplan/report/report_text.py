"""The text of a report: headline, facts, and the commands that reproduce the run."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bodyplan.envs.walking_task import command_name, parse_command
from bodyplan.report.run_record import RunRecord, flatten_settings, number
from bodyplan.report.words import spelled

_DERIVED = ("robots", "groups", "weights", "together", "dataset_card_sha256")


def headline(record: RunRecord) -> str:
    """The result in one sentence, as far as it is known."""
    many = spelled(len(record.robots), "robot")
    mean = record.evaluation.get("mean") or {}
    reached = number(mean.get("return_mean"))
    if reached is None:
        return f"One policy for {many}, not evaluated yet."
    sentence = f"One policy for {many} reaches a mean return of {reached:.1f}"
    data, share = number(mean.get("data_return")), number(mean.get("normalised_return"))
    if data:
        gain = 100.0 * (reached / data - 1.0)
        side = "above" if gain >= 0.0 else "below"
        sentence += f", {abs(gain):.0f}\u00a0% {side} the data it was trained on"
    if share is not None:
        sentence += f"{' and' if data else ','} {100.0 * share:.0f}\u00a0% of the experts"
    return sentence + "."


def facts(record: RunRecord, card: dict[str, Any]) -> list[tuple[str, str]]:
    """Labels and values of the facts below the headline."""
    return list(_facts(record, card))


def _facts(record: RunRecord, card: dict[str, Any]) -> Iterator[tuple[str, str]]:
    config = record.config
    command = record.evaluation.get("command") or card.get("command")
    if card:
        steps = sum(int(entry.get("steps", 0)) for entry in card.get("robots", {}).values())
        yield "Data", f"{card.get('recipe', 'unnamed')}, {steps:,} steps"
    if command is not None:
        yield "Command", _command(command)
    method = [str(config[key]) for key in ("algorithm", "combine") if config.get(key)]
    if method:
        groups = f", {spelled(len(record.groups), 'group')}" if len(record.groups) > 1 else ""
        yield "Method", " + ".join(method) + groups
    if record.metrics:
        seconds = [number(line.get("wall_s")) for line in record.metrics]
        known = [value for value in seconds if value is not None]
        clock = f" in {_duration(known[-1])}" if known else ""
        yield "Training", f"{record.metrics[-1]['update']:,.0f} updates{clock}"
    episodes = record.evaluation.get("episodes")
    if episodes:
        yield "Evaluation", f"{spelled(int(episodes), 'episode')} a robot"
    if config.get("seed") is not None:
        yield "Seed", str(config["seed"])


def commands(record: RunRecord, card: dict[str, Any]) -> list[str]:
    """The command lines that reproduce this report."""
    lines, run = [], shlex.quote(str(record.path))
    imported = "source" in card
    if card and not imported and "data" in record.config:
        lines.append("bodyplan data build " + _flags(_recipe(record, card)))
    own = {key: value for key, value in record.config.items() if key not in _DERIVED}
    settings = dict(flatten_settings(own))
    if settings:
        if len(record.groups) > 1:
            settings["groups"] = len(record.groups)
        if weights := record.config.get("weights"):
            settings["weights"] = [part for pair in weights.items() for part in pair]
        if together := record.config.get("together"):
            first = {"seed": together[0], "out": str(Path(own["out"]).parent)}
            settings |= {**first, "seeds": len(together)}
        if list(card.get("robots", record.robots)) != list(record.robots):
            settings["robots"] = list(record.robots)
        lines.append("bodyplan train " + _flags(settings))
    names = ("episodes", "seed", "initial_state", "command")
    evaluation = _flags({name: record.evaluation.get(name) for name in names})
    return [*lines, f"bodyplan evaluate {run} {evaluation}".strip(), f"bodyplan report {run}"]


def _recipe(record: RunRecord, card: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `bodyplan data build` that build the data again."""
    robots = card.get("robots", {})
    steps = max((int(entry.get("steps", 0)) for entry in robots.values()), default=0)
    facts = {key: card.get(key) for key in ("recipe", "command", "seed", "initial_state")}
    facts |= card.get("conditions", {})
    if "replay" in card:
        facts["replay"] = "LOGS"  # the card does not record the path
    return {"out": record.config["data"], "robots": list(robots), "steps": steps, **facts}


def _command(command: Any) -> str:
    numbers = command if isinstance(command, str) else tuple(command)
    name = command_name(parse_command(numbers))
    vx, vy, wz = parse_command(numbers)
    return f"{name}, {vx:g} m/s" if not (vy or wz) else f"{vx:g}, {vy:g} m/s, {wz:g} rad/s"


def _duration(seconds: float) -> str:
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60.0:.0f} min" if seconds < 5400.0 else f"{seconds / 3600.0:.1f} h"


def _flags(settings: dict[str, Any]) -> str:
    return " ".join(part for key, value in settings.items() for part in _flag(key, value))


def _flag(key: str, value: Any) -> Iterator[str]:
    name = key.replace("_", "-")
    if value is None or value is False:  # all switches are off by default
        return
    if value is True:
        yield f"--{name}"
    elif key == "command" and not isinstance(value, str):
        yield f"--command {command_name(parse_command(tuple(value)))}"
    elif isinstance(value, list):
        yield " ".join([f"--{name}", *(shlex.quote(str(item)) for item in value)])
    else:
        yield f"--{name} {shlex.quote(str(value))}"
