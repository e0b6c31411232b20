"""Verification of recorded data: each fault found is a sentence that names the file and the fix."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.format import (
    CARD,
    DESCRIPTOR_IDS,
    DESCRIPTORS,
    FRAME_ARRAYS,
    REBUILD_HINT,
    STEP_ARRAYS,
    card_checksum,
)
from bodyplan.datasets.whole_episodes import WHOLE, whole_episodes
from bodyplan.envs.walking_task import ACTION_LIMIT
from bodyplan.robots.feature_sizes import (
    COMMAND_COLUMNS,
    CONTEXT_SIZE,
    FOOT_DESCRIPTOR_SIZE,
    FOOT_OBSERVATION_SIZE,
    GENERAL_OBSERVATION_SIZE,
    GRAVITY_COLUMNS,
    JOINT_DESCRIPTOR_SIZE,
    JOINT_OBSERVATION_SIZE,
)

GRAVITY_LIMIT = 1.5
"""Largest component of the gravity direction, a unit vector, with sensor noise."""
_ROWS_AT_ONCE = 65_536
_NUMBERS = (*FRAME_ARRAYS, "actions", "rewards")
_TYPES = {
    "joints": ("float32", 3),
    "feet": ("float32", 3),
    "general": ("float32", 2),
    "actions": ("float32", 2),
    "rewards": ("float32", 1),
    "terminated": ("bool", 1),
    "truncated": ("bool", 1),
    "episode_ends": ("int64", 1),
    DESCRIPTOR_IDS: ("int32", 1),
}
"""Data type and number of dimensions of each array."""


def card_faults(path: Path, card: Mapping[str, Any]) -> list[str]:
    """Faults in the card. Older cards have no checksum of their own, which is no fault."""
    if "seal" in card and card["seal"] != card_checksum(card):
        return [f"{path / CARD} differs from its checksum (seal); {REBUILD_HINT}."]
    return []


def checksum_faults(
    folder: Path, checksums: Mapping[str, str], entry: Mapping[str, Any]
) -> list[str]:
    """A robot's files that differ from their checksums or have none."""
    arrays = entry["arrays"]
    found = [
        f"{folder / file} differs from its checksum; {REBUILD_HINT}."
        for file, checksum in checksums.items()
        if file not in arrays or arrays[file]["sha256"] != checksum
    ]
    if unknown := sorted(set(arrays) - set(checksums)):
        found.append(
            f"{folder.parent / CARD} lists unknown files {', '.join(unknown)}; {REBUILD_HINT}."
        )
    return found


def episode_faults(folder: Path, episodes: Episodes, card: Mapping[str, Any]) -> list[str]:
    """All faults in a robot's arrays: structure, NaN, the card's summary, bounds."""
    if unsound := structure_faults(folder, episodes):
        return unsound  # the other checks need the right shapes
    found = non_finite_faults(folder, episodes)
    found += _summary_faults(folder, episodes, card["robots"][folder.name])
    return found + _bound_faults(folder, episodes, card)


def structure_faults(folder: Path, episodes: Episodes) -> list[str]:
    """Faults that would pass unseen or stop a reader: found without reading the large arrays.

    Types and shapes are the format's and fit together, episodes end where flags say so, every frame
    has a descriptor set, and rewards are numbers.
    """
    return (
        _layout_faults(folder, episodes)
        or _row_faults(folder, episodes)
        or descriptor_faults(folder, episodes)
        or non_finite_faults(folder, episodes, ("rewards",))
    )


def non_finite(episodes: Episodes, names: Sequence[str] = _NUMBERS) -> list[str]:
    """Names of the arrays that contain NaN or infinity."""
    return [name for name in names if _any(_not_finite, getattr(episodes, name))]


def non_finite_faults(
    folder: Path, episodes: Episodes, names: Sequence[str] = _NUMBERS
) -> list[str]:
    """Faults in arrays that contain NaN or infinity."""
    return [
        f"{folder / name}.npy holds NaN or infinity; {REBUILD_HINT}."
        for name in non_finite(episodes, names)
    ]


def descriptor_faults(folder: Path, episodes: Episodes) -> list[str]:
    """Faults in the descriptor sets and in the numbers that assign them to frames."""
    joints, feet, context = episodes.descriptors
    ids, count = episodes.descriptor_ids, len(context)
    shapes = [list(part.shape[1:]) for part in (joints, feet, context)]
    expected = [
        [episodes.joints.shape[1], JOINT_DESCRIPTOR_SIZE],
        [episodes.feet.shape[1], FOOT_DESCRIPTOR_SIZE],
        [CONTEXT_SIZE],
    ]
    if shapes != expected:
        return [f"{folder / DESCRIPTORS} holds sets of {shapes}, not {expected}; {REBUILD_HINT}."]
    if any(_not_finite(part).any() for part in episodes.descriptors):
        return [f"{folder / DESCRIPTORS} holds NaN or infinity; {REBUILD_HINT}."]
    if ids is None:
        return []
    place = folder / f"{DESCRIPTOR_IDS}.npy"
    if len(ids) != len(episodes.general):
        return [f"{place} has {len(ids)} rows, not {len(episodes.general)}; {REBUILD_HINT}."]
    if _any(lambda chunk: (chunk < 0) | (chunk >= count), ids):
        return [f"{place} has numbers of sets outside the {count} that exist; {REBUILD_HINT}."]
    unused = count - np.count_nonzero(np.bincount(ids, minlength=count))
    return [f"{place} leaves {unused} of {count} sets unused; {REBUILD_HINT}."] if unused else []


def _layout_faults(folder: Path, episodes: Episodes) -> list[str]:
    found = []
    for name, array in episodes.arrays().items():
        dtype, dimensions = _TYPES[name]
        if (str(array.dtype), array.ndim) != (dtype, dimensions) or 0 in array.shape:
            found.append(
                f"{folder / name}.npy holds {array.dtype} {list(array.shape)}, not {dtype} of "
                f"{dimensions} dimensions; {REBUILD_HINT}."
            )
    if found:
        return found
    joints, feet = episodes.joints.shape[1], episodes.feet.shape[1]
    rows = {
        "joints": (joints, JOINT_OBSERVATION_SIZE),
        "feet": (feet, FOOT_OBSERVATION_SIZE),
        "general": (GENERAL_OBSERVATION_SIZE,),
        "actions": (joints,),
    }
    return [
        f"{folder / name}.npy has rows of {list(getattr(episodes, name).shape[1:])}, not "
        f"{list(row)}; {REBUILD_HINT}."
        for name, row in rows.items()
        if getattr(episodes, name).shape[1:] != row
    ]


def _row_faults(folder: Path, episodes: Episodes) -> list[str]:
    ends, steps = episodes.episode_ends, episodes.num_steps
    if not len(ends) or ends[-1] != steps or (episodes.lengths < 1).any():
        return [f"{folder / 'episode_ends.npy'} does not rise to the last step; {REBUILD_HINT}."]
    rows = [
        f"{folder / name}.npy has {len(getattr(episodes, name))} rows, not {rows}; {REBUILD_HINT}."
        for names, rows in ((FRAME_ARRAYS, steps + len(ends)), (STEP_ARRAYS, steps))
        for name in names
        if len(getattr(episodes, name)) != rows
    ]
    if rows:
        return rows
    done = np.flatnonzero(episodes.terminated | episodes.truncated)
    if not np.array_equal(done, ends - 1):
        return [
            f"{folder}: terminated.npy and truncated.npy end other episodes than "
            f"episode_ends.npy; {REBUILD_HINT}."
        ]
    return []


def _summary_faults(folder: Path, episodes: Episodes, entry: Mapping[str, Any]) -> list[str]:
    found = [
        f"{folder.parent / CARD} gives {folder.name} {key} {entry[key]}, its arrays "
        f"{value:g}; {REBUILD_HINT}."
        for key, value in episodes.summary().items()
        if not np.isclose(float(entry[key]), value, equal_nan=True)
    ]
    if WHOLE in entry and not _counts_as(entry[WHOLE], episodes, entry.get("segments", ())):
        found.append(
            f"{folder.parent / CARD} gives {folder.name} other {WHOLE} than its arrays; "
            f"{REBUILD_HINT}."
        )
    return found


def _counts_as(stated: Any, episodes: Episodes, segments: Any) -> bool:
    """Whether a card's whole episodes are those of the arrays."""
    counted: dict[str, Any] = dict(whole_episodes(episodes, segments))
    return all(
        value is stated[key] is None
        or (None not in (value, stated[key]) and np.isclose(float(stated[key]), value))
        for key, value in counted.items()
    )


def _bound_faults(folder: Path, episodes: Episodes, card: Mapping[str, Any]) -> list[str]:
    """Bounds that hold for every policy: the task clips, and its reward is never negative."""
    unit, disturbances = 1.0 + 1e-5, card.get("conditions", {})
    limits = np.full(GENERAL_OBSERVATION_SIZE, unit)
    limits[COMMAND_COLUMNS] = np.inf  # the command has a check of its own
    if disturbances.get("noise"):
        limits[GRAVITY_COLUMNS] = GRAVITY_LIMIT
    beyond = {  # false for NaN, which is reported by itself
        "feet": lambda x: np.abs(x) > unit,
        "general": lambda x: np.abs(x) > limits,
        "actions": lambda x: np.abs(x) > ACTION_LIMIT,
        "rewards": lambda x: x < 0.0,
    }
    found = [
        f"{folder / name}.npy holds values outside the task's bounds; {REBUILD_HINT}."
        for name, outside in beyond.items()
        if _any(outside, getattr(episodes, name))
    ]
    if disturbances.get("commands"):
        return found  # commands change during episodes
    wanted = np.asarray(card["command"], np.float32)
    if _any(lambda x: x[:, COMMAND_COLUMNS] != wanted, episodes.general):
        found.append(
            f"{folder / 'general.npy'} holds another command than the card; {REBUILD_HINT}."
        )
    return found


def _not_finite(values: np.ndarray) -> np.ndarray:
    return ~np.isfinite(values)


def _any(condition: Callable[[np.ndarray], np.ndarray], array: np.ndarray) -> bool:
    """Whether `condition` is true of any value, a few rows at a time to make no large copy."""
    chunks = (array[start : start + _ROWS_AT_ONCE] for start in range(0, len(array), _ROWS_AT_ONCE))
    return any(bool(condition(chunk).any()) for chunk in chunks)
