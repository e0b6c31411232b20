"""Episodes on disk: frames, steps, episode ends and a card, as plain memory-mapped arrays.

An episode of L steps has L + 1 frames, the last being what the robot saw at the end, before any
reset; next observations are therefore the next frame and are stored once. Descriptors, which do
not change from step to step, are stored once for a robot. A dataset is a folder:

    card.json                    recipe, command, seed, versions, robots, SHA-256 of every array
    <robot>/joints.npy           [N+E, J, 3] float32, frames of E episodes with N steps in all
            feet.npy             [N+E, F, 2]
            general.npy          [N+E, 13]
            actions.npy          [N, J]
            rewards.npy          [N]
            terminated.npy       [N] bool, truncated.npy likewise
            episode_ends.npy     [E] int64, the step after the last of each episode
            descriptors.npz      one descriptor set

Terminated is not truncated: a truncated episode went on unseen, so values are bootstrapped
through its end, a terminated one has no future.
"""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from bodyplan.errors import BodyplanError
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.storage import atomic_write, read_array, read_json, sha256, write_array

FORMAT = 1
CARD = "card.json"
DESCRIPTORS = "descriptors.npz"
FRAMES = ("joints", "feet", "general")
STEPS = ("actions", "rewards", "terminated", "truncated")
ARRAYS = (*FRAMES, *STEPS, "episode_ends")

ACTION_LIMIT = 20.0
"""Policy means stay within 10 and exploration adds a few standard deviations of at most 2."""
_CHUNK = 65_536
_REBUILD = "rebuild the dataset or restore the file"


@dataclass(frozen=True, eq=False)
class Episodes:
    """The episodes of one robot: E of them, N steps in all."""

    joints: Float[np.ndarray, "frames J 3"]
    feet: Float[np.ndarray, "frames F 2"]
    general: Float[np.ndarray, "frames 13"]
    actions: Float[np.ndarray, "N J"]
    rewards: Float[np.ndarray, "N"]
    terminated: Bool[np.ndarray, "N"]
    truncated: Bool[np.ndarray, "N"]
    episode_ends: Int[np.ndarray, "E"]
    """Exclusive end of each episode among the steps; the last one is N."""
    descriptor: RobotDescriptor

    @property
    def num_steps(self) -> int:
        """N."""
        return len(self.rewards)

    @property
    def num_episodes(self) -> int:
        """E."""
        return len(self.episode_ends)

    @property
    def lengths(self) -> Int[np.ndarray, "E"]:
        """Steps of each episode."""
        return np.diff(self.episode_ends, prepend=0)

    @property
    def returns(self) -> Float[np.ndarray, "E"]:
        """Undiscounted sum of rewards of each episode, summed in float64."""
        return np.add.reduceat(self.rewards, self.episode_ends - self.lengths, dtype=np.float64)

    def frame_indices(self) -> Int[np.ndarray, "N"]:
        """The frame each step starts from; the frame it leads to is the next one.

        Every episode before a step has put one closing frame before it: step n of episode e
        starts from frame n + e.
        """
        episode = np.repeat(np.arange(self.num_episodes), self.lengths)
        return (np.arange(self.num_steps) + episode).astype(np.int32)

    def summary(self) -> dict[str, float]:
        """What the card says of these episodes."""
        return {
            "steps": self.num_steps,
            "episodes": self.num_episodes,
            "return_mean": float(self.returns.mean()),
            "length_mean": float(self.lengths.mean()),
        }

    def non_finite(self) -> list[str]:
        """Names of the arrays that hold a NaN or an infinity."""
        names = (*FRAMES, "actions", "rewards")
        return [name for name in names if _any(_wild, getattr(self, name))]

    def write(self, folder: str | Path) -> dict[str, Any]:
        """Writes every array into `folder`; returns the robot's entry for the card.

        Raises:
            BodyplanError: the disk is full, or the folder cannot be written.
        """
        folder = Path(folder)
        for name in ARRAYS:
            write_array(folder / f"{name}.npy", getattr(self, name))
        table = {name: part[None] for name, part in self.descriptor._asdict().items()}
        with atomic_write(folder / DESCRIPTORS) as temporary:
            np.savez(temporary, allow_pickle=False, **table)
        arrays: dict[str, Any] = {}
        for name in ARRAYS:
            array = getattr(self, name)
            arrays[f"{name}.npy"] = {"shape": list(array.shape), "dtype": str(array.dtype)}
        shapes = {name: list(part.shape) for name, part in table.items()}
        arrays[DESCRIPTORS] = {"shape": shapes, "dtype": "float32"}
        for file, entry in arrays.items():
            entry["sha256"] = sha256(folder / file)
        return {**self.summary(), "arrays": arrays}


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset on disk, its arrays mapped into memory. Get one with `Dataset.open`."""

    path: Path
    card: dict[str, Any]
    robots: tuple[str, ...]
    episodes: dict[str, Episodes]

    @classmethod
    def open(cls, path: str | Path) -> "Dataset":
        """Opens a dataset and checks its arrays' shapes against the card, without reading them.

        Raises:
            BodyplanError: the folder, the card or an array is missing, damaged or of another
                shape or format.
        """
        path = Path(path)
        if not path.is_dir():
            raise BodyplanError(
                f"there is no dataset at {path}; check the path or build one with "
                "`bodyplan data build`."
            )
        card = read_json(path / CARD)
        if card.get("format") != FORMAT:
            raise BodyplanError(
                f"{path / CARD} says format {card.get('format')}, this version reads {FORMAT}; "
                "rebuild the dataset or use the version of bodyplan that wrote it."
            )
        entries = card.get("robots")
        if not isinstance(entries, dict) or not entries:
            raise BodyplanError(f"{path / CARD} names no robots; {_REBUILD}.")
        episodes = {name: _open_robot(path / name, entry) for name, entry in entries.items()}
        return cls(path, card, tuple(episodes), episodes)

    def verify(self) -> list[str]:
        """Reads everything and returns the faults found, each a sentence naming file and fix.

        Checked: checksums, NaN and infinity, bounds, the command, the structure of the episodes,
        and whether two robots share an array.
        """
        faults: list[str] = []
        owners: dict[tuple[str, str], str] = {}
        for name in self.robots:
            folder, episodes = self.path / name, self.episodes[name]
            for file, entry in self.card["robots"][name]["arrays"].items():
                digest = sha256(folder / file)
                if digest != entry["sha256"]:
                    faults.append(f"{folder / file} differs from its checksum; {_REBUILD}.")
                # Flags and episode ends may well be equal; what bodies sense and do may not.
                owner = owners.setdefault((file, digest), name)
                if owner != name and file.removesuffix(".npy") in (*FRAMES, "actions"):
                    faults.append(
                        f"{folder / file} is the same as that of {owner}; rebuild one of them."
                    )
            faults += [
                f"{folder / name}.npy holds NaN or infinity; {_REBUILD}."
                for name in episodes.non_finite()
            ]
            faults += _structure_faults(folder, episodes) or _summary_faults(
                folder, episodes, self.card["robots"][name]
            )
            faults += _bound_faults(folder, episodes, self.card.get("command"))
        return faults


def _open_robot(folder: Path, entry: Any) -> Episodes:
    card = folder.parent / CARD
    try:
        listed = {name: entry["arrays"][f"{name}.npy"] for name in ARRAYS}
        expected = {name: (item["shape"], item["dtype"]) for name, item in listed.items()}
    except (KeyError, TypeError) as error:
        raise BodyplanError(f"{card} is incomplete for {folder.name}; {_REBUILD}.") from error
    arrays = {name: read_array(folder / f"{name}.npy") for name in ARRAYS}
    for name, array in arrays.items():
        found = (list(array.shape), str(array.dtype))
        if found != expected[name]:
            raise BodyplanError(
                f"{folder / name}.npy holds {found[1]} {found[0]} where {card} says "
                f"{expected[name][1]} {expected[name][0]}; {_REBUILD}."
            )
    return Episodes(**arrays, descriptor=_read_descriptor(folder / DESCRIPTORS))


def _read_descriptor(path: Path) -> RobotDescriptor:
    if not path.is_file():
        raise BodyplanError(f"{path} is missing; {_REBUILD}.")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as table:
            return RobotDescriptor(*(table[name][0] for name in RobotDescriptor._fields))
    except (ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise BodyplanError(f"{path} is damaged ({error}); {_REBUILD}.") from error


def _structure_faults(folder: Path, episodes: Episodes) -> list[str]:
    ends, steps = episodes.episode_ends, episodes.num_steps
    if not len(ends) or ends[-1] != steps or (episodes.lengths < 1).any():
        return [f"{folder / 'episode_ends.npy'} does not rise to the last step; {_REBUILD}."]
    faults = [
        f"{folder / name}.npy has {len(getattr(episodes, name))} rows, not {rows}; {_REBUILD}."
        for names, rows in ((FRAMES, steps + len(ends)), (STEPS, steps))
        for name in names
        if len(getattr(episodes, name)) != rows
    ]
    if faults:
        return faults
    done = np.flatnonzero(episodes.terminated | episodes.truncated)
    if not np.array_equal(done, ends - 1):
        return [
            f"{folder}: terminated.npy and truncated.npy end other episodes than "
            f"episode_ends.npy; {_REBUILD}."
        ]
    return []


def _summary_faults(folder: Path, episodes: Episodes, entry: dict[str, Any]) -> list[str]:
    return [
        f"{folder.parent / CARD} gives {folder.name} {key} {entry.get(key)}, its arrays "
        f"{value:g}; {_REBUILD}."
        for key, value in episodes.summary().items()
        if not np.isclose(entry.get(key, np.nan), value, equal_nan=True)
    ]


def _bound_faults(folder: Path, episodes: Episodes, command: Any) -> list[str]:
    """Bounds that hold whatever the policy: the task clips, and its reward is not negative."""
    unit = 1.0 + 1e-5
    wanted = np.asarray(command, np.float32) if command is not None else episodes.general[0, 6:9]
    clipped = np.r_[0:6, 9:13]
    beyond = {  # false of NaN, which has its own sentence
        "feet": lambda x: np.abs(x) > unit,
        "general": lambda x: np.abs(x[:, clipped]) > unit,
        "actions": lambda x: np.abs(x) > ACTION_LIMIT,
        "rewards": lambda x: x < 0.0,
    }
    faults = [
        f"{folder / name}.npy holds values outside the task's bounds; {_REBUILD}."
        for name, outside in beyond.items()
        if _any(outside, getattr(episodes, name))
    ]
    if _any(lambda x: x[:, 6:9] != wanted, episodes.general):
        faults.append(f"{folder / 'general.npy'} holds another command than the card; {_REBUILD}.")
    return faults


def _wild(values: np.ndarray) -> np.ndarray:
    return ~np.isfinite(values)


def _any(holds: Callable[[np.ndarray], np.ndarray], array: np.ndarray) -> bool:
    """Whether `holds` is true of any value, a chunk at a time so that no large copy is made."""
    chunks = (array[start : start + _CHUNK] for start in range(0, len(array), _CHUNK))
    return any(bool(holds(chunk).any()) for chunk in chunks)
