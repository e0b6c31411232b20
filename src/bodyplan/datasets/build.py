"""Building datasets: every robot's steps, part by part, into one folder that is whole or absent.

A build that was killed continues with what is missing and ends with the same bytes, and so does one
on another number of cores. The folder is called `<out>.partial` until it is complete:

    settings.json                what was asked for; another build in the same place is refused
    <robot>/part-0000.npz ...    finished parts; removed once the robot's arrays are written
    <robot>/card.json            the finished robot's entry in the card to come
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.episode_selection import EpisodeSelection, select_episodes, take_episodes
from bodyplan.datasets.format import CARD, versions, write_card
from bodyplan.datasets.parallel_recording import record_all
from bodyplan.datasets.policy_snapshots import Snapshots, snapshot_path
from bodyplan.datasets.recipes import Recipe, segments
from bodyplan.datasets.recording_parts import Part, join_parts
from bodyplan.datasets.replay_log import ReplayLog, read_log, replay_path
from bodyplan.datasets.snapshot_rollouts import RECORDING_PHYSICS, RecordingTask
from bodyplan.envs.disturbances import NO_DISTURBANCES, Disturbances
from bodyplan.envs.environment import INITIAL_STATES
from bodyplan.envs.walking_task import Command, parse_command
from bodyplan.errors import BodyplanError
from bodyplan.locking import writer_lock
from bodyplan.progress import OnProgress
from bodyplan.robots.feature_sizes import policy_observation_size
from bodyplan.robots.registry import model_paths
from bodyplan.robots.robot import Robot
from bodyplan.storage import read_json, sha256, write_json

_SETTINGS = "settings.json"


def build_dataset(
    out: str | Path,
    robots: Sequence[str | Robot],
    recipe: str,
    command: str | Command,
    steps: int,
    seed: int = 0,
    initial_state: str = "random",
    progress: OnProgress | None = None,
    snapshots: str | Path | None = None,
    threads: int | None = None,
    disturbances: Disturbances = NO_DISTURBANCES,
    replay: str | Path | None = None,
) -> Dataset:
    """Builds a dataset, or continues the build that was interrupted, or returns the finished one.

    Args:
        out: the dataset's folder.
        robots: names, paths of MJCFs, or robots.
        recipe: `expert`, `expert_replay` or `suboptimal<k>`.
        command: `forward`, `backward`, "vx,vy,wz" or three numbers (m/s, m/s, rad/s).
        steps: control steps for each robot.
        seed: decides every random number.
        initial_state: `nominal` or `random`.
        progress: called after every control step.
        snapshots: folder of your own snapshots; a robot that it lacks has its packaged ones.
        threads: at work at the same time, all cores where not given; the bytes do not depend on it.
        disturbances: what disturbs the robots; nothing where not given.
        replay: folder of logs taken while experts were trained. Episodes are then chosen from them,
            nothing is simulated, and what was decided then (physics, disturbances, initial states)
            is not asked for.

    Raises:
        BodyplanError: an argument names nothing, an expert is missing, the folder holds something
            else, a simulation diverged, or the disk is full.
    """
    out, chosen, parsed = Path(out).absolute(), parse_command(command), Recipe.parse(recipe)
    _check(steps, seed, initial_state, threads)
    if snapshots is not None and not Path(snapshots).is_dir():
        raise BodyplanError(f"there is no folder of snapshots at {snapshots}; check --snapshots.")
    models = _snapshot_models(robots, chosen, snapshots)
    bodies = [r if isinstance(r, Robot) else Robot.load(r, models) for r in robots]
    names = [body.name for body in bodies]
    own = model_paths(dict(zip(names, robots, strict=True)), models)
    if not names or len(set(names)) < len(names):
        raise BodyplanError("robots must name at least one robot, and none of them twice.")
    settings = {"recipe": parsed.name, "command": list(chosen), "seed": seed, "steps": steps}
    if replay is not None:
        if (snapshots, initial_state, disturbances) != (None, "random", NO_DISTURBANCES):
            raise BodyplanError(
                "a log tells what was done when it was taken; with --replay give no snapshots, "
                "initial state or disturbances."
            )
        logs = {name: read_log(name, chosen, replay) for name in names}
        settings |= _of_logs(logs, chosen, replay)
        choices = {name: select_episodes(parsed, log, steps) for name, log in logs.items()}
        return _build(out, names, settings, own, partial(_write_chosen, logs, choices))
    homes = {name: _home(name, chosen, snapshots) for name in names}
    runs = []
    for body in bodies:
        experts = _experts(body, chosen, homes[body.name])
        share = segments(parsed, experts, steps)
        runs.append(
            RecordingTask(
                body, experts, share, chosen, seed, initial_state, parsed.name, disturbances
            )
        )
    settings |= {
        "physics": RECORDING_PHYSICS,
        "initial_state": initial_state,
        "snapshots": {name: sha256(snapshot_path(name, chosen, homes[name])) for name in names},
        **disturbances.card(),
    }

    def record_missing(folder: Path, missing: Sequence[str]) -> None:
        left = [run for run in runs if run.robot.name in missing]
        record_all(left, folder, _finish_robot, progress, threads)

    return _build(out, names, settings, own, record_missing)


def _build(
    out: Path,
    names: Sequence[str],
    settings: dict[str, Any],
    own: Mapping[str, str],
    fill: Callable[[Path, Sequence[str]], None],
) -> Dataset:
    """What `fill` makes of a folder and the names that it lacks; or what is there already.

    `own` has the paths of robots that only the user knows, for the card.
    """
    if out.is_file():
        raise BodyplanError(f"{out} is a file; choose another folder with --out.")
    with writer_lock(out):
        if out.is_dir() and any(out.iterdir()):
            dataset = Dataset.open(out)
            _require_same(settings, dataset.card, out)
            return dataset
        _fill(out, names, settings, own, fill)
    return Dataset.open(out)


def _fill(
    out: Path,
    names: Sequence[str],
    settings: dict[str, Any],
    own: Mapping[str, str],
    fill: Callable[[Path, Sequence[str]], None],
) -> None:
    folder = out.with_name(out.name + ".partial")
    begun = folder / _SETTINGS
    if (folder / CARD).is_file():  # killed while tidying up
        _require_same(settings, read_json(folder / CARD), folder)
    else:
        if begun.is_file():
            _require_same({**settings, "versions": versions()}, read_json(begun), folder)
        elif folder.is_dir() and any(folder.iterdir()):
            raise BodyplanError(f"{folder} does not say what it was to be; delete it.")
        write_json(begun, {**settings, "versions": versions()})
        fill(folder, [name for name in names if not (folder / name / CARD).is_file()])
        entries = {name: read_json(folder / name / CARD) for name in names}
        write_card(folder, settings | ({"models": dict(own)} if own else {}), entries)
    for name in names:
        _sweep(folder / name)
        (folder / name / CARD).unlink(missing_ok=True)
    begun.unlink(missing_ok=True)
    folder.rename(out)


def _write_chosen(
    logs: Mapping[str, ReplayLog],
    choices: Mapping[str, list[EpisodeSelection]],
    folder: Path,
    missing: Sequence[str],
) -> None:
    """Writes the episodes that a recipe takes from robots' logs."""
    for name in missing:
        entry = take_episodes(logs[name].episodes, choices[name]).write(folder / name)
        entry["segments"] = [
            {"phase": selection.phase, "steps": int(selection.lengths.sum())}
            for selection in choices[name]
        ]
        write_json(folder / name / CARD, entry)


def _of_logs(logs: Mapping[str, ReplayLog], command: Command, folder: str | Path) -> dict[str, Any]:
    """What logs say of how they were taken, which must be the same of all."""
    keys = ("physics", "initial_state", "conditions")
    told = {
        name: {key: log.card[key] for key in keys if key in log.card} for name, log in logs.items()
    }
    first, *others = told
    for name in others:
        if told[name] != told[first]:
            raise BodyplanError(
                f"the logs of {first} and {name} were taken under {told[first]} and {told[name]}; "
                "build two datasets of them."
            )
    cards = {name: sha256(replay_path(name, command, folder) / CARD) for name in logs}
    seeds = {log.card.get("seed") for log in logs.values()}
    return {**told[first], "seed": seeds.pop() if len(seeds) == 1 else None, "replay": cards}


def _finish_robot(run: RecordingTask, parts: list[Part]) -> None:
    """Puts a robot's parts together and writes its entry for the card."""
    folder = parts[0].path.parent
    entry = join_parts(parts).write(folder)
    entry["segments"] = [asdict(segment) for segment in run.segments]
    write_json(folder / CARD, entry)
    _sweep(folder)


def _sweep(folder: Path) -> None:
    """Removes a finished robot's parts, and what a killed attempt at one may have left."""
    for path in (*folder.glob("part-*.npz"), *folder.glob(".part-*.npz")):
        path.unlink()


def _home(robot: str, command: Command, folder: str | Path | None) -> str | Path | None:
    """Where a robot's snapshots are: the folder, or (None) the package where only that has them."""
    own = folder is not None and snapshot_path(robot, command, folder).is_file()
    return folder if own or not snapshot_path(robot, command).is_file() else None


def _experts(robot: Robot, command: Command, folder: str | Path | None) -> Snapshots:
    experts = Snapshots.load(robot.name, command, folder)
    sizes = (policy_observation_size(robot.num_joints, robot.num_feet), robot.num_joints)
    if experts.sizes != sizes:
        raise BodyplanError(
            f"{snapshot_path(robot.name, command, folder)} holds policies of (inputs, joints) "
            f"{experts.sizes} where {robot.name} has {sizes}; train its expert again."
        )
    return experts


def _snapshot_models(
    robots: Sequence[str | Robot], command: Command, snapshots: str | Path | None
) -> dict[str, str]:
    """The paths of the user's own robots, where their snapshots record them."""
    if snapshots is None:
        return {}
    cards = {
        robot: Snapshots.load(robot, command, snapshots).card
        for robot in robots
        if isinstance(robot, str) and snapshot_path(robot, command, snapshots).is_file()
    }
    return {robot: card["model"] for robot, card in cards.items() if card.get("model")}


def _check(steps: int, seed: int, initial_state: str, threads: int | None) -> None:
    cores = 1 if threads is None else threads
    least = {"steps": (steps, 1), "seed": (seed, 0), "threads": (cores, 1)}
    for name, (value, bound) in least.items():
        if value < bound:
            raise BodyplanError(f"{name} {value} must be at least {bound}.")
    if initial_state not in INITIAL_STATES:
        raise BodyplanError(
            f"initial_state '{initial_state}' is unknown; choose {' or '.join(INITIAL_STATES)}."
        )


def _require_same(settings: dict[str, Any], found: dict[str, Any], folder: Path) -> None:
    """Refuses a folder whose settings are not the ones asked for."""
    hint = "delete it or choose another folder"
    source = "replay" if "replay" in settings else "snapshots"
    if set(found.get(source, ())) != set(settings[source]):
        raise BodyplanError(f"{folder} was built for other robots; {hint}.")
    found = {"conditions": {}, **found}
    for key, value in {"conditions": {}, **settings}.items():
        if found.get(key) == value:
            continue
        if isinstance(value, dict):
            said = "disturbances" if key == "conditions" else key
            raise BodyplanError(f"{folder} was built with other {said}; {hint}.")
        raise BodyplanError(f"{folder} was built with {key} {found.get(key)}, not {value}; {hint}.")
