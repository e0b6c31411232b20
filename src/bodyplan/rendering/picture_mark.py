"""The mark in the metadata of every picture that bodyplan draws.

By it a command knows that a picture may be replaced, because it can be drawn again.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

MARK = "drawn by bodyplan"
_SOFTWARE = 0x0131  # EXIF's tag of the program that made a picture


def mark_exif() -> "Image.Exif":
    """The mark as EXIF, which Pillow writes into PNG, JPEG and WebP."""
    from PIL import Image

    exif = Image.Exif()
    exif[_SOFTWARE] = MARK
    return exif


def is_marked(path: Path) -> bool:
    """Whether bodyplan has drawn the picture in this file."""
    return path.is_file() and MARK.encode() in path.read_bytes()
