"""The facts of a run that stand in its page: method, data and time above, provenance below."""

from collections.abc import Iterator, Mapping
from typing import Any

from bodyplan.envs.walking_task import command_name, parse_command
from bodyplan.report.run_record import RunRecord, number
from bodyplan.report.words import spelled

Facts = list[tuple[str, str]]
"""Labels and values."""


def run_facts(record: RunRecord, card: Mapping[str, Any]) -> Facts:
    """What was trained on what, for how long, and how it was evaluated."""
    return list(_run_facts(record, card))


def provenance_facts(record: RunRecord, card: Mapping[str, Any]) -> Facts:
    """Versions, machine, dates and time of a run, as far as its files tell."""
    return list(_provenance_facts(record, card))


def _run_facts(record: RunRecord, card: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    config = record.config
    command = record.evaluation.get("command") or card.get("command")
    method = [str(config[key]) for key in ("algorithm", "combine") if config.get(key)]
    if method:
        groups = f", {spelled(len(record.groups), 'group')}" if len(record.groups) > 1 else ""
        yield "Method", " + ".join(method) + groups
    if card:
        steps = sum(int(entry.get("steps", 0)) for entry in card.get("robots", {}).values())
        yield "Data", f"{card.get('recipe', 'unnamed')}, {steps:,} steps"
    if command is not None:
        yield "Command", _command(command)
    if record.metrics:
        done, wanted = record.metrics[-1]["update"], config.get("updates")
        of = f" of {wanted:,}" if isinstance(wanted, int) and done < wanted else ""
        seconds = _last(record, "wall_s")
        clock = "" if seconds is None else f" in {duration(seconds)}"
        yield "Training", f"{done:,.0f}{of} updates{clock}"
    episodes = record.evaluation.get("episodes")
    if episodes:
        disturbed = any((record.evaluation.get("conditions") or {}).values())
        start = record.evaluation.get("initial_state")
        text = f"{spelled(int(episodes), 'episode')} of each robot"
        yield "Evaluation", text + f", {start} start" * bool(start) + ", disturbed" * disturbed
    if config.get("seed") is not None:
        yield "Seed", str(config["seed"])


def _provenance_facts(record: RunRecord, card: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    made = record.config.get("provenance") or {}
    if made.get("bodyplan"):
        commit = f", commit {_short(made['commit'])}" if made.get("commit") else ""
        yield "bodyplan", f"{made['bodyplan']}{commit}"
    versions = [("JAX", "jax"), ("MuJoCo", "mujoco"), ("Python", "python")]
    known = [f"{name} {made[key]}" for name, key in versions if made.get(key)]
    if known:
        yield "With", ", ".join(known)
    for label, key in (("Host", "host"), ("Processor", "processor")):
        if made.get(key):
            yield label, str(made[key])
    if made:
        yield "Accelerator", str(made.get("accelerator") or "none")
    if made.get("date"):
        yield "Begun", _date(str(made["date"]))
    ended = _ended(record)
    if ended:
        yield "Trained", ended
    for label, key in (("Time on the clock", "wall_s"), ("Time of processors", "cpu_s")):
        seconds = _last(record, key)
        if seconds is not None:
            yield label, duration(seconds)
    for again in record.config.get("resumed") or []:
        where = f" on {again['host']}" if again.get("host") else ""
        yield "Continued", f"from update {again.get('update', 0):,}{where}"
    checksum = record.config.get("dataset_card_sha256")
    if checksum:
        yield "Data’s card", f"sha256 {str(checksum)[:16]}…"
    versions_of_data = card.get("versions") or {}
    if versions_of_data:
        text = ", ".join(f"{name} {version}" for name, version in versions_of_data.items())
        yield "Data built with", text


def _ended(record: RunRecord) -> str | None:
    """When the policy was saved."""
    date = (record.policy_card.get("provenance") or {}).get("date")
    return _date(str(date)) if date else None


def _last(record: RunRecord, key: str) -> float | None:
    """The last value of a metric that grows."""
    known = [number(line.get(key)) for line in record.metrics]
    return next((value for value in reversed(known) if value is not None), None)


def _command(command: Any) -> str:
    numbers = command if isinstance(command, str) else tuple(command)
    name = command_name(parse_command(numbers))
    vx, vy, wz = parse_command(numbers)
    return f"{name}, {vx:g} m/s" if not (vy or wz) else f"{vx:g}, {vy:g} m/s, {wz:g} rad/s"


def duration(seconds: float) -> str:
    """'45 s', '12 min', '3.5 h'."""
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60.0:.0f} min" if seconds < 5400.0 else f"{seconds / 3600.0:.1f} h"


def _date(text: str) -> str:
    """ISO 8601 without seconds, as '2026-11-30 13:47 UTC'."""
    return f"{text[:10]} {text[11:16]} UTC"


def _short(commit: str) -> str:
    """The first digits of a commit, and whether files differed from it."""
    digits, _, changed = commit.partition("-")
    return digits[:10] + (" with changes" if changed else "")
