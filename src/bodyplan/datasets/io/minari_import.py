"""Imports the Minari datasets that bodyplan exported into one dataset with the same bytes.

Minari itself does not check its files. They are therefore read without it, and no file is parsed
before its checksum has been compared.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.format import ARRAYS, CARD, DESCRIPTOR_IDS, DESCRIPTORS, card_checksum
from bodyplan.datasets.io.dataset_writer import new_dataset_folder
from bodyplan.datasets.io.minari_metadata import (
    EPISODES_FILE,
    METADATA_FILE,
    MINARI_STEP_ARRAYS,
    RECORD_FORMAT,
    RECORD_KEY,
    MinariRecord,
    merged_card,
    minari_root,
    record_checksum,
)
from bodyplan.envs.gymnasium_spaces import unflatten_observation
from bodyplan.errors import BodyplanError
from bodyplan.progress import OnProgress
from bodyplan.records import checked_record, read_record, require_format
from bodyplan.storage import sha256, write_array, write_json

_DAMAGED_HDF5_ERRORS = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError)
"""What h5py raises for a damaged file."""
_HINT = "restore it or export it again"


def import_minari(
    ids: Sequence[str],
    out: str | Path,
    root: str | Path | None = None,
    progress: OnProgress | None = None,
) -> Dataset:
    """Imports Minari datasets that bodyplan wrote into one dataset with its original bytes.

    Args:
        ids: ids of Minari datasets of different robots, whose cards agree otherwise.
        out: folder of the new dataset.
        root: Minari's folder of datasets; by default the one that Minari itself uses.
        progress: called after every episode.

    Raises:
        BodyplanError: an id is unknown, was not written by bodyplan, is damaged or differs from the
            others; `out` is not empty; the disk is full.
    """
    out, home = Path(out), minari_root(root)
    if twice := sorted({name for name in ids if list(ids).count(name) > 1}):
        raise BodyplanError(f"the id '{twice[0]}' is given twice; name each Minari dataset once.")
    sources = {name: _MinariRobot.open(home, name) for name in ids}
    card = merged_card({name: source.record for name, source in sources.items()})
    if "seal" in card:  # the exported card may have had other robots
        card |= {"seal": card_checksum(card)}
    for source in sources.values():
        source.check_files()
    with new_dataset_folder(out) as folder:
        for source in sources.values():
            source.write(folder, progress)
        write_json(folder / CARD, card)
        if faults := Dataset.open(folder).verify():
            raise BodyplanError(
                f"{list(ids)} in {home} are not a sound dataset: "
                f"{faults[0].replace(str(folder), str(out))}"
            )
    return Dataset.open(out)


@dataclass(frozen=True)
class _MinariRobot:
    """One robot's Minari dataset."""

    folder: Path
    record: Mapping[str, Any]
    """The record that bodyplan wrote into the metadata."""
    robot: str
    shapes: Mapping[str, tuple[int, ...]]
    """Shape of each array, by the name of its file in a dataset of bodyplan."""
    checksums: Mapping[str, str]
    """Likewise the checksum."""

    @classmethod
    def open(cls, home: Path, name: str) -> "_MinariRobot":
        """Reads the record of an id, but not the data."""
        folder = home / name / "data"
        path = folder / METADATA_FILE
        if not folder.is_dir():
            raise BodyplanError(
                f"there is no Minari dataset '{name}' in {home}; check the id, or give another "
                "folder of Minari's datasets (--minari-root)."
            )
        found = read_record(path, dict, _HINT)
        if RECORD_KEY not in found:
            raise BodyplanError(
                f"{path} was not written by bodyplan; describe its arrays in a mapping file and "
                "use `bodyplan data import`."
            )
        place = f"{path}: {RECORD_KEY}"
        record = checked_record(place, found[RECORD_KEY], MinariRecord, _HINT)
        checksum = record.pop("sha256")
        if checksum != record_checksum(record):
            raise BodyplanError(f"{path} differs from its checksum; {_HINT}.")
        require_format(place, record, RECORD_FORMAT, _HINT)
        robot = record["robot"]
        arrays = record["card"]["robots"].get(robot, {"arrays": {}})["arrays"]
        for file in (*(f"{array}.npy" for array in ARRAYS), DESCRIPTORS):
            if file not in arrays:
                raise BodyplanError(f"{path} lists no {file} of {robot}; {_HINT}.")
        shapes = {
            name: tuple(entry["shape"]) for name, entry in arrays.items() if name != DESCRIPTORS
        }
        checksums = {name: entry["sha256"] for name, entry in arrays.items()}
        if Path(robot).name != robot or robot in ("", ".."):
            raise BodyplanError(
                f"{path} has the robot '{robot}', which is no name of a folder; {_HINT}."
            )
        return cls(folder, record, robot, shapes, checksums)

    def check_files(self) -> None:
        """Compares the files with their checksums."""
        for name in (EPISODES_FILE, DESCRIPTORS):
            if sha256(self.folder / name) != self.record["files"].get(name):
                raise BodyplanError(
                    f"{self.folder / name} differs from its checksum: it was damaged, or changed "
                    f"after the export; {_HINT}."
                )

    def write(self, dataset: Path, progress: OnProgress | None) -> None:
        """Writes the robot's arrays into its folder in a dataset."""
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
                    f"{self.folder / EPISODES_FILE} does not contain the {name} of the card in "
                    f"{METADATA_FILE}; {_HINT}."
                )

    def _episodes(self) -> Iterator[dict[str, np.ndarray]]:
        """Each episode's rows by the names of bodyplan's files; only one is in memory."""
        import h5py

        path = self.folder / EPISODES_FILE
        try:
            joints, feet = self.shapes["joints.npy"][1], self.shapes["feet.npy"][1]
            with h5py.File(path, "r") as file:
                for number in range(len(file)):
                    group = file[f"episode_{number}"]
                    frames = unflatten_observation(group["observations"][()], joints, feet)
                    rows = {**frames._asdict()}
                    rows |= {
                        name: group[minari_name][()]
                        for name, minari_name in MINARI_STEP_ARRAYS.items()
                    }
                    if f"{DESCRIPTOR_IDS}.npy" in self.shapes:
                        rows[DESCRIPTOR_IDS] = group["infos"][DESCRIPTOR_IDS][()]
                    yield {f"{name}.npy": part for name, part in rows.items()}
        except _DAMAGED_HDF5_ERRORS as error:
            raise BodyplanError(f"{path} cannot be read ({error}); {_HINT}.") from error


def _write_header(file: BinaryIO, shape: tuple[int, ...], kind: np.dtype) -> None:
    """Writes the header of an `.npy` file whose shape is known before its rows."""
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
