"""Imports the paper's data release ("Cross-Embodiment Offline RL", arXiv 2602.18025).

Third parties document it as a folder of `.npy` arrays for each of its six sets; N = 1,000,000:

    observations.npy, next_observations.npy   [N, 16, 668] float32, zeros behind each robot's own
    actions.npy                               [N, 16, 24]  float32, likewise
    rewards.npy                               [N, 16]      float32
    terminateds.npy, truncateds.npy           [N, 16, 1]   float32, 0 or 1

Axis 1 is the robot, and each robot's rows are in the order of time. Observations have the scales of
this package. They were recorded with noise and dropout, and contain the robot's descriptors, which
change within episodes. The arrays are read once, some rows at a time, so N may be any number.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.format import write_card
from bodyplan.datasets.io.array_files import ArrayFile, StoredArray, open_arrays, require_array
from bodyplan.datasets.io.dataset_writer import new_dataset_folder
from bodyplan.datasets.io.paper_release_robot import ReleaseRows, ReleaseSlot
from bodyplan.envs.disturbances import Disturbances
from bodyplan.envs.walking_task import Command, command_name, parse_command
from bodyplan.errors import BodyplanError
from bodyplan.progress import OnProgress
from bodyplan.robots.feature_sizes import paper_observation_size
from bodyplan.robots.robot import Robot
from bodyplan.robots.validation.problem import did_you_mean

RELEASE_ROBOTS = (
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
"""The robots in the order of the release's axis 1."""
RELEASE_DISTURBANCES = Disturbances(randomise=True, redraw=0.002, noise=True, dropout=True)
"""The disturbances under which the release was recorded."""


@dataclass(frozen=True)
class ArrayNames:
    """Names of the arrays of a release."""

    observations: str = "observations"
    """[N, robots, numbers]."""
    next_observations: str = "next_observations"
    """Likewise; if it is missing, truncated episodes lose their last step."""
    actions: str = "actions"
    """[N, robots, joints]."""
    rewards: str = "rewards"
    """[N, robots]."""
    terminated: str = "terminateds"
    """[N, robots] or [N, robots, 1]: a fall."""
    truncated: str = "truncateds"
    """Likewise: the time limit."""


@dataclass(frozen=True)
class _Arrays:
    observations: StoredArray
    next_observations: StoredArray | None
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
    robots: str | Sequence[str] = "all",
    recipe: str = "release",
    command: str | Command | None = None,
    seed: int = 0,
    slots: Sequence[str] = RELEASE_ROBOTS,
    names: ArrayNames = ArrayNames(),
    progress: OnProgress | None = None,
    bytes_at_once: int = 32 * 2**20,
) -> Dataset:
    """Imports a set of the paper's release into a dataset.

    Args:
        path: folder of `.npy` arrays, or one HDF5 file.
        out: folder of the new dataset.
        robots: robots to import; `all` is every robot.
        recipe: recipe for the card, one word.
        command: command for the card; by default the most common one of the data.
        seed: seed for the card.
        slots: names of the robots, or paths of MJCF files, in the order of axis 1.
        names: names of the arrays.
        progress: called after some rows have been read.
        bytes_at_once: size of the observations that are read at once.

    Raises:
        BodyplanError: an array is missing, damaged, or of another shape or layout; a slot contains
            another robot than `slots` says; `out` is not empty; the disk is full.
    """
    chosen = _chosen_slots([robots] if isinstance(robots, str) else robots, slots)
    _check_recipe(recipe)
    with (
        open_arrays(Path(path)) as container,
        new_dataset_folder(Path(out)) as folder,
        ExitStack() as stack,
    ):
        arrays = _find_arrays(container, names, len(slots))
        chosen_slots: list[ReleaseSlot] = []
        for index in chosen:
            place = arrays.observations.place
            slot = ReleaseSlot(folder, Robot.load(slots[index]), index, place)
            stack.callback(slot.episodes.abandon)
            chosen_slots.append(slot)
        _check_widths(arrays, chosen_slots)
        for rows in _read_rows(arrays, bytes_at_once):
            for slot in chosen_slots:
                slot.add_rows(rows)
            if rows.start == 0:
                _check_command(chosen_slots, command)  # before everything is read in vain
            if progress:
                progress("reading", rows.start + rows.count, arrays.count)
        card_command, share = _command(chosen_slots, command)
        entries = {}
        for done, slot in enumerate(chosen_slots, 1):
            entries[slot.robot.name] = slot.finish()
            if progress:
                progress("finishing", done, len(chosen_slots))
        metadata = {
            "source": "release",
            "recipe": recipe,
            "command": list(card_command),
            "seed": seed,
            **Disturbances(**{**vars(RELEASE_DISTURBANCES), "commands": share}).card(),
        }
        write_card(folder, metadata, entries)
    return Dataset.open(out)


def _check_recipe(recipe: str) -> None:
    if not recipe or any(mark.isspace() or mark in "/\\" for mark in recipe):
        raise BodyplanError(
            f"the recipe '{recipe}' is not one word; give --recipe one word without slashes, such "
            "as suboptimal70."
        )


def _chosen_slots(robots: Sequence[str], slots: Sequence[str]) -> list[int]:
    """Numbers of the chosen robots' slots."""
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


def _find_arrays(container: ArrayFile, names: ArrayNames, slots: int) -> _Arrays:
    arrays = _Arrays(
        observations=require_array(container, names.observations),
        next_observations=_find_next(container, names.next_observations),
        actions=require_array(container, names.actions),
        rewards=require_array(container, names.rewards),
        terminated=require_array(container, names.terminated),
        truncated=require_array(container, names.truncated),
    )
    count = arrays.count
    flags = [(count, slots), (count, slots, 1)]
    _require_shape(arrays.observations, [(count, slots, -1)])
    _require_shape(arrays.actions, [(count, slots, -1)])
    if arrays.next_observations:
        _require_shape(arrays.next_observations, [arrays.observations.shape])
    for array in (arrays.rewards, arrays.terminated, arrays.truncated):
        _require_shape(array, flags)
    return arrays


def _find_next(container: ArrayFile, name: str) -> StoredArray | None:
    """The array of next observations, which may be missing under its default name."""
    if name == ArrayNames.next_observations:
        return container.find(name)
    return require_array(container, name)


def _require_shape(array: StoredArray, shapes: Sequence[tuple[int, ...]]) -> None:
    """Checks that an array has one of these shapes, in which -1 is any number."""
    for shape in shapes:
        pairs = zip(shape, array.shape, strict=False)
        if len(shape) == len(array.shape) and all(want in (-1, has) for want, has in pairs):
            return
    wanted = " or ".join(str(list(shape)).replace("-1", "any") for shape in shapes)
    raise BodyplanError(
        f"{array.place} has the shape {list(array.shape)}, not {wanted}; check that all arrays are "
        "complete and of one set, and that --slots names the robots of axis 1."
    )


def _check_widths(arrays: _Arrays, slots: Sequence[ReleaseSlot]) -> None:
    for slot in slots:
        robot = slot.robot
        for array, need in (
            (arrays.observations, paper_observation_size(robot.num_joints, robot.num_feet)),
            (arrays.actions, robot.num_joints),
        ):
            if array.shape[2] < need:
                raise BodyplanError(
                    f"{array.place} has {array.shape[2]} numbers, but {robot.name} needs {need}; "
                    "check the order of robots (--slots)."
                )


def _read_rows(arrays: _Arrays, bytes_at_once: int) -> Iterator[ReleaseRows]:
    """Reads all rows, some at a time, each time with the row after them."""
    row = int(np.prod(arrays.observations.shape[1:])) * 4
    length = max(bytes_at_once // row, 1)
    following = arrays.next_observations
    for start in range(0, arrays.count, length):
        stop = min(start + length, arrays.count)
        after = min(stop + 1, arrays.count)
        yield ReleaseRows(
            start=start,
            count=stop - start,
            observations=arrays.observations.rows(start, after),
            next_observations=following.rows(start, stop) if following else None,
            actions=arrays.actions.rows(start, stop),
            rewards=arrays.rewards.rows(start, stop).reshape(stop - start, -1),
            terminated=_read_flags(arrays.terminated, start, after),
            truncated=_read_flags(arrays.truncated, start, after),
        )


def _read_flags(array: StoredArray, start: int, stop: int) -> np.ndarray:
    values = array.rows(start, stop).reshape(stop - start, -1)
    if wrong := np.argwhere((values != 0) & (values != 1)).tolist():
        row, slot = wrong[0]
        raise BodyplanError(
            f"{array.place} contains {values[row, slot]} in row {start + row}, where only 0 and 1 "
            "are allowed; check the names of the arrays."
        )
    return values.astype(bool)


def _command(slots: Sequence[ReleaseSlot], given: str | Command | None) -> tuple[Command, float]:
    """The command for the card, and the share of frames that have another one."""
    counts: Counter[Command] = sum((slot.commands for slot in slots), Counter())
    commonest = counts.most_common(1)[0][0]
    command = commonest if given is None else parse_command(given)
    if command != commonest:
        raise _wrong_command(commonest, command)
    return command, 1.0 - counts[command] / counts.total()


def _check_command(slots: Sequence[ReleaseSlot], given: str | Command | None) -> None:
    """Refuses a command that no row so far has."""
    counts: Counter[Command] = sum((slot.commands for slot in slots), Counter())
    if given is not None and counts and (command := parse_command(given)) not in counts:
        raise _wrong_command(counts.most_common(1)[0][0], command)


def _wrong_command(commonest: Command, given: Command) -> BodyplanError:
    return BodyplanError(
        f"the data have the command {command_name(commonest)}, not {command_name(given)}; leave "
        "--command out or check the path."
    )
