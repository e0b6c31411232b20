"""Minari, in: what bodyplan wrote there becomes one dataset again, byte for byte.

Minari would believe whatever is in its files. They are therefore read without it, and nothing is
parsed before its checksum is known to be right.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.format import CARD, DESCRIPTOR_IDS, DESCRIPTORS, card_checksum
from bodyplan.datasets.io.dataset_writer import new_folder
from bodyplan.datasets.io.minari_metadata import (
    EPISODES,
    KEY,
    METADATA,
    MINARI_STEP_ARRAYS,
    RECORD_FORMAT,
    digest,
    find_root,
    merged_card,
)
from bodyplan.envs.gymnasium_spaces import unflatten_observation
from bodyplan.errors import BodyplanError
from bodyplan.progress import OnProgress
from bodyplan.storage import read_json, sha256, write_array, write_json

_DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError)
"""What h5py raises of a file that is not as it should be."""
_MEND = "restore it or export it again"


def import_minari(
    ids: Sequence[str],
    out: str | Path,
    root: str | Path | None = None,
    progress: OnProgress | None = None,
) -> Dataset:
    """Makes one dataset of Minari datasets that bodyplan wrote, with the bytes it once had.

    Args:
        ids: of Minari datasets of different robots whose cards otherwise agree.
        out: the new dataset's folder.
        root: Minari's folder of datasets; where not given, the one that Minari itself uses.
        progress: called after every episode.

    Raises:
        BodyplanError: an id is unknown, not of bodyplan, damaged, or does not go with the others;
            `out` holds something; the disk is full.
    """
    out, home = Path(out), find_root(root)
    if twice := sorted({own for own in ids if list(ids).count(own) > 1}):
        raise BodyplanError(f"the id '{twice[0]}' is given twice; name each Minari dataset once.")
    sources = {own: _Source.open(home, own) for own in ids}
    card = merged_card({own: source.told for own, source in sources.items()})
    if "seal" in card:  # that of the exported card tells of all its robots
        card |= {"seal": card_checksum(card)}
    for source in sources.values():
        source.check_files()
    with new_folder(out) as folder:
        for source in sources.values():
            source.write(folder, progress)
        write_json(folder / CARD, card)
        if faults := Dataset.open(folder).verify():
            raise BodyplanError(
                f"{list(ids)} in {home} hold no sound dataset: "
                f"{faults[0].replace(str(folder), str(out))}"
            )
    return Dataset.open(out)


@dataclass(frozen=True)
class _Source:
    """One robot's data in Minari."""

    folder: Path
    told: Mapping[str, Any]
    """The record that bodyplan left in the metadata."""
    robot: str
    shapes: Mapping[str, tuple[int, ...]]
    """Of each array, by the names of their files."""
    checksums: Mapping[str, str]
    """Likewise."""

    @classmethod
    def open(cls, home: Path, own: str) -> "_Source":
        """Reads the record of an id; the data are left for later."""
        folder = home / own / "data"
        path = folder / METADATA
        if not folder.is_dir():
            raise BodyplanError(
                f"there is no Minari dataset '{own}' in {home}; check the id, and give the folder "
                "of Minari's datasets (--minari-root) where it is another."
            )
        found = read_json(path)
        if KEY not in found:
            raise BodyplanError(
                f"{path} is not of a dataset that bodyplan wrote; say in a mapping file what its "
                "arrays are and use `bodyplan data import`."
            )
        try:
            told = dict(found[KEY])
            checksum = told.pop("sha256")
            arrays = dict(told["card"]["robots"][told["robot"]]["arrays"])
            sets = arrays.pop(DESCRIPTORS)["sha256"]
            shapes = {name: tuple(entry["shape"]) for name, entry in arrays.items()}
            checksums = {name: entry["sha256"] for name, entry in arrays.items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BodyplanError(f"{path} is incomplete ({error!r}); {_MEND}.") from error
        if checksum != digest(told):
            raise BodyplanError(f"{path} differs from its checksum; {_MEND}.")
        if told.get("format") != RECORD_FORMAT:
            raise BodyplanError(
                f"{path} says format {told.get('format')}, this version reads {RECORD_FORMAT}; "
                "use the version of bodyplan that wrote it."
            )
        robot = str(told["robot"])
        if Path(robot).name != robot or robot in ("", ".."):
            raise BodyplanError(f"{path} names a robot '{robot}', which is no folder; {_MEND}.")
        return cls(folder, told, robot, shapes, {**checksums, DESCRIPTORS: sets})

    def check_files(self) -> None:
        """Compares the files with their checksums."""
        for name in (EPISODES, DESCRIPTORS):
            if sha256(self.folder / name) != self.told.get("files", {}).get(name):
                raise BodyplanError(
                    f"{self.folder / name} differs from its checksum: it was damaged, or changed "
                    f"after the export; {_MEND}."
                )

    def write(self, dataset: Path, progress: OnProgress | None) -> None:
        """Writes the robot's arrays into its folder of a dataset."""
        folder = dataset / self.robot
        folder.mkdir()
        shutil.copyfile(self.folder / DESCRIPTORS, folder / DESCRIPTORS)
        ends = [0]
        with ExitStack() as opened:
            files: dict[str, BinaryIO] = {}
            for rows in self._episodes():
                for name, array in rows.items():
                    if name not in files:
                        files[name] = opened.enter_context((folder / name).open("wb"))
                        _write_header(files[name], self.shapes[name], array.dtype)
                    files[name].write(np.ascontiguousarray(array).data)
                ends.append(ends[-1] + len(rows["rewards.npy"]))
                if progress:
                    progress(self.robot, ends[-1], self.shapes["rewards.npy"][0])
        write_array(folder / "episode_ends.npy", np.array(ends[1:], np.int64))
        for name, checksum in self.checksums.items():
            if sha256(folder / name) != checksum:
                raise BodyplanError(
                    f"{self.folder / EPISODES} does not hold the {name} of which the card in "
                    f"{METADATA} tells; {_MEND}."
                )

    def _episodes(self) -> Iterator[dict[str, np.ndarray]]:
        """Each episode's rows, by the names of bodyplan's files; one is in memory at a time."""
        import h5py

        path = self.folder / EPISODES
        try:
            joints, feet = self.shapes["joints.npy"][1], self.shapes["feet.npy"][1]
            with h5py.File(path, "r") as file:
                for number in range(len(file)):
                    group = file[f"episode_{number}"]
                    frames = unflatten_observation(group["observations"][()], joints, feet)
                    rows = {**frames._asdict()}
                    rows |= {ours: group[theirs][()] for ours, theirs in MINARI_STEP_ARRAYS.items()}
                    if f"{DESCRIPTOR_IDS}.npy" in self.shapes:
                        rows[DESCRIPTOR_IDS] = group["infos"][DESCRIPTOR_IDS][()]
                    yield {f"{name}.npy": part for name, part in rows.items()}
        except _DAMAGE as error:
            raise BodyplanError(f"{path} cannot be read ({error}); {_MEND}.") from error


def _write_header(file: BinaryIO, shape: tuple[int, ...], kind: np.dtype) -> None:
    """Begins an `.npy` file of a size that is known before its rows are."""
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
