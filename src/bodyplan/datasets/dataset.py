"""A dataset on disk: the episodes of many robots, and one card that says how they were made."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bodyplan.dataframes import dataframe
from bodyplan.datasets import verification
from bodyplan.datasets.descriptor_sets import read_sets
from bodyplan.datasets.duplicates import duplicate_steps
from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.format import (
    ARRAYS,
    CARD,
    DESCRIPTOR_IDS,
    DESCRIPTORS,
    FRAME_ARRAYS,
    REBUILD_HINT,
    WholeEpisodes,
    read_card,
)
from bodyplan.datasets.whole_episodes import WHOLE, whole_episodes
from bodyplan.envs.walking_task import command_name, parse_command
from bodyplan.errors import BodyplanError
from bodyplan.machine import available_cores
from bodyplan.notebook_html import html_table
from bodyplan.robots.registry import models_of
from bodyplan.robots.validation.problem import did_you_mean
from bodyplan.storage import read_array, sha256

if TYPE_CHECKING:
    import pandas

_COLUMNS = ("robot", "joints", "feet", "steps", "episodes", "falls", "return_mean", "length_mean")


class UnknownRobotError(BodyplanError, KeyError):
    """A dataset was asked for a robot that it does not have."""

    __str__ = Exception.__str__  # KeyError would show the message in quotes


@dataclass(frozen=True, eq=False, repr=False)
class Dataset(Mapping[str, Episodes]):
    """A dataset on disk, a mapping from the names of robots to their episodes.

    `Dataset.open` opens one. Its arrays are mapped into memory, not read.
    """

    path: Path
    card: dict[str, Any]
    robots: tuple[str, ...]
    episodes: dict[str, Episodes]
    """By the name of the robot; `dataset[name]` is `dataset.episodes[name]`."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__

    @classmethod
    def open(cls, path: str | Path) -> "Dataset":
        """Opens a dataset, whose arrays have the shapes of the card and make whole episodes.

        Raises:
            BodyplanError: the folder, the card or an array is missing, damaged, or of another
                shape or format.
        """
        path = Path(path)
        if (path.parent / f"{path.name}.partial").is_dir() and not (path / CARD).exists():
            raise BodyplanError(
                f"{path} is not complete; give the command that builds it again, to finish it."
            )
        if not path.is_dir():
            raise BodyplanError(
                f"there is no dataset at {path}; check the path or build one with "
                "`bodyplan data build`."
            )
        if not (path / CARD).exists():
            raise BodyplanError(
                f"{path} is not a dataset, for it has no {CARD}; give a folder that "
                "`bodyplan data` wrote."
            )
        card = read_card(path)
        entries = card["robots"]
        if invalid := [name for name in entries if Path(name).name != name or name in ("", "..")]:
            raise BodyplanError(
                f"{path / CARD} has robots {invalid}, which are no names of folders; "
                f"{REBUILD_HINT}."
            )
        episodes = {name: _open_robot(path / name, entry) for name, entry in entries.items()}
        return cls(path, card, tuple(episodes), episodes)

    def __getitem__(self, robot: str) -> Episodes:
        """The episodes of a robot.

        Raises:
            UnknownRobotError: the dataset does not have it.
        """
        if robot not in self.episodes:
            hint = did_you_mean(str(robot), self.robots) or f"it has {', '.join(self.robots)}."
            raise UnknownRobotError(f"{self.path} has no robot {robot!r}; {hint}")
        return self.episodes[robot]

    def __iter__(self) -> Iterator[str]:
        return iter(self.robots)

    def __len__(self) -> int:
        return len(self.robots)

    def __repr__(self) -> str:
        return f"Dataset({self._title()})"

    def _repr_html_(self) -> str:
        return html_table(f"Dataset {self._title()}", self._rows(), _COLUMNS)

    @property
    def models(self) -> dict[str, str]:
        """Absolute paths of the user's own robots by name, as `Robot.load` takes them."""
        return models_of(self.card, self.path)

    def to_dataframe(self) -> "pandas.DataFrame":
        """A data frame with one row for each robot: sizes, steps, episodes and their means.

        `dataset[robot].to_dataframe()` has one row for each episode.

        Raises:
            BodyplanError: pandas is not installed.
        """
        return dataframe(self._rows(), index="robot")

    def whole_episodes(self, robot: str) -> WholeEpisodes:
        """The whole episodes of a robot, from its card; of an older card, counted."""
        entry = self.card["robots"][robot]
        return entry.get(WHOLE) or whole_episodes(self[robot], entry.get("segments", ()))

    def verify(self) -> list[str]:
        """Reads everything and returns the faults found, each a sentence naming file and fix.

        Checked are the card, checksums, NaN and infinity, bounds, the command, the structure of
        episodes and the descriptor sets. No two robots may have arrays or episodes in common.
        """
        if faults := verification.card_faults(self.path, self.card):
            return faults
        found = self._checksums()
        owners: dict[tuple[str, str], str] = {}
        for name in self.robots:
            folder, checksums = self.path / name, found[name]
            faults += verification.checksum_faults(folder, checksums, self.card["robots"][name])
            faults += verification.episode_faults(folder, self.episodes[name], self.card)
            # Flags and episode ends may well be equal; observations and actions may not.
            for file in (f"{part}.npy" for part in (*FRAME_ARRAYS, "actions")):
                owner = owners.setdefault((file, checksums[file]), name)
                if owner != name:
                    faults.append(
                        f"{folder / file} is the same as that of {owner}; rebuild one of them."
                    )
        return faults or duplicate_steps(self.folders())  # which takes arrays that fit together

    def checksum_faults(self) -> list[str]:
        """Reads everything and returns the files that differ from their checksums in the card."""
        return [
            fault
            for name, checksums in self._checksums().items()
            for fault in verification.checksum_faults(
                self.path / name, checksums, self.card["robots"][name]
            )
        ]

    def _checksums(self) -> dict[str, dict[str, str]]:
        """SHA-256 of each robot's files, on all cores."""
        files = {
            name: (*(f"{array}.npy" for array in self.episodes[name].arrays()), DESCRIPTORS)
            for name in self.robots
        }
        with ThreadPoolExecutor(available_cores()) as pool:
            found = {
                name: pool.map(sha256, [self.path / name / file for file in own])
                for name, own in files.items()
            }
            return {name: dict(zip(own, found[name], strict=True)) for name, own in files.items()}

    def folders(self) -> dict[Path, Episodes]:
        """Each robot's episodes, by the folder that contains them."""
        return {self.path / name: episodes for name, episodes in self.episodes.items()}

    def _title(self) -> str:
        """Folder, number of robots and steps, recipe and command, in one line."""
        robots = "1 robot" if len(self) == 1 else f"{len(self)} robots"
        steps = sum(episodes.num_steps for episodes in self.episodes.values())
        parts = [f"'{self.path}'", robots, f"{steps:,} steps"]
        if "recipe" in self.card:
            parts.append(f"recipe {self.card['recipe']}")
        parts.append(f"command {command_name(parse_command(self.card['command']))}")
        return ", ".join(parts)

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "robot": name,
                "joints": episodes.joints.shape[1],
                "feet": episodes.feet.shape[1],
                "falls": int(np.count_nonzero(episodes.terminated)),
                **episodes.summary(),
            }
            for name, episodes in self.episodes.items()
        ]


def card_with_whole_episodes(folder: Path) -> dict[str, Any]:
    """The card of a dataset. Older cards lack whole episodes, which are then counted here.

    Returns:
        The card; empty where there is no dataset any more.

    Raises:
        BodyplanError: the dataset is damaged.
    """
    if not (folder / CARD).is_file():
        return {}
    card = read_card(folder)
    entries = card["robots"]
    if any(WHOLE not in own for own in entries.values()):
        dataset = Dataset.open(folder)
        card["robots"] = {
            name: {**own, WHOLE: dataset.whole_episodes(name)} for name, own in entries.items()
        }
    return card


def _open_robot(folder: Path, entry: Mapping[str, Any]) -> Episodes:
    card = folder.parent / CARD
    listed = entry["arrays"]
    names = [*ARRAYS, *([DESCRIPTOR_IDS] if f"{DESCRIPTOR_IDS}.npy" in listed else [])]
    if missing := [
        file for file in (*(f"{n}.npy" for n in names), DESCRIPTORS) if file not in listed
    ]:
        raise BodyplanError(f"{card} lists no {folder.name}/{missing[0]}; {REBUILD_HINT}.")
    expected = {n: (listed[f"{n}.npy"]["shape"], listed[f"{n}.npy"]["dtype"]) for n in names}
    arrays = {name: read_array(folder / f"{name}.npy") for name in names}
    for name, array in arrays.items():
        found = (list(array.shape), str(array.dtype))
        if found != expected[name]:
            raise BodyplanError(
                f"{folder / name}.npy has {found[1]} {found[0]} where {card} says "
                f"{expected[name][1]} {expected[name][0]}; {REBUILD_HINT}."
            )
    episodes = Episodes(**arrays, descriptors=read_sets(folder / DESCRIPTORS))
    if (episodes.num_descriptors > 1) != (DESCRIPTOR_IDS in arrays):
        raise BodyplanError(
            f"{folder / DESCRIPTORS} has {episodes.num_descriptors} descriptor sets, but {card} "
            f"lists {'an' if DESCRIPTOR_IDS in arrays else 'no'} {DESCRIPTOR_IDS}.npy; "
            f"{REBUILD_HINT}."
        )
    faults = verification.structure_faults(folder, episodes)
    for name, count in (("steps", episodes.num_steps), ("episodes", episodes.num_episodes)):
        if entry[name] != count:
            faults.append(
                f"{card} gives {folder.name} {entry[name]:,} {name}, its arrays {count:,}; "
                f"{REBUILD_HINT}."
            )
    if faults:
        raise BodyplanError(faults[0])
    return episodes
