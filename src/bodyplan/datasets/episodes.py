"""Episodes: what one robot did and saw, and datasets of many robots' episodes on disk.

Their arrays and files are those of `layout.py`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from bodyplan.datasets import verification
from bodyplan.datasets.copies import copies
from bodyplan.datasets.descriptor_sets import read_sets, write_sets
from bodyplan.datasets.layout import ARRAYS, CARD, DESCRIPTORS, FORMAT, FRAMES, IDS, REBUILD
from bodyplan.errors import BodyplanError
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.storage import read_array, read_json, sha256, write_array


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
    descriptors: RobotDescriptor
    """K descriptor sets, on a leading axis."""
    descriptor_ids: Int[np.ndarray, "frames"] | None = None
    """The set of each frame; None where K = 1."""

    @property
    def num_steps(self) -> int:
        """N."""
        return len(self.rewards)

    @property
    def num_episodes(self) -> int:
        """E."""
        return len(self.episode_ends)

    @property
    def num_descriptors(self) -> int:
        """K."""
        return len(self.descriptors.context)

    @property
    def descriptor(self) -> RobotDescriptor:
        """The descriptor set of a body that stays as it is.

        Raises:
            BodyplanError: there are several.
        """
        if self.num_descriptors > 1:
            raise BodyplanError(
                f"these episodes have {self.num_descriptors} descriptor sets, not one; use "
                "`descriptors` with each frame's place in them, `descriptor_ids`."
            )
        return RobotDescriptor(*(part[0] for part in self.descriptors))

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

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything but the descriptor sets, by the names of their files."""
        names = ARRAYS if self.descriptor_ids is None else (*ARRAYS, IDS)
        return {name: getattr(self, name) for name in names}

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
        return verification.non_finite(self)

    def write(self, folder: str | Path) -> dict[str, Any]:
        """Writes every array into `folder`; returns the robot's entry for the card.

        Raises:
            BodyplanError: the disk is full, or the folder cannot be written.
        """
        folder = Path(folder)
        for name, array in self.arrays().items():
            write_array(folder / f"{name}.npy", array)
        write_sets(folder / DESCRIPTORS, self.descriptors)
        return self.entry(folder)

    def entry(self, folder: Path) -> dict[str, Any]:
        """What the card says of these episodes, whose files lie in `folder`."""
        arrays: dict[str, Any] = {
            f"{name}.npy": {"shape": list(array.shape), "dtype": str(array.dtype)}
            for name, array in self.arrays().items()
        }
        shapes = {name: list(part.shape) for name, part in self.descriptors._asdict().items()}
        arrays[DESCRIPTORS] = {"shape": shapes, "dtype": "float32"}
        for file, about in arrays.items():
            about["sha256"] = sha256(folder / file)
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
            raise BodyplanError(f"{path / CARD} names no robots; {REBUILD}.")
        if strange := [name for name in entries if Path(name).name != name or name in ("", "..")]:
            raise BodyplanError(f"{path / CARD} names robots {strange}, no folders; {REBUILD}.")
        episodes = {name: _open_robot(path / name, entry) for name, entry in entries.items()}
        return cls(path, card, tuple(episodes), episodes)

    def verify(self) -> list[str]:
        """Reads everything and returns the faults found, each a sentence naming file and fix.

        Checked: the card, checksums, NaN and infinity, bounds, the command, the structure of the
        episodes, the descriptor sets, and whether two robots share an array or episodes.
        """
        if faults := verification.card_faults(self.path, self.card):
            return faults
        owners: dict[tuple[str, str], str] = {}
        for name in self.robots:
            folder, episodes = self.path / name, self.episodes[name]
            files = (*(f"{array}.npy" for array in episodes.arrays()), DESCRIPTORS)
            digests = {file: sha256(folder / file) for file in files}
            faults += verification.checksum_faults(folder, digests, self.card["robots"][name])
            faults += verification.faults(folder, episodes, self.card)
            # Flags and episode ends may well be equal; what bodies sense and do may not.
            for file in (f"{part}.npy" for part in (*FRAMES, "actions")):
                owner = owners.setdefault((file, digests[file]), name)
                if owner != name:
                    faults.append(
                        f"{folder / file} is the same as that of {owner}; rebuild one of them."
                    )
        return faults or copies([self])  # misshapen arrays have nothing to compare


def _open_robot(folder: Path, entry: Any) -> Episodes:
    card = folder.parent / CARD
    try:
        names = [*ARRAYS, *([IDS] if f"{IDS}.npy" in entry["arrays"] else [])]
        listed = {name: entry["arrays"][f"{name}.npy"] for name in names}
        expected = {name: (item["shape"], item["dtype"]) for name, item in listed.items()}
    except (KeyError, TypeError) as error:
        raise BodyplanError(f"{card} is incomplete for {folder.name}; {REBUILD}.") from error
    arrays = {name: read_array(folder / f"{name}.npy") for name in names}
    for name, array in arrays.items():
        found = (list(array.shape), str(array.dtype))
        if found != expected[name]:
            raise BodyplanError(
                f"{folder / name}.npy holds {found[1]} {found[0]} where {card} says "
                f"{expected[name][1]} {expected[name][0]}; {REBUILD}."
            )
    episodes = Episodes(**arrays, descriptors=read_sets(folder / DESCRIPTORS))
    if (episodes.num_descriptors > 1) != (IDS in arrays):
        raise BodyplanError(
            f"{folder / DESCRIPTORS} holds {episodes.num_descriptors} descriptor sets, but {card} "
            f"lists {'an' if IDS in arrays else 'no'} {IDS}.npy to say whose is which; {REBUILD}."
        )
    return episodes
