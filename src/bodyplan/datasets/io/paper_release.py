"""The data release of "Cross-Embodiment Offline RL" (arXiv 2602.18025), read into a dataset.

Third parties document it as a folder of `.npy` arrays for each of its six sets; N = 1,000,000:

    observations.npy, next_observations.npy   [N, 16, 668] float32, zeros behind each robot's own
    actions.npy                               [N, 16, 24]  float32, likewise
    rewards.npy                               [N, 16]      float32
    terminateds.npy, truncateds.npy           [N, 16, 1]   float32, 0 or 1

Axis 1 is the robot, and each robot's rows are in the order of time. Observations are scaled as
ours; they repeat the robot's descriptors, which change within episodes, and they were taken with
noise and dropout. Everything is read once, in stretches of rows, whatever N is.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.format import write_card
from bodyplan.datasets.io.array_files import ArrayFile, StoredArray, open_arrays, require
from bodyplan.datasets.io.dataset_writer import new_folder
from bodyplan.datasets.io.paper_release_robot import Slot, Stretch
from bodyplan.envs.disturbances import Disturbances
from bodyplan.envs.walking_task import Command, command_name, parse_command
from bodyplan.errors import BodyplanError
from bodyplan.progress import OnProgress
from bodyplan.robots.feature_sizes import paper_observation_size
from bodyplan.robots.robot import Robot
from bodyplan.robots.validation.problem import did_you_mean

SLOTS = (
    "unitree_a1",
    "unitree_go1",
    "unitree_go2",
    "anymal_b",
    "anymal_c",
    "barkour_v0",
    "barkour_vb",
    "badger",
    "bittle",
    "unitree_h1",
    "unitree_g1",
    "talos",
    "robotis_op3",
    "nao_v5",
    "cassie",
    "hexapod",
)
"""Whose axis 1 is: a fact about the release, as its layout is."""
DISTURBANCES = Disturbances(randomise=True, redraw=0.002, noise=True, dropout=True)
"""Under which it was recorded."""
STRETCH_BYTES = 32 * 2**20
"""Of observations read at once."""


@dataclass(frozen=True)
class ArrayNames:
    """What the arrays of a release are called."""

    observations: str = "observations"
    """[N, robots, numbers]."""
    next_observations: str = "next_observations"
    """Likewise; where there is none, truncated episodes give up their last step."""
    actions: str = "actions"
    """[N, robots, joints]."""
    rewards: str = "rewards"
    """[N, robots]."""
    terminated: str = "terminateds"
    """[N, robots] or [N, robots, 1]: a fall."""
    truncated: str = "truncateds"
    """Likewise: the end of the clock."""


@dataclass(frozen=True)
class _Arrays:
    observations: StoredArray
    following: StoredArray | None
    actions: StoredArray
    rewards: StoredArray
    terminated: StoredArray
    truncated: StoredArray

    @property
    def count(self) -> int:
        """N."""
        return self.observations.shape[0]


def import_release(
    path: str | Path,
    out: str | Path,
    robots: Sequence[str] = ("all",),
    recipe: str = "release",
    command: str | Command | None = None,
    seed: int = 0,
    slots: Sequence[str] = SLOTS,
    names: ArrayNames = ArrayNames(),
    progress: OnProgress | None = None,
) -> Dataset:
    """Reads a set of the official release into a dataset.

    Args:
        path: folder of `.npy` arrays, or one HDF5 file.
        out: the dataset's folder.
        robots: those to read; `all` is every one.
        recipe: what the card says of how the data were made, in one word.
        command: what the card says; the data's commonest where not given.
        seed: what the card says.
        slots: names of the robots, or paths of MJCFs, in the order of axis 1.
        names: of the arrays.
        progress: called after every stretch of rows.

    Raises:
        BodyplanError: an array is missing, damaged, or of another shape or layout; a slot holds
            another robot than `slots` says; the disk is full.
    """
    chosen = _choose(robots, slots)
    _require_name(recipe)
    with (
        open_arrays(Path(path)) as container,
        new_folder(Path(out)) as folder,
        ExitStack() as stack,
    ):
        arrays = _find(container, names, len(slots))
        found: list[Slot] = []
        for index in chosen:
            slot = Slot(folder, Robot.load(slots[index]), index, arrays.observations.place)
            stack.callback(slot.episodes.abandon)
            found.append(slot)
        _check_widths(arrays, found)
        for stretch in _stretches(arrays):
            for slot in found:
                slot.take(stretch)
            if stretch.start == 0:
                _require_command(found, command)  # before everything is read for nothing
            if progress:
                progress("reading", stretch.start + stretch.count, arrays.count)
        commonest, share = _command(found, command)
        entries = {}
        for done, slot in enumerate(found, 1):
            entries[slot.robot.name] = slot.finish()
            if progress:
                progress("finishing", done, len(found))
        facts = Disturbances(**{**vars(DISTURBANCES), "commands": share}).card()
        told = {"source": "release", "recipe": recipe, "command": list(commonest), "seed": seed}
        write_card(folder, told | facts, entries)
    return Dataset.open(out)


def _require_name(recipe: str) -> None:
    if not recipe or any(mark.isspace() or mark in "/\\" for mark in recipe):
        raise BodyplanError(
            f"the recipe '{recipe}' is no name; give --recipe one word without slashes, as in "
            "suboptimal70."
        )


def _choose(robots: Sequence[str], slots: Sequence[str]) -> list[int]:
    """Places of the chosen robots on axis 1."""
    if tuple(robots) == ("all",):
        return list(range(len(slots)))
    for name in robots:
        if name not in slots:
            raise BodyplanError(
                f"the release has no robot '{name}'; "
                f"{did_you_mean(name, slots)} choose among {', '.join(slots)}.".replace("  ", " ")
            )
    if not robots or len(set(robots)) < len(robots):
        raise BodyplanError("robots must name at least one robot, and none of them twice.")
    return [slots.index(name) for name in robots]


def _find(container: ArrayFile, names: ArrayNames, slots: int) -> _Arrays:
    arrays = _Arrays(
        observations=require(container, names.observations),
        following=_following(container, names.next_observations),
        actions=require(container, names.actions),
        rewards=require(container, names.rewards),
        terminated=require(container, names.terminated),
        truncated=require(container, names.truncated),
    )
    count = arrays.count
    flags = [(count, slots), (count, slots, 1)]
    _require_shape(arrays.observations, [(count, slots, -1)])
    _require_shape(arrays.actions, [(count, slots, -1)])
    if arrays.following:
        _require_shape(arrays.following, [arrays.observations.shape])
    for array in (arrays.rewards, arrays.terminated, arrays.truncated):
        _require_shape(array, flags)
    return arrays


def _following(container: ArrayFile, name: str) -> StoredArray | None:
    """Next observations, which may be missing unless they were asked for by a name of their own."""
    if name == ArrayNames.next_observations:
        return container.find(name)
    return require(container, name)


def _require_shape(array: StoredArray, shapes: Sequence[tuple[int, ...]]) -> None:
    """Refuses another shape than one of these, in which -1 is any number."""
    for shape in shapes:
        pairs = zip(shape, array.shape, strict=False)
        if len(shape) == len(array.shape) and all(want in (-1, has) for want, has in pairs):
            return
    wanted = " or ".join(str(list(shape)).replace("-1", "any") for shape in shapes)
    raise BodyplanError(
        f"{array.place} has the shape {list(array.shape)}, not {wanted}; check that all arrays are "
        "of one set, whole, and that --slots names the robots of axis 1."
    )


def _check_widths(arrays: _Arrays, found: Sequence[Slot]) -> None:
    for slot in found:
        robot = slot.robot
        for array, need in (
            (arrays.observations, paper_observation_size(robot.num_joints, robot.num_feet)),
            (arrays.actions, robot.num_joints),
        ):
            if array.shape[2] < need:
                raise BodyplanError(
                    f"{array.place} has {array.shape[2]} numbers where {robot.name} needs {need}; "
                    "check the order of robots (--slots)."
                )


def _stretches(arrays: _Arrays) -> Iterator[Stretch]:
    """All rows, a stretch at a time, each with the row that comes after it."""
    row = int(np.prod(arrays.observations.shape[1:])) * 4
    length = max(STRETCH_BYTES // row, 1)
    for start in range(0, arrays.count, length):
        stop = min(start + length, arrays.count)
        after = min(stop + 1, arrays.count)
        yield Stretch(
            start=start,
            count=stop - start,
            observations=arrays.observations.rows(start, after),
            following=arrays.following.rows(start, stop) if arrays.following else None,
            actions=arrays.actions.rows(start, stop),
            rewards=arrays.rewards.rows(start, stop).reshape(stop - start, -1),
            terminated=_flags(arrays.terminated, start, after),
            truncated=_flags(arrays.truncated, start, after),
        )


def _flags(array: StoredArray, start: int, stop: int) -> np.ndarray:
    values = array.rows(start, stop).reshape(stop - start, -1)
    if wrong := np.argwhere((values != 0) & (values != 1)).tolist():
        row, slot = wrong[0]
        raise BodyplanError(
            f"{array.place} holds {values[row, slot]} in row {start + row}, where only 0 and 1 "
            "belong; check the names of the arrays."
        )
    return values.astype(bool)


def _command(found: Sequence[Slot], asked: str | Command | None) -> tuple[Command, float]:
    """The card's command, and the share of frames under another one."""
    counts: Counter[Command] = sum((slot.commands for slot in found), Counter())
    commonest = counts.most_common(1)[0][0]
    told = commonest if asked is None else parse_command(asked)
    if told != commonest:
        raise _other_command(commonest, told)
    return told, 1.0 - counts[told] / counts.total()


def _require_command(found: Sequence[Slot], asked: str | Command | None) -> None:
    """Refuses a command under which no row so far is."""
    counts: Counter[Command] = sum((slot.commands for slot in found), Counter())
    if asked is not None and counts and (told := parse_command(asked)) not in counts:
        raise _other_command(counts.most_common(1)[0][0], told)


def _other_command(commonest: Command, told: Command) -> BodyplanError:
    return BodyplanError(
        f"the data are under the command {command_name(commonest)}, not {command_name(told)}; "
        "leave --command out or check the path."
    )
