"""Builds datasets: records the steps of every robot into one folder that is complete or absent.

A build that was killed continues with what is missing and ends with the same bytes. The bytes do
not depend on the number of cores either. Until it is complete, the folder is `<out>.partial`:

    settings.json                settings of the build; another build in the same place is refused
    <robot>/part-0000.npz ...    finished parts, removed once the robot's arrays are written
    <robot>/card.json            a finished robot's entry for the card
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.episode_selection import EpisodeSelection, select_episodes, take_episodes
from bodyplan.datasets.format import CARD, RobotEntry, read_card, versions, write_card
from bodyplan.datasets.parallel_recording import record_all
from bodyplan.datasets.policy_snapshots import Snapshots, robots_with_snapshots, snapshot_path
from bodyplan.datasets.recipes import Recipe, recipe_segments
from bodyplan.datasets.recording_parts import RecordingPart, join_parts
from bodyplan.datasets.replay_log import ReplayLog, read_log, replay_path, robots_with_log
from bodyplan.datasets.rollout_schedule import DEFAULT_SIZES, RecordingSizes
from bodyplan.datasets.snapshot_rollouts import RECORDING_PHYSICS, RecordingTask
from bodyplan.datasets.whole_episodes import WHOLE, whole_episodes
from bodyplan.envs.disturbances import NO_DISTURBANCES, Disturbances
from bodyplan.envs.environment import INITIAL_STATES
from bodyplan.envs.walking_task import Command, parse_command
from bodyplan.errors import BodyplanError
from bodyplan.locking import writer_lock
from bodyplan.progress import OnProgress
from bodyplan.records import read_record
from bodyplan.robots.feature_sizes import policy_observation_size
from bodyplan.robots.registry import model_paths
from bodyplan.robots.robot import Robot
from bodyplan.storage import sha256, write_json

_SETTINGS = "settings.json"

FillFolder = Callable[[Path, Sequence[str]], None]
"""Writes the robots of the given names into a folder."""


class _Settings(TypedDict, total=False):
    """What decides the bytes of a build: a part of the dataset's card."""

    snapshots: dict[str, str]
    replay: dict[str, str]


def build_dataset(
    out: str | Path,
    robots: str | Sequence[str | Robot] = "all",
    recipe: str = "suboptimal70",
    command: str | Command = "forward",
    steps: int = 1_000_000,
    seed: int = 0,
    initial_state: str = "random",
    progress: OnProgress | None = None,
    snapshots: str | Path | None = None,
    threads: int | None = None,
    disturbances: Disturbances = NO_DISTURBANCES,
    replay: str | Path | None = None,
    sizes: RecordingSizes = DEFAULT_SIZES,
) -> Dataset:
    """Builds a dataset, continues an interrupted build, or opens the finished dataset.

    Args:
        out: the dataset's folder.
        robots: names, paths of MJCF files, or robots; `all` is every robot that has snapshots, or a
            log, for the command.
        recipe: `expert`, `expert_replay` or `suboptimal<k>`.
        command: `forward`, `backward`, "vx,vy,wz" or three numbers (m/s, m/s, rad/s).
        steps: control steps of each robot.
        seed: decides every random number.
        initial_state: `nominal` or `random`.
        progress: called after every control step.
        snapshots: folder of your own snapshots; robots that it lacks have their packaged ones.
        threads: threads that record, one for each core by default; they do not change the bytes.
        disturbances: disturbances of the robots while they are recorded; none by default.
        replay: folder of replay logs. Episodes are then selected from the logs and nothing is
            simulated, so the log decides physics, disturbances and initial states.
        sizes: sizes of parts and rollouts.

    Raises:
        BodyplanError: an argument is wrong, an expert is missing, the folder contains something
            else, a simulation diverged, or the disk is full.
    """
    out, velocity, parsed = Path(out).absolute(), parse_command(command), Recipe.parse(recipe)
    _check_arguments(steps, seed, initial_state, threads)
    if snapshots is not None and not Path(snapshots).is_dir():
        raise BodyplanError(f"there is no folder of snapshots at {snapshots}; check --snapshots.")
    asked = _robots(robots, velocity, snapshots, replay)
    models = _snapshot_models(asked, velocity, snapshots)
    bodies = [r if isinstance(r, Robot) else Robot.load(r, models) for r in asked]
    names = [body.name for body in bodies]
    if not names:
        raise BodyplanError("no robot is named; give --robots, or leave it out for all.")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BodyplanError(f"robot {twice[0]} is named twice; name each once.")
    own_models = model_paths(dict(zip(names, asked, strict=True)), models)
    settings = {"recipe": parsed.name, "command": list(velocity), "seed": seed, "steps": steps}
    if replay is not None:
        asked_too = (snapshots, initial_state, disturbances, sizes)
        if asked_too != (None, "random", NO_DISTURBANCES, DEFAULT_SIZES):
            raise BodyplanError(
                "a replay log decides these itself; with --replay give no snapshots, initial "
                "state, disturbances or sizes such as --restart-steps."
            )
        logs = {name: read_log(name, velocity, replay) for name in names}
        settings |= _log_settings(logs, velocity, replay)
        selected = {name: select_episodes(parsed, log, steps) for name, log in logs.items()}
        return _build(out, names, settings, own_models, partial(_write_selected, logs, selected))
    folders = {name: _snapshot_folder(name, velocity, snapshots) for name in names}
    tasks = []
    for body in bodies:
        experts = _load_snapshots(body, velocity, folders[body.name])
        tasks.append(
            RecordingTask(
                robot=body,
                snapshots=experts,
                segments=recipe_segments(parsed, experts, steps),
                command=velocity,
                seed=seed,
                initial_state=initial_state,
                recipe=parsed.name,
                disturbances=disturbances,
                sizes=sizes,
            )
        )
    checksums = {name: sha256(snapshot_path(name, velocity, folders[name])) for name in names}
    settings |= {
        "physics": RECORDING_PHYSICS,
        "initial_state": initial_state,
        "snapshots": checksums,
        **disturbances.card(),
        **sizes.card(),
    }

    def record_missing(folder: Path, missing: Sequence[str]) -> None:
        left = [task for task in tasks if task.robot.name in missing]
        record_all(left, folder, _finish_robot, progress, threads)

    return _build(out, names, settings, own_models, record_missing)


def _build(
    out: Path,
    names: Sequence[str],
    settings: dict[str, Any],
    models: Mapping[str, str],
    fill: FillFolder,
) -> Dataset:
    """Builds the dataset with `fill`, or opens it if it is there.

    Args:
        out: the dataset's folder.
        names: the robots.
        settings: settings of the build, for the card.
        models: absolute paths of robots that are not packaged, for the card.
        fill: writes robots into the partial folder.
    """
    if out.is_file():
        raise BodyplanError(f"{out} is a file; choose another folder with --out.")
    with writer_lock(out):
        if out.is_dir() and any(out.iterdir()):
            if not (out / CARD).is_file():
                raise BodyplanError(f"{out} holds other files; choose another folder with --out.")
            dataset = Dataset.open(out)
            _require_same(settings, dataset.card, out)
            return dataset
        _complete(out, names, settings, models, fill)
    return Dataset.open(out)


def _complete(
    out: Path,
    names: Sequence[str],
    settings: dict[str, Any],
    models: Mapping[str, str],
    fill: FillFolder,
) -> None:
    """Completes the partial folder and gives it its final name; arguments as in `_build`."""
    folder = out.with_name(out.name + ".partial")
    begun = folder / _SETTINGS
    if (folder / CARD).is_file():  # killed while cleaning up
        _require_same(settings, read_card(folder), folder)
    else:
        if begun.is_file():
            _require_same(
                {**settings, "versions": versions()},
                read_record(begun, _Settings, f"delete {folder}"),
                folder,
            )
        elif folder.is_dir() and any(not own.name.startswith(".") for own in folder.iterdir()):
            raise BodyplanError(f"{folder} has no {_SETTINGS} of a build; delete the folder.")
        write_json(begun, {**settings, "versions": versions()})
        fill(folder, [name for name in names if not (folder / name / CARD).is_file()])
        entries = {
            name: read_record(folder / name / CARD, RobotEntry, f"delete {folder / name}")
            for name in names
        }
        write_card(folder, settings | ({"models": dict(models)} if models else {}), entries)
    for name in names:
        _remove_parts(folder / name)
        (folder / name / CARD).unlink(missing_ok=True)
    for path in (begun, *folder.glob(".*.partial.json")):  # also of killed attempts elsewhere
        path.unlink(missing_ok=True)
    folder.rename(out)


def _write_selected(
    logs: Mapping[str, ReplayLog],
    selected: Mapping[str, list[EpisodeSelection]],
    folder: Path,
    missing: Sequence[str],
) -> None:
    """Writes the episodes that a recipe selects from the robots' logs."""
    for name in missing:
        taken = take_episodes(logs[name].episodes, selected[name])
        entry = taken.write(folder / name)
        entry["segments"] = [
            {"phase": selection.phase, "steps": int(selection.lengths.sum())}
            for selection in selected[name]
        ]
        entry[WHOLE] = whole_episodes(taken, entry["segments"])
        write_json(folder / name / CARD, entry)


def _log_settings(
    logs: Mapping[str, ReplayLog], command: Command, folder: str | Path
) -> dict[str, Any]:
    """Settings of the logged runs, which must be the same for all robots."""
    keys = ("physics", "initial_state", "conditions")
    settings = {
        name: {key: log.card[key] for key in keys if key in log.card} for name, log in logs.items()
    }
    first, *others = settings
    for name in others:
        if settings[name] != settings[first]:
            raise BodyplanError(
                f"the logs of {first} and {name} were recorded under {settings[first]} and "
                f"{settings[name]}; build two datasets of them."
            )
    cards = {name: sha256(replay_path(name, command, folder) / CARD) for name in logs}
    seeds = {log.card.get("seed") for log in logs.values()}
    return {**settings[first], "seed": seeds.pop() if len(seeds) == 1 else None, "replay": cards}


def _finish_robot(task: RecordingTask, parts: list[RecordingPart]) -> None:
    """Joins a robot's parts and writes its entry for the card."""
    folder = parts[0].path.parent
    episodes = join_parts(parts)
    entry = episodes.write(folder)
    entry["segments"] = [asdict(segment) for segment in task.segments]
    entry[WHOLE] = whole_episodes(episodes, entry["segments"])
    write_json(folder / CARD, entry)
    _remove_parts(folder)


def _remove_parts(folder: Path) -> None:
    """Removes a finished robot's parts and the temporary files of killed attempts."""
    for path in (*folder.glob("part-*.npz"), *folder.glob(".*.part-*.npz")):
        path.unlink()


def _robots(
    robots: str | Sequence[str | Robot],
    command: Command,
    snapshots: str | Path | None,
    replay: str | Path | None,
) -> Sequence[str | Robot]:
    """The robots one by one; `all` stands for those with a log, or with snapshots."""
    if robots == "all" or tuple(robots) == ("all",):
        if replay is not None:
            return robots_with_log(command, replay)
        return robots_with_snapshots(command, snapshots)
    return [robots] if isinstance(robots, str) else robots


def _snapshot_folder(robot: str, command: Command, folder: str | Path | None) -> str | Path | None:
    """The folder of a robot's snapshots; None (the package) where only the package has them."""
    own = folder is not None and snapshot_path(robot, command, folder).is_file()
    return folder if own or not snapshot_path(robot, command).is_file() else None


def _load_snapshots(robot: Robot, command: Command, folder: str | Path | None) -> Snapshots:
    snapshots = Snapshots.load(robot.name, command, folder)
    sizes = (policy_observation_size(robot.num_joints, robot.num_feet), robot.num_joints)
    if snapshots.sizes != sizes:
        raise BodyplanError(
            f"{snapshot_path(robot.name, command, folder)} has policies of (inputs, joints) "
            f"{snapshots.sizes} where {robot.name} has {sizes}; train its expert again."
        )
    return snapshots


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


def _check_arguments(steps: int, seed: int, initial_state: str, threads: int | None) -> None:
    least = {
        "steps": (steps, 1),
        "seed": (seed, 0),
        "threads": (1 if threads is None else threads, 1),
    }
    for name, (value, bound) in least.items():
        if value < bound:
            raise BodyplanError(f"{name} {value} must be at least {bound}.")
    if initial_state not in INITIAL_STATES:
        raise BodyplanError(
            f"initial_state '{initial_state}' is unknown; choose {', '.join(INITIAL_STATES)}."
        )


def _require_same(settings: dict[str, Any], found: dict[str, Any], folder: Path) -> None:
    """Refuses a folder that was built with other settings."""
    hint = "delete it or choose another folder"
    source = "replay" if "replay" in settings else "snapshots"
    if set(found.get(source, ())) != set(settings[source]):
        raise BodyplanError(f"{folder} was built for other robots; {hint}.")
    defaults: dict[str, Any] = {"conditions": {}, "recording_sizes": {}}
    found = defaults | found
    for key, value in (defaults | settings).items():
        if found.get(key) == value:
            continue
        if isinstance(value, dict):
            name = {"conditions": "disturbances", "recording_sizes": "sizes"}.get(key, key)
            raise BodyplanError(f"{folder} was built with other {name}; {hint}.")
        raise BodyplanError(f"{folder} was built with {key} {found.get(key)}, not {value}; {hint}.")
