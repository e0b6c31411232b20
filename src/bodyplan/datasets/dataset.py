"""A dataset on disk: the episodes of many robots and one card that says where they come from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bodyplan.datasets import verification
from bodyplan.datasets.descriptor_sets import read_sets
from bodyplan.datasets.duplicates import duplicate_steps
from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.format import (
    ARRAYS,
    CARD,
    DATASET_FORMAT,
    DESCRIPTOR_IDS,
    DESCRIPTORS,
    FRAME_ARRAYS,
    REBUILD_HINT,
)
from bodyplan.errors import BodyplanError
from bodyplan.storage import read_array, read_json, sha256


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
        if card.get("format") != DATASET_FORMAT:
            raise BodyplanError(
                f"{path / CARD} says format {card.get('format')}, this version reads "
                f"{DATASET_FORMAT}; rebuild it or use the version of bodyplan that wrote it."
            )
        entries = card.get("robots")
        if not isinstance(entries, dict) or not entries:
            raise BodyplanError(f"{path / CARD} names no robots; {REBUILD_HINT}.")
        if strange := [name for name in entries if Path(name).name != name or name in ("", "..")]:
            raise BodyplanError(
                f"{path / CARD} names robots {strange}, no folders; {REBUILD_HINT}."
            )
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
            for file in (f"{part}.npy" for part in (*FRAME_ARRAYS, "actions")):
                owner = owners.setdefault((file, digests[file]), name)
                if owner != name:
                    faults.append(
                        f"{folder / file} is the same as that of {owner}; rebuild one of them."
                    )
        return faults or duplicate_steps(self.folders())  # misshapen arrays have nothing to compare

    def folders(self) -> dict[Path, Episodes]:
        """Each robot's episodes, by the folder that they are in."""
        return {self.path / name: episodes for name, episodes in self.episodes.items()}


def _open_robot(folder: Path, entry: Any) -> Episodes:
    card = folder.parent / CARD
    try:
        names = [*ARRAYS, *([DESCRIPTOR_IDS] if f"{DESCRIPTOR_IDS}.npy" in entry["arrays"] else [])]
        listed = {name: entry["arrays"][f"{name}.npy"] for name in names}
        expected = {name: (item["shape"], item["dtype"]) for name, item in listed.items()}
    except (KeyError, TypeError) as error:
        raise BodyplanError(f"{card} is incomplete for {folder.name}; {REBUILD_HINT}.") from error
    arrays = {name: read_array(folder / f"{name}.npy") for name in names}
    for name, array in arrays.items():
        found = (list(array.shape), str(array.dtype))
        if found != expected[name]:
            raise BodyplanError(
                f"{folder / name}.npy holds {found[1]} {found[0]} where {card} says "
                f"{expected[name][1]} {expected[name][0]}; {REBUILD_HINT}."
            )
    episodes = Episodes(**arrays, descriptors=read_sets(folder / DESCRIPTORS))
    if (episodes.num_descriptors > 1) != (DESCRIPTOR_IDS in arrays):
        raise BodyplanError(
            f"{folder / DESCRIPTORS} holds {episodes.num_descriptors} descriptor sets, but {card} "
            f"lists {'an' if DESCRIPTOR_IDS in arrays else 'no'} {DESCRIPTOR_IDS}.npy; "
            f"{REBUILD_HINT}."
        )
    return episodes
