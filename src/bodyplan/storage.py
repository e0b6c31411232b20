"""Reading and writing files: atomic writes, and errors that name a damaged file.

Every file of a dataset, a snapshot or a run is written through `atomic_write`. The bytes go to a
temporary file beside the target and are flushed to disk. Only then does the file take the target's
name. A reader therefore sees the old file or the new one, whenever the writer is killed.

There are three formats: JSON for cards, `.npy` for arrays that are mapped into memory, and
safetensors for parameters. Reading them never runs code.
"""

import ctypes
import errno
import hashlib
import io
import json
import math
import mmap
import os
import re
import shutil
import socket
import sys
import tempfile
import warnings
import weakref
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, NamedTuple

import msgspec
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as encode_tensors

from bodyplan.errors import BodyplanError

_COUNTER = count()  # of temporary names
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_BLOCKED = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.ENAMETOOLONG}
_SCARCE = {
    errno.EMFILE: "this process has too many files open; raise the limit (ulimit -n 65536)",
    errno.ENFILE: "this machine has too many files open; close other programs",
    errno.ENOMEM: "there is not enough memory; free some, or use fewer robots",
}
"""What says nothing about a file, and what to do about it."""
_DAMAGED_ARRAY_ERRORS = (
    *(ValueError, TypeError, OverflowError, EOFError, SyntaxError, TokenError, Warning),
    *(RecursionError, RuntimeError, OSError),
)
"""What NumPy and zipfile raise for damaged bytes, depending on where the damage is."""


class ArrayHeader(NamedTuple):
    """What the header of an `.npy` file says."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype
    offset: int
    """Bytes before the numbers."""


@contextmanager
def explain_errors(path: str | Path) -> Iterator[None]:
    """Turns the operating system's errors in a block that uses `path` into `BodyplanError`.

    Raises:
        BodyplanError: the disk is full, the place cannot be written to, or handles or memory lack.
    """
    try:
        yield
    except OSError as error:
        raise _explain(error, Path(path)) from error


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path that replaces `path` when the block has succeeded.

    Missing parent folders are created. The temporary file keeps the suffix of `path`, because NumPy
    and Matplotlib read it. Its name is this process's own, so that two writers do not mix. The next
    attempt removes what a killed process has left.

    Raises:
        BodyplanError: the disk is full, or the place cannot be written to.
    """
    path = Path(path)
    temporary = _temporary(path.with_name(f"{path.stem}.partial{path.suffix}"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in _left_behind(path.with_name(f"{path.stem}.partial{path.suffix}")):
            _discard(left)
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)
    except BaseException as error:
        _discard(temporary)
        if isinstance(error, OSError):
            raise _explain(error, path) from error
        raise


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yields an empty temporary folder that becomes `path` when the block has succeeded.

    Raises:
        BodyplanError: as `atomic_write`, or `path` exists and is not an empty folder.
    """
    path = Path(path)
    temporary = _temporary(path.with_name(f"{path.name}.partial"))
    try:
        temporary.mkdir(parents=True)
        for left in _left_behind(path.with_name(f"{path.name}.partial")):
            shutil.rmtree(left, ignore_errors=True)
        yield temporary
        for written in (*temporary.rglob("*"), temporary):
            _flush(written)
        os.replace(temporary, path)
        _flush(path.parent)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError):
            raise _explain(error, path) from error
        raise


def require_space(path: str | Path, needed: int) -> None:
    """Refuses what the disk cannot hold, before a library writes it that would crash then.

    The space is reserved and given back, so that quotas and limits count too.

    Args:
        path: what will be written.
        needed: bytes.

    Raises:
        BodyplanError: there is less space, or the place cannot be written to.
    """
    path = Path(path)
    with explain_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if hasattr(os, "posix_fallocate"):  # not on macOS
            with tempfile.TemporaryFile(dir=path.parent) as file:
                os.posix_fallocate(file.fileno(), 0, needed)
        elif shutil.disk_usage(path.parent).free < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_json(path: str | Path, content: Any) -> None:
    """Writes `content` as indented JSON; NumPy values and paths are converted.

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot express.
        BodyplanError: as `atomic_write`.
    """
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False, default=_plain)
    with atomic_write(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: str | Path, fix: str = "restore it") -> Any:
    """Reads JSON of any content; `records.read_record` also checks its fields.

    Args:
        path: the file.
        fix: what to do about a damaged one; the end of a sentence.

    Raises:
        BodyplanError: the file is missing or damaged.
    """
    path = _existing(path)
    try:
        with explain_errors(path):
            return msgspec.json.decode(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BodyplanError(f"{path} is not readable as JSON ({error}); {fix}.") from error


def write_array(path: str | Path, array: np.ndarray) -> None:
    """Writes one array of any shape as `.npy`.

    Raises:
        ValueError: the array holds Python objects.
        BodyplanError: as `atomic_write`.
    """
    array = np.asarray(array, order="C")
    if array.dtype.hasobject:
        raise ValueError(f"{path}: an array of Python objects cannot be stored")
    header = np.lib.format.header_data_from_array_1_0(array)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        # Not np.save: its tofile() loses the error number that identifies a full disk.
        file.write(array.data)


def read_header(path: str | Path) -> ArrayHeader:
    """Reads the header of an `.npy` array, whose shape is that of the numbers behind it.

    Raises:
        BodyplanError: the file is missing, truncated, too long, or no plain `.npy` array.
    """
    path = _existing(path)
    with _damage_explained(path, "truncated or not an .npy array"), path.open("rb") as file:
        return _header(file, path.stat().st_size)


def read_array(path: str | Path, mapped: bool = True) -> np.ndarray:
    """Reads an `.npy` array, by default mapped into memory, read-only, without an open file.

    Raises:
        BodyplanError: as `read_header`, or memory does not suffice.
    """
    header = read_header(path)
    with explain_errors(path), Path(path).open("rb") as file:
        content = memoryview(map_file(file)).toreadonly()
    flat = np.frombuffer(content, header.dtype, math.prod(header.shape), header.offset)
    array = flat.reshape(header.shape, order="F" if header.fortran_order else "C")
    return array if mapped else np.array(array)


def map_file(file: IO[bytes]) -> Any:
    """An open file's bytes in memory, which outlive the file and keep no handle of it.

    Python's own maps keep one each until version 3.13, and a process may have 1,024.

    Raises:
        OSError: memory does not suffice.
    """
    size = os.fstat(file.fileno()).st_size
    if sys.version_info >= (3, 13):
        return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ, trackfd=False)
    if os.name != "posix":
        return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (
        *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int),
        *(ctypes.c_int, ctypes.c_int, ctypes.c_long),
    )
    libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
    if address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    content = (ctypes.c_ubyte * size).from_address(address)
    weakref.finalize(content, libc.munmap, address, size).atexit = False
    return content


def read_archive(path: str | Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Reads the named arrays from an uncompressed `.npz`.

    Raises:
        BodyplanError: the file is missing or damaged, is compressed, or lacks a name.
    """
    path = _existing(path)
    with (
        _damage_explained(path, "damaged or not an .npz archive"),
        zipfile.ZipFile(path) as archive,
    ):
        return {name: _member(archive, f"{name}.npy", path.stat().st_size) for name in names}


def write_tensors(
    path: str | Path, tensors: dict[str, np.ndarray], metadata: dict[str, str]
) -> None:
    """Writes named arrays and text as safetensors. Equal content gives equal bytes.

    Raises:
        BodyplanError: as `atomic_write`.
    """
    # The library writes an array's memory as it is and ignores strides.
    contiguous = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    header, payload = _sorted_header(encode_tensors(contiguous, metadata))
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(header)
        file.write(payload)


def read_tensors(
    path: str | Path, fix: str = "restore or rebuild it"
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Reads the arrays and the metadata that `write_tensors` wrote.

    Args:
        path: the file.
        fix: what to do about a damaged one; the end of a sentence.

    Raises:
        BodyplanError: the file is missing, truncated or not a safetensors file.
    """
    path = _existing(path)
    try:
        with explain_errors(path), safe_open(path, framework="np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    except (SafetensorError, ValueError) as error:
        raise BodyplanError(
            f"{path} is truncated or not a safetensors file ({error}); {fix}."
        ) from error


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        BodyplanError: the file is missing.
    """
    with explain_errors(path), _existing(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _existing(path: str | Path) -> Path:
    """Returns `path` after checking that it is a readable file."""
    path = Path(path)
    if not path.is_file():
        raise BodyplanError(f"{path} is missing or not a file; check the path or rebuild it.")
    if not os.access(path, os.R_OK):
        raise BodyplanError(f"{path} is not readable; change its permissions.")
    return path


@contextmanager
def _damage_explained(path: Path, fault: str) -> Iterator[None]:
    """Errors of a damaged file as a sentence; those of a lack of memory or handles as theirs."""
    try:
        yield
    except (*_DAMAGED_ARRAY_ERRORS, KeyError, NotImplementedError, zipfile.BadZipFile) as error:
        if isinstance(error, OSError) and error.errno in _SCARCE:
            raise _explain(error, path) from error
        raise BodyplanError(f"{path} is {fault} ({error}); restore or rebuild it.") from error


def _header(file: IO[bytes], size: int) -> ArrayHeader:
    """Reads a header, whose shape must fit the file's size, before memory is allocated."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # damage may look like an old version's header
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"version {version} of the .npy format is not supported")
        try:
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
        except MemoryError as error:  # of Python's parser, whatever memory there is
            raise ValueError("its header is nested too deeply") from error
    if dtype.hasobject or dtype.itemsize == 0 or any(length < 0 for length in shape):
        raise ValueError(f"its header says {dtype} {list(shape)}")
    expected, found = math.prod(shape) * dtype.itemsize, size - file.tell()
    if expected != found:
        raise ValueError(f"its header says {expected:,} bytes of data, {found:,} follow")
    return ArrayHeader(shape, fortran_order, dtype, file.tell())


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> np.ndarray:
    """Reads one array of an archive that has `limit` bytes on disk."""
    entry = archive.getinfo(name)
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > limit:
        raise ValueError(f"{name} is compressed or larger than the archive")
    content = io.BytesIO(archive.read(entry))
    _header(content, entry.file_size)
    content.seek(0)
    return np.lib.format.read_array(content, allow_pickle=False)


def _temporary(path: Path) -> Path:
    """A name of this process's own, whatever its threads and other processes write there."""
    return path.with_name(f".{socket.gethostname()}-{os.getpid()}-{next(_COUNTER)}.{path.name}")


def _left_behind(path: Path) -> Iterator[Path]:
    """Temporary names like `_temporary(path)`, of processes of this machine that have ended."""
    own = re.compile(rf"\.{re.escape(socket.gethostname())}-(\d+)-\d+\.{re.escape(path.name)}")
    for other in path.parent.iterdir():
        found = own.fullmatch(other.name)
        if found and not _is_running(int(found[1])):
            yield other


def _is_running(process: int) -> bool:
    if os.name != "posix":  # where signal 0 would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


def _flush(path: Path) -> None:
    """Waits until a file or folder has reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard(temporary: Path) -> None:
    """Removes a temporary file, if it exists, without hiding the error that is being handled."""
    try:
        temporary.unlink(missing_ok=True)
    except OSError:
        return


def _explain(error: OSError, path: Path) -> Exception:
    """A `BodyplanError` for reasons that a user can fix, otherwise the error itself."""
    if error.errno in _SCARCE:
        return BodyplanError(f"{path} cannot be opened, for {_SCARCE[error.errno]}.")
    if error.errno in _FULL:
        return BodyplanError(
            f"there is no space left on the disk of {path.parent} to write {path.name}; "
            "free some space and run the same command again."
        )
    if error.errno == errno.EFBIG:
        return BodyplanError(
            f"{path} would be larger than files may be here; raise the limit (ulimit -f)."
        )
    if error.errno in _FORBIDDEN:
        return BodyplanError(f"{path} is not writable; choose a folder that you own.")
    if error.errno in _BLOCKED:
        reason = error.strerror or str(error)
        for folder in path.parents:
            if folder.is_file():
                reason = f"{folder} is a file"
        return BodyplanError(f"{path} cannot be written ({reason}); choose another path.")
    return error


def _plain(value: Any) -> Any:
    """Converts values that the json module cannot encode."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON: {value!r}")


def _sorted_header(encoded: bytes) -> tuple[bytes, memoryview]:
    """Splits a safetensors file into a header with sorted metadata and the arrays' bytes.

    The library keeps metadata in a hash map, whose order changes between processes.
    """
    start = 8 + int.from_bytes(encoded[:8], "little")
    content = json.loads(encoded[8:start])
    content["__metadata__"] = dict(sorted(content.get("__metadata__", {}).items()))
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the format aligns the arrays to eight bytes
    return len(text).to_bytes(8, "little") + text, memoryview(encoded)[start:]
