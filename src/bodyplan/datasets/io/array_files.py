"""Reads named arrays, some rows at a time, from a folder of `.npy`, an `.npz` or an HDF5 file.

Only plain numbers in the file itself are read. Python objects are refused. So are links, virtual
datasets and external storage of HDF5, because they lead to other files. No file is mapped into
memory, so that a long file does not count as memory in use.
"""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any, Protocol, runtime_checkable

import numpy as np

from bodyplan.errors import BodyplanError
from bodyplan.robots.validation.problem import did_you_mean, name_list
from bodyplan.storage import read_header

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf")
_NUMBER_KINDS = "biuf"  # of NumPy's data types: boolean, integers, float
_DAMAGED_FILE_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    SyntaxError,
    TokenError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
)


@dataclass(frozen=True)
class StoredArray:
    """An array in a file. Its rows are read when they are needed."""

    place: str
    """File and name, for error messages."""
    shape: tuple[int, ...]
    fetch: Callable[[int, int], np.ndarray]

    def rows(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Reads the rows from `start` to `stop`, by default to the end.

        Raises:
            BodyplanError: the file is damaged.
        """
        stop = self.shape[0] if stop is None else stop
        with _damage_named(self.place):
            array = self.fetch(start, stop)
        if array.shape != (stop - start, *self.shape[1:]):
            raise BodyplanError(f"{self.place} is truncated; copy or download the file again.")
        return array


@runtime_checkable
class ArrayFile(Protocol):
    """A file, or a folder, of named arrays."""

    @property
    def path(self) -> Path:
        """Path of the file or folder."""

    def names(self) -> list[str]:
        """Names of all arrays."""

    def find(self, name: str) -> StoredArray | None:
        """The array with a name; None if there is none."""


def require_array(container: ArrayFile, name: str) -> StoredArray:
    """The array with a name.

    Raises:
        BodyplanError: there is none, or it does not contain plain numbers in the file itself.
    """
    found = container.find(name)
    if found is None:
        known = container.names()
        if not known:
            raise BodyplanError(
                f"{container.path} has no arrays, so no '{name}'; give the folder or file that has "
                "them."
            )
        hint = did_you_mean(name, known)
        raise BodyplanError(
            f"{container.path} has no array '{name}'; {f'{hint} ' if hint else ''}"
            f"it has {name_list(known)}."
        )
    return found


@contextmanager
def open_arrays(path: Path) -> Iterator[ArrayFile]:
    """Opens a folder of `.npy`, an `.npz` or an HDF5 file; the suffix decides which.

    Raises:
        BodyplanError: the file is missing, damaged or of another kind.
    """
    if path.is_dir():
        yield _NpyFolder(path)
        return
    if not path.is_file():
        raise BodyplanError(f"{path} does not exist; check the path.")
    if path.suffix == ".npz":
        with _damage_named(str(path)):
            archive = zipfile.ZipFile(path)
        with archive:
            yield _Npz(path, archive)
    elif path.suffix in HDF5_SUFFIXES:
        import h5py

        with _damage_named(str(path)):
            file = h5py.File(path, "r")
        with file:
            yield _Hdf5(path, file)
    else:
        raise BodyplanError(
            f"{path} is of an unknown kind; give a folder of .npy arrays, an .npz or one of "
            f"{', '.join(HDF5_SUFFIXES)}."
        )


@dataclass(frozen=True)
class _NpyFolder:
    path: Path

    def names(self) -> list[str]:
        return sorted(file.stem for file in self.path.glob("*.npy"))

    def find(self, name: str) -> StoredArray | None:
        file = self.path / f"{name}.npy"
        if name not in self.names():
            return None
        shape, fortran_order, dtype, offset = read_header(file)
        _require_numbers(str(file), dtype, shape)
        if fortran_order:
            raise BodyplanError(f"{file} is in Fortran order; save it with order='C'.")
        width = int(np.prod(shape[1:]))

        def fetch(start: int, stop: int) -> np.ndarray:
            place = offset + start * width * dtype.itemsize
            flat = np.fromfile(file, dtype, (stop - start) * width, offset=place)
            return flat.reshape(-1, *shape[1:])

        return StoredArray(str(file), shape, fetch)


@dataclass(frozen=True)
class _Npz:
    path: Path
    archive: zipfile.ZipFile

    def names(self) -> list[str]:
        return sorted(name.removesuffix(".npy") for name in self.archive.namelist())

    def find(self, name: str) -> StoredArray | None:
        if name not in self.names():
            return None
        place = f"{self.path}: '{name}'"
        with _damage_named(place):
            shape, dtype = self._header(f"{name}.npy")
        _require_numbers(place, dtype, shape)
        return StoredArray(place, shape, lambda start, stop: self._read(name)[start:stop])

    def _header(self, member: str) -> tuple[tuple[int, ...], np.dtype]:
        readers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        with self.archive.open(member) as stream:
            version = np.lib.format.read_magic(stream)
            shape, _, dtype = readers[version](stream)
            stored = self.archive.getinfo(member).file_size - stream.tell()
        # A damaged header must not make NumPy allocate more memory than there are numbers.
        if not dtype.hasobject and stored != int(np.prod(shape, dtype=object)) * dtype.itemsize:
            raise ValueError("its length is not that of its shape")
        return shape, dtype

    def _read(self, name: str) -> np.ndarray:
        with self.archive.open(f"{name}.npy") as stream:
            array = np.lib.format.read_array(stream, allow_pickle=False)
            stream.read(1)  # zipfile compares the checksum at the end of the file
        return array


@dataclass(frozen=True)
class _Hdf5:
    path: Path
    file: Any

    def names(self) -> list[str]:
        import h5py

        found: list[str] = []

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                found.append(name)

        with _damage_named(str(self.path)):
            self.file.visititems(visit)
        return found

    def find(self, name: str) -> StoredArray | None:
        import h5py

        place = f"{self.path}: '{name}'"
        with _damage_named(place):
            item = self._follow(name)
            if not isinstance(item, h5py.Dataset):
                return None
            shape, dtype = item.shape or (), item.dtype
            elsewhere = item.external is not None or item.is_virtual
        if elsewhere:
            raise BodyplanError(f"{place} is in other files; copy the numbers into this one.")
        _require_numbers(place, dtype, shape)
        return StoredArray(place, shape, lambda start, stop: item[start:stop])

    def _follow(self, name: str) -> Any:
        import h5py

        item = self.file
        for part in name.strip("/").split("/"):
            link = item.get(part, getlink=True) if isinstance(item, h5py.Group) else None
            if link is None:
                return None
            if not isinstance(link, h5py.HardLink):
                raise BodyplanError(
                    f"{self.path}: '{name}' is a link ({type(link).__name__}); copy the array into "
                    "this file."
                )
            item = item[part]
        return item


def _require_numbers(place: str, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    if dtype.kind not in _NUMBER_KINDS:
        raise BodyplanError(
            f"{place} contains {dtype}, not plain numbers; save it as float, integer or boolean."
        )
    if not shape or not all(shape):
        raise BodyplanError(f"{place} has the shape {list(shape)}; give one row a control step.")


@contextmanager
def _damage_named(place: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGED_FILE_ERRORS as error:
        raise BodyplanError(
            f"{place} is damaged or not readable ({' '.join(str(error).split())}); copy or "
            "download the file again."
        ) from error
