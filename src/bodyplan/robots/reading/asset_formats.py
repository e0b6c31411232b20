"""Formats of asset files: sizes are checked; ASCII STL and Collada become binary STL.

The decoders are MuJoCo's. They trust what a file says of its own size.
"""

import re
import struct
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bodyplan.errors import BodyplanError
from bodyplan.robots.reading.collada import collada_triangles

MESHES = (".obj", ".stl", ".msh")
FORMATS = {
    "mesh": (*MESHES, ".dae"),
    "hfield": (".png", ".hf", ".bin", ""),
    "texture": (".png", ".ktx", ""),
    "skin": (".skn",),
    "flexcomp": (*MESHES, ".vtk"),
}
"""Endings of the files that MuJoCo reads, by the element that names them."""
MAX_FACES = 200_000
"""MuJoCo's limit for an STL."""
MAX_PIXELS = 17_000_000
STL_HEADER = 84
"""Bytes."""
STL_FACE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_VERTEX = re.compile(rb"vertex\s+(\S{1,40})\s+(\S{1,40})\s+(\S{1,40})")


class UnreadableAssetError(BodyplanError):
    """A file of a kind that neither MuJoCo nor this library can read."""


def converted_asset(kind: str, path: Path) -> bytes:
    """The bytes of a file that MuJoCo cannot read as it is; none for a file that it can read.

    Args:
        kind: the element that names it.
        path: of the file.

    Raises:
        BodyplanError: the file has too many triangles or pixels, or is damaged.
    """
    if path.suffix.lower() == ".stl":
        content = path.read_bytes()
        faces = struct.unpack("<I", content[80:84])[0] if len(content) >= STL_HEADER else 0
        if len(content) != STL_HEADER + STL_FACE.itemsize * faces:
            return _binary_stl(path, content)
        _require_faces(path, faces)
    elif path.suffix.lower() == ".dae":
        return _stl_of_collada(path)
    elif path.suffix.lower() == ".png":
        _require_pixels(path)
    return b""


def _binary_stl(path: Path, content: bytes) -> bytes:
    """The binary form of an ASCII STL."""
    count = content.count(b"vertex")
    _require_faces(path, count // 3)
    try:
        corners = np.array(_VERTEX.findall(content), "S40").astype("<f4").reshape(-1, 3, 3)
    except ValueError:
        corners = np.zeros((0, 3, 3), "<f4")
    if 3 * len(corners) != count or not np.isfinite(corners).all():
        raise BodyplanError(f"{path} is damaged: neither a binary nor an ASCII STL; restore it")
    return _stl(corners)


def _stl(corners: Float[np.ndarray, "F 3 3"]) -> bytes:
    """A binary STL of triangles."""
    faces = np.zeros(len(corners), STL_FACE)
    faces["corners"] = corners
    return bytes(80) + struct.pack("<I", len(faces)) + faces.tobytes()


def _stl_of_collada(path: Path) -> bytes:
    try:
        corners = collada_triangles(path, path.read_bytes())
    except (ValueError, IndexError, KeyError, StopIteration) as error:
        raise UnreadableAssetError(
            f"{path} is a Collada file that does not fit together"
        ) from error
    if not len(corners):
        raise UnreadableAssetError(f"{path} is a Collada file without triangles")
    _require_faces(path, len(corners))
    return _stl(corners)


def _require_faces(path: Path, faces: int) -> None:
    if not 0 < faces <= MAX_FACES:
        raise BodyplanError(
            f"{path} has {faces:,} triangles; MuJoCo takes 1 to {MAX_FACES:,}, so simplify the mesh"
        )


def _require_pixels(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(24)
    width, height = struct.unpack(">II", head[16:]) if len(head) == 24 else (0, 0)
    if width * height > MAX_PIXELS:
        raise BodyplanError(
            f"{path} has {width:,} times {height:,} pixels; reduce it to {MAX_PIXELS:,}"
        )
